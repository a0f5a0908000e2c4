"""Sparse aggregation for models and deployment."""

from gnnperf.ops.sparse import SparseMatrix, add_scaled, sparse_if_worthwhile, spmm

__all__ = ["SparseMatrix", "add_scaled", "sparse_if_worthwhile", "spmm"]
