"""Datasets: real data out of raw files that are known, and synthetic stand-ins."""

from gnnperf.datasets import bbbp, cora, proteins
from gnnperf.datasets.base import (
    DataError,
    DataOptions,
    Dataset,
    DatasetSource,
    Mode,
    dataset_key,
    fingerprint,
)
from gnnperf.datasets.own import OwnDataset
from gnnperf.datasets.sources import DatasetSpec, load_dataset

SPECS: dict[str, DatasetSpec] = {
    spec.name: spec for spec in (*cora.SPECS, *proteins.SPECS, *bbbp.SPECS)
}
"""Every dataset by name; a new one is a module with its spec and a line here."""

__all__ = [
    "SPECS",
    "DataError",
    "DataOptions",
    "Dataset",
    "DatasetSource",
    "DatasetSpec",
    "Mode",
    "OwnDataset",
    "dataset_key",
    "fingerprint",
    "load_dataset",
]
