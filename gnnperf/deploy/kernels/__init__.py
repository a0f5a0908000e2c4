"""What deployed models compute with: products with rounding, compiled where numba is there."""

from gnnperf.deploy.kernels.loading import compilations, computed_by, missing
from gnnperf.deploy.kernels.products import (
    PLAIN,
    Epilogue,
    Grid8,
    Matrix,
    SparseWeight,
    quantize,
    segment_max,
    sparse_linear,
    spmm,
)

__all__ = [
    "PLAIN",
    "Epilogue",
    "Grid8",
    "Matrix",
    "SparseWeight",
    "compilations",
    "computed_by",
    "missing",
    "quantize",
    "segment_max",
    "sparse_linear",
    "spmm",
]
