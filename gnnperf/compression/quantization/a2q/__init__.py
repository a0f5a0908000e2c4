"""A2Q: aggregation-aware quantization."""
