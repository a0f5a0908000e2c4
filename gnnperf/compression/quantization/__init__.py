"""Quantization: simulated while a model trains, and integers where it is shipped."""

from gnnperf.compression.quantization.export import IntegerModel, export

__all__ = ["IntegerModel", "export"]
