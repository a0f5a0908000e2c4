"""What a dataset is, whether it came from real files or from a stand-in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor
from torch_geometric.data import Data

from gnnperf.errors import GnnperfError

Source = Literal["real", "synthetic"]
Mode = Literal["auto", "real", "synthetic"]

# It stands in test ids and file names, between a ~ and a -.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]{0,39}")


class DataError(GnnperfError):
    """Data that is missing, damaged or not what it says it is."""


class MissingPackageError(DataError):
    """A package that a dataset's reader needs and that is not installed."""


@dataclass(frozen=True)
class DataOptions:
    """The user's choice; raises DataError for a version that cannot be meant.

    Attributes:
        mode: which sources may serve.
        root: where raw files lie; a folder that is named must hold what is needed of it.
        cache: where downloads and processed files go.
        version: what the raw files under the root are called, in ids and records too, where they
            are not the published ones.
    """

    mode: Mode
    root: Path | None
    cache: Path
    version: str | None = None

    def __post_init__(self) -> None:
        if self.version is None:
            return
        said = f"--gnnperf-data-version {self.version[:60]!a}"
        if not _VERSION.fullmatch(self.version) or self.version in ("real", "synthetic"):
            raise DataError(
                f"{said}: name a version with 1 to 40 letters, digits, _ and ., the first of them "
                "a letter or digit, and not `real` or `synthetic`"
            )
        if self.mode == "synthetic":
            raise DataError(
                f"{said} names raw files, of which --gnnperf-data synthetic takes none; "
                "leave one of the two out"
            )
        if self.root is None:
            raise DataError(
                f"{said}: name the folder that holds this version with --gnnperf-data-root"
            )


class DatasetSource(Protocol):
    """Where a workload's graphs come from: a registered dataset, or a project's own."""

    @property
    def name(self) -> str:
        """As it stands in workloads and case ids, `cora_node`."""

    def key(self, options: DataOptions) -> str:
        """The key that the dataset will have, told without loading it."""

    def load(self, options: DataOptions) -> Dataset:
        """Get the graphs; raises DataError."""


@dataclass(frozen=True)
class Dataset:
    """Graphs with where they came from.

    Attributes:
        name: the source's name.
        source: real or synthetic; never mixed in ids, records or baselines.
        origin: one phrase for people, where the graphs came from and why from there.
        fingerprint: SHA-256 of every tensor of every graph.
        version: of real files that are not the published ones.
    """

    name: str
    graphs: tuple[Data, ...]
    source: Source
    origin: str
    fingerprint: str
    version: str | None = None

    @property
    def features(self) -> int:
        """Width of the node features."""
        return int(self.graphs[0].num_features)

    @property
    def classes(self) -> int:
        """Number of classes, counted over all graphs."""
        return 1 + max(int(graph.y.max()) for graph in self.graphs)

    @property
    def key(self) -> str:
        """The name under which results are kept; see `dataset_key`."""
        return dataset_key(self.name, self.source, self.version)


def dataset_key(name: str, source: Source, version: str | None = None) -> str:
    """`cora_node` for published data, `cora_node~synthetic` or `cora_node~VERSION` for other."""
    told = version if source == "real" else source
    return name if told is None else f"{name}~{told}"


def fingerprint(graphs: Sequence[Data]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors of all graphs."""
    digest = hashlib.sha256()
    for graph in graphs:
        for name, value in sorted(graph.to_dict().items()):
            if isinstance(value, Tensor):
                digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
                digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
