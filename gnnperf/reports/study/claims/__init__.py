"""The paper's claims, each with the rule that decides it; a file a part of the paper.

Importing this registers them all in `CLAIMS`, in the paper's order.
"""

from gnnperf.reports.study.claims import (  # isort: skip
    abstract,
    dense,
    size,
    pruning,
    layers,
    resources,
    regularization,
    quantization,
    quantized_cost,
)
from gnnperf.reports.study.ledger import CLAIMS

__all__ = [
    "CLAIMS",
    "abstract",
    "dense",
    "layers",
    "pruning",
    "quantization",
    "quantized_cost",
    "regularization",
    "resources",
    "size",
]
