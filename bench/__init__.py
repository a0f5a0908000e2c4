"""The study, as pytest cases."""
