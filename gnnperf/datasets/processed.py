"""What was read from raw files, kept in the cache: one file a dataset, behind a digest."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from gnnperf.datasets.checks import graph_complaint
from gnnperf.system.store import DamagedFileError, open_checked, write_checked


@dataclass(frozen=True)
class Reading:
    """What a dataset's raw files hold.

    Attributes:
        graphs: with the same tensors each, one at least.
        left_out: how many more the files describe, which the reader rejects.
    """

    graphs: tuple[Data, ...]
    left_out: int = 0


def keep(path: Path, reading: Reading) -> None:
    """Write it, whole or not at all; raises OSError."""
    fields = {}
    for name in reading.graphs[0].to_dict():
        dim = _joined_dim(name)
        values = [graph[name] for graph in reading.graphs]
        sizes = torch.tensor([value.size(dim) for value in values])
        fields[name] = (torch.cat(values, dim), sizes)
    buffer = io.BytesIO()
    torch.save({"fields": fields, "left_out": reading.left_out}, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checked(path, buffer.getvalue())


def kept(path: Path) -> Reading:
    """What `keep` wrote, read without executing anything; raises DamagedFileError, or OSError."""
    with open_checked(path) as content:
        try:
            return _reading(torch.load(content, weights_only=True))
        except Exception as error:  # torch raises whatever its reader stumbled over.
            sentence = f"the file {path} holds no graphs ({error}); delete it"
            raise DamagedFileError(sentence) from error


def _reading(content: Any) -> Reading:
    columns = {
        name: values.split(sizes.tolist(), _joined_dim(name))
        for name, (values, sizes) in content["fields"].items()
    }
    # A clone of its own, as a fresh reading has: a view would lie otherwise in memory.
    graphs = tuple(
        Data(**{name: value.clone() for name, value in zip(columns, row, strict=True)})
        for row in zip(*columns.values(), strict=True)
    )
    complaints = [complaint for graph in graphs if (complaint := graph_complaint(graph))]
    if complaints or not graphs:
        raise ValueError(f"a graph {complaints[0]}" if complaints else "there is none")
    return Reading(graphs, int(content["left_out"]))


def _joined_dim(name: str) -> int:
    return 1 if name == "edge_index" else 0
