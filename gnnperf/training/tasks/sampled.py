"""Nodes of a large graph with some of their neighbours: to train on, and to time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.ops.bounded import edges_of
from gnnperf.ops.neighbours import drawn_neighbourhood
from gnnperf.training.tasks.base import Timed

TIMED_SEED = 0
"""Of the batch that is timed: the same one for every seed of a training."""


@dataclass(frozen=True)
class Sampled:
    """How many nodes a batch has, and how many edges into each are drawn, a number a hop.

    Raises GnnperfError for less than one of either.
    """

    nodes: int
    fan_out: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.nodes < 1 or not self.fan_out or min(self.fan_out) < 1:
            raise GnnperfError(
                f"Sampled(nodes={self.nodes}, fan_out={self.fan_out}): name at least one node, and "
                "for each hop at least one neighbour, such as Sampled(1024, (15, 10))"
            )

    def __str__(self) -> str:
        return f"{self.nodes} nodes, fan-out {'-'.join(map(str, self.fan_out))}"


@dataclass(frozen=True, eq=False)
class SampledNodes:
    """A loader: in every epoch the nodes in another order, with other neighbours.

    As PyG's NeighborLoader, of which the compiled packages need not be there. A batch has
    `batch_size`: its first nodes are those asked for.

    Attributes:
        graph: whole.
        index: int64; the nodes that are asked for.
        how: the size of batches and neighbourhoods.
    """

    graph: Data
    index: Tensor
    how: Sampled

    def __post_init__(self) -> None:
        if not isinstance(self.graph, Data) or self.graph.get("edge_index") is None:
            raise DataError(
                f"a {type(self.graph).__name__} cannot be sampled, only a Data with edge_index; "
                "give parts that are loaders of your own"
            )

    def __len__(self) -> int:
        return -(-len(self.index) // self.how.nodes)

    def __iter__(self) -> Iterator[Data]:
        order = torch.randperm(len(self.index)).to(self.index.device)
        # Of even sizes: a last batch of one node would make a training step of noise.
        for nodes in self.index[order].tensor_split(len(self)):
            yield self.batch(nodes)

    def batch(self, nodes: Tensor, generator: torch.Generator | None = None) -> Data:
        """The nodes with neighbours that are drawn now, on the graph's device."""
        graph = self.graph
        edges = edges_of(graph.edge_index, 0, graph.num_nodes)
        found = drawn_neighbourhood(edges, nodes, self.how.fan_out, generator)
        batch = Data(edge_index=found.edge_index, batch_size=len(nodes), num_nodes=len(found.nodes))
        for name, value in graph.items():
            # A sampled batch has no masks: those of its nodes that count are its first.
            if name in ("edge_index", "target_index") or name.endswith("_mask"):
                continue
            if graph.is_node_attr(name):
                batch[name] = value[found.nodes]
            elif graph.is_edge_attr(name):
                batch[name] = value[found.edges]
            elif name not in ("num_nodes", "batch_size"):
                batch[name] = value
        return batch


def timed_batch(graph: Data, index: Tensor, how: Sampled) -> Timed:
    """One batch of the nodes, of all where there are fewer; the same each time."""
    generator = torch.Generator().manual_seed(TIMED_SEED)
    chosen = torch.randperm(len(index), generator=generator)[: how.nodes]
    nodes = index[chosen.to(index.device)]
    name = str(Sampled(len(nodes), how.fan_out))
    return Timed(name, [SampledNodes(graph, index, how).batch(nodes, generator)])
