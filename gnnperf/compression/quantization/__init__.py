"""Quantization: simulated while a model trains, and integers where it is shipped."""
