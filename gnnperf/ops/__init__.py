"""Sparse aggregation for models and deployment."""

from gnnperf.ops.aggregate import Aggregate
from gnnperf.ops.sparse import SparseMatrix, add_scaled, sparse_if_worthwhile, spmm

__all__ = ["Aggregate", "SparseMatrix", "add_scaled", "sparse_if_worthwhile", "spmm"]
