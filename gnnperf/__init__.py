"""Measure what pruning and quantization do to a graph neural network.

What is named here is public, and imported when it is first used: `import gnnperf` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnnperf import codec as codec
    from gnnperf.compression import Compressed as Compressed
    from gnnperf.compression.given import compared as compared
    from gnnperf.compression.shipped import load as load
    from gnnperf.datasets import OwnDataset as OwnDataset
    from gnnperf.deploy import register_deployment as register_deployment
    from gnnperf.meters.base import Meter as Meter
    from gnnperf.meters.registry import register_meter as register_meter
    from gnnperf.models.fields import Fields as Fields
    from gnnperf.recipes import Method as Method
    from gnnperf.recipes import compress as compress
    from gnnperf.recipes import register_method as register_method
    from gnnperf.records import Record as Record
    from gnnperf.study.measure import measure as measure
    from gnnperf.study.weights import load_weights as load_weights
    from gnnperf.training import GraphClassification as GraphClassification
    from gnnperf.training import LinkPrediction as LinkPrediction
    from gnnperf.training import NodeClassification as NodeClassification
    from gnnperf.training import Prediction as Prediction
    from gnnperf.training import Sampled as Sampled
    from gnnperf.training import Trained as Trained
    from gnnperf.training import TrainSettings as TrainSettings
    from gnnperf.workloads import Workload as Workload
    from gnnperf.workloads import register_workload as register_workload

__version__ = version("gnnperf")

_PUBLIC = {
    "Compressed": "gnnperf.compression",
    "Meter": "gnnperf.meters.base",
    "Method": "gnnperf.recipes",
    "load": "gnnperf.compression.shipped",
    "register_meter": "gnnperf.meters.registry",
    "register_method": "gnnperf.recipes",
    "Fields": "gnnperf.models.fields",
    "GraphClassification": "gnnperf.training",
    "LinkPrediction": "gnnperf.training",
    "NodeClassification": "gnnperf.training",
    "OwnDataset": "gnnperf.datasets",
    "Prediction": "gnnperf.training",
    "Record": "gnnperf.records",
    "Sampled": "gnnperf.training",
    "Trained": "gnnperf.training",
    "TrainSettings": "gnnperf.training",
    "Workload": "gnnperf.workloads",
    "codec": "gnnperf",
    "compared": "gnnperf.compression.given",
    "compress": "gnnperf.recipes",
    "load_weights": "gnnperf.study.weights",
    "measure": "gnnperf.study.measure",
    "register_deployment": "gnnperf.deploy",
    "register_workload": "gnnperf.workloads",
}
"""Where each name comes from."""

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gnnperf' has no attribute {name!r}; it offers {__all__}")
    if _PUBLIC[name] == __name__:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
