"""Peak bytes, a file a source."""
