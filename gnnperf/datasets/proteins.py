"""PROTEINS: 1113 proteins as graphs of their secondary-structure elements, enzyme or not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch_geometric.data import Data, download_url, extract_zip
from torch_geometric.utils import coalesce, remove_self_loops

from gnnperf.datasets.base import DataError
from gnnperf.datasets.made_up import cut, random_sizes, undirected
from gnnperf.datasets.processed import Reading
from gnnperf.datasets.sources import DatasetSpec
from gnnperf.datasets.tables import decimals, whole_numbers

_RAW_FILES = {
    "PROTEINS_A.txt": "4c4b33e272fc95cac6d27ed6d5d12b9a852c8610e91fff59f8f0dbdd5a20df67",
    "PROTEINS_graph_indicator.txt": (
        "8d4ff1e852a5c28561e9bffb44cf9490bc552b13a3b6156dd12dc7f44e9afc4a"
    ),
    "PROTEINS_graph_labels.txt": "c0ef9810c440775252872318d0c8adc385588e14bc4c47a2c34aa96ee3c7cdcd",
    "PROTEINS_node_attributes.txt": (
        "54eef829abb37e458a5fbf3a3c581e48e5810e220463c2cd951856b9ceb08f07"
    ),
    "PROTEINS_node_labels.txt": "f758e8ad3d6e3c026b50833d75f6f90735b94eb3345e4243707f495ca8afea8d",
}
_GRAPHS = 1113
_CLASS_SIZES = (663, 450)
_MOST_NODE_LABELS = 100


def _read(files: Mapping[str, bytes]) -> Reading:
    """PyG's `TUDataset`: features [nodes, 4], an element's length, and helix, sheet or turn."""
    size = _sizes(whole_numbers(name := "PROTEINS_graph_indicator.txt", files[name])[:, 0])
    nodes = int(size.sum())
    length = decimals(name := "PROTEINS_node_attributes.txt", files[name])
    kind = whole_numbers(name := "PROTEINS_node_labels.txt", files[name])[:, 0]
    label = whole_numbers(name := "PROTEINS_graph_labels.txt", files[name])[:, 0]
    for name, rows, wanted in (
        ("node_attributes", len(length), nodes),
        ("node_labels", len(kind), nodes),
        ("graph_labels", len(label), len(size)),
    ):
        if rows != wanted:
            raise DataError(
                f"the file PROTEINS_{name}.txt has {rows} rows, and the file "
                f"PROTEINS_graph_indicator.txt speaks of {wanted}"
            )
    kinds, place = np.unique(kind, return_inverse=True)
    if len(kinds) > _MOST_NODE_LABELS or kinds[-1] - kinds[0] >= len(kinds):
        raise DataError("the file PROTEINS_node_labels.txt leaves out some labels between others")
    classes, of_graph = np.unique(label, return_inverse=True)
    if len(classes) != len(_CLASS_SIZES):
        raise DataError("the file PROTEINS_graph_labels.txt does not hold two classes")
    x = torch.cat([torch.from_numpy(length)[:, None], one_hot(torch.from_numpy(place)).float()], 1)
    edge_index = _edges(files["PROTEINS_A.txt"], size)
    return Reading(tuple(cut(x, edge_index, torch.from_numpy(of_graph), size)))


def _sizes(graph: np.ndarray) -> Tensor:
    """Nodes of each graph [graphs], from the graph's number of each node, counted from 1."""
    step = np.diff(graph, prepend=0)
    if step[0] != 1 or not np.isin(step, (0, 1)).all():
        raise DataError("the file PROTEINS_graph_indicator.txt does not count the graphs from 1 on")
    return torch.from_numpy(np.bincount(graph)[1:])


def _edges(content: bytes, size: Tensor) -> Tensor:
    """Pairs [2, entries] of nodes numbered through all graphs, sorted, no loops, each once."""
    edge = torch.from_numpy(whole_numbers("PROTEINS_A.txt", content, 2)).t() - 1
    graph = torch.repeat_interleave(torch.arange(len(size)), size)
    inside = bool(((edge >= 0) & (edge < len(graph))).all())
    if not inside or bool((graph[edge[0]] != graph[edge[1]]).any()):
        raise DataError("the file PROTEINS_A.txt has an edge that joins no two nodes of one graph")
    edge_index, _ = remove_self_loops(edge)
    both: Tensor = coalesce(edge_index, num_nodes=len(graph))
    return both


def _download(raw: Path) -> None:
    from torch_geometric.datasets import TUDataset  # Slow to import, and seldom needed.

    archive = download_url(f"{TUDataset.url}/PROTEINS.zip", str(raw.parent), log=False)
    extract_zip(archive, str(raw.parent), log=False)
    os.rename(raw.parent / "PROTEINS", raw)


def stand_in(seed: int) -> Sequence[Data]:
    """A made-up PROTEINS: its counts, classes, sizes (median 26, longest 620), degrees and labels.

    The classes differ in size and in their share of helices, and overlap as the real ones do.
    """
    generator = torch.Generator().manual_seed(seed)
    label = torch.repeat_interleave(torch.arange(2), torch.tensor(_CLASS_SIZES))
    label = label[torch.randperm(_GRAPHS, generator=generator)]
    size = random_sizes(torch.tensor([3.56, 2.80])[label], 0.76, (4, 620), generator)
    kind = _elements(label, size, generator)
    length = torch.tensor([9.0, 5.0, 4.0])[kind]
    length = length * (0.5 * torch.randn(len(kind), generator=generator)).exp()
    x = torch.cat([length.round().clamp(min=1)[:, None], torch.eye(3)[kind]], 1)
    return cut(x, _contacts(size, generator), label, size)


def _elements(label: Tensor, size: Tensor, generator: torch.Generator) -> Tensor:
    """Helix 0, sheet 1 or turn 2 of every node; each protein has a taste of its own."""
    taste = torch.randn(len(size), generator=generator) * torch.tensor([0.6, 1.4])[label]
    helix = torch.sigmoid(taste + torch.tensor([0.1, -0.35])[label])
    share = torch.repeat_interleave(helix, size)
    draw = torch.rand(len(share), generator=generator)
    turn = torch.rand(len(share), generator=generator) < 0.032
    return torch.where(turn, 2, (draw > share).long())


def _contacts(size: Tensor, generator: torch.Generator) -> Tensor:
    """Edges [2, entries] along the chain and to elements near in it, 3.7 neighbours a node."""
    node = torch.arange(int(size.sum()))
    offsets = torch.tensor([1, 2, 3, 4, 7, 11])
    odds = torch.tensor([1.0, 0.42, 0.16, 0.12, 0.12, 0.13])
    source, reach = node.repeat(len(offsets)), offsets.repeat_interleave(len(node))
    drawn = torch.rand(len(source), generator=generator) < odds.repeat_interleave(len(node))
    return undirected(torch.stack([source, source + reach])[:, drawn], size)


SPECS = (
    DatasetSpec(
        name="proteins",
        folder="PROTEINS",
        raw_files=_RAW_FILES,
        read=_read,
        download=_download,
        stand_in=stand_in,
    ),
)
