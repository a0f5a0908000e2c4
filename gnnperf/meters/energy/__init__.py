"""Joules, a file a source."""
