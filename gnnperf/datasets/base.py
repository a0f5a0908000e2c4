"""What a dataset is, whether it came from real files or from a stand-in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
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
        """Width of the node features, 0 without; raises DataError where each type has its own."""
        features = self.graphs[0].num_features
        if not isinstance(features, int):
            raise DataError(
                f"dataset {self.name}: node types have {features} features; take them from "
                "dataset.graphs[0] in the workload's model"
            )
        return features

    @property
    def classes(self) -> int:
        """Number of classes, counted over all graphs; raises DataError where y numbers none."""
        highest = 0
        for graph in self.graphs:
            y = getattr(graph, "y", None) if "y" in graph else None
            if not isinstance(y, Tensor) or not y.numel() or y.is_floating_point():
                found = f"{list(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else y
                raise DataError(
                    f"dataset {self.name}: y is {found} and numbers no classes; write how many "
                    "outputs the workload's model has"
                )
            highest = max(highest, int(y.max()))
        return 1 + highest

    @property
    def key(self) -> str:
        """The name under which results are kept; see `dataset_key`."""
        return dataset_key(self.name, self.source, self.version)

    @cached_property
    def sizes(self) -> Mapping[str, str]:
        """Numbers of graphs, nodes, edges, features and labels, over all graphs.

        A pair of nodes is one edge, whatever directions and copies of it are stored. What a dataset
        does not number is left out: features of several node types, labels that are no classes.
        """
        found = {"graphs": len(self.graphs)}
        with suppress(AttributeError, TypeError, ValueError):  # Whatever PyG cannot infer.
            found["nodes"] = sum(int(graph.num_nodes or 0) for graph in self.graphs)
        edges: list[Any] = [
            graph.edge_index if "edge_index" in graph else None for graph in self.graphs
        ]
        if all(isinstance(index, Tensor) for index in edges):
            found["edges"] = sum(map(_pairs, edges))
        with suppress(DataError):
            found["features"] = self.features
        with suppress(DataError):
            found["labels"] = self.classes
        return {name: str(count) for name, count in found.items()}


def _pairs(edge_index: Tensor) -> int:
    """How many pairs of nodes are joined."""
    return int(torch.unique(edge_index.sort(dim=0).values, dim=1).shape[1])


def dataset_key(name: str, source: Source, version: str | None = None) -> str:
    """`cora_node` for published data, `cora_node~synthetic` or `cora_node~VERSION` for other."""
    told = version if source == "real" else source
    return name if told is None else f"{name}~{told}"


def fingerprint(graphs: Sequence[Data]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors of all graphs.

    Of sparse ones over their indices and values, of a HeteroData over those of every type.
    """
    digest = hashlib.sha256()
    for graph in graphs:
        for name, value in _tensors("", graph.to_dict()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
            # As bytes: numpy knows no bfloat16.
            flat = value.detach().cpu().contiguous().view(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """The dense tensors in a value, by name, in an order that is always the same."""
    if isinstance(value, Mapping):
        for key, inner in sorted(value.items(), key=lambda item: str(item[0])):
            yield from _tensors(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _tensors(f"{name}.{number}", inner)
    elif isinstance(value, Tensor):
        for kind, dense in _dense(value):
            yield name + kind, dense
    elif hasattr(value, "coo"):
        # A SparseTensor of torch_sparse.
        yield from _tensors(name, value.coo())


def _dense(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if tensor.layout == torch.strided:
        yield "", tensor
        return
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        yield " indices", tensor.indices()
    elif tensor.layout == torch.sparse_csr:
        yield " crow", tensor.crow_indices()
        yield " col", tensor.col_indices()
    else:
        yield from _dense(tensor.to_sparse_coo())
        return
    yield f" of {tuple(tensor.shape)}", tensor.values()
