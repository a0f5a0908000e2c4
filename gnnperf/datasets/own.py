"""Graphs that a project brings along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch_geometric.data import Data, HeteroData

from gnnperf.datasets.base import DataError, DataOptions, Dataset, fingerprint


@dataclass(frozen=True)
class OwnDataset:
    """A project's own graphs: a PyG dataset, a list of `Data` or `HeteroData`, or what gives one.

    Attributes:
        name: as it shall stand in workloads and case ids.
        graphs: the graphs, or how to get them; a function is called when a case needs them.
    """

    name: str
    graphs: Sequence[Data] | Callable[[], Sequence[Data]]

    def key(self, options: DataOptions) -> str:
        """The name: whatever a project brings is real."""
        return self.name

    def load(self, options: DataOptions) -> Dataset:
        """The graphs; raises DataError when there are none. What is in them, the task checks."""
        graphs = tuple(self.graphs() if callable(self.graphs) else self.graphs)
        if not graphs:
            raise DataError(f"dataset {self.name} holds no graph; give at least one")
        for index, graph in enumerate(graphs):
            if not isinstance(graph, (Data, HeteroData)):
                kind = type(graph).__name__
                raise DataError(
                    f"dataset {self.name}: item {index} is a {kind}, not a PyG Data or HeteroData"
                )
        return Dataset(self.name, graphs, "real", "the project's own", fingerprint(graphs))
