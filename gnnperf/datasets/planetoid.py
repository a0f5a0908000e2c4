"""Citation graphs in the eight files of Planetoid, which PyG's `Planetoid` reads too.

`allx`, `ally` and `tx`, `ty` hold words and subjects of all papers but the tested ones, and of
these; `test.index` says where the tested ones belong; `x` and `y` repeat the first of `allx` and
`ally`, those to train on; `graph` names the neighbours of every paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, remove_self_loops

from gnnperf.datasets.base import DataError
from gnnperf.datasets.pickled import unpickled
from gnnperf.datasets.tables import whole_numbers

_VALIDATION = 500


def read_planetoid(files: Mapping[str, bytes], prefix: str) -> Data:
    """The graph of PyG's `Planetoid`: x, edge_index, y, and the public split as masks.

    Args:
        files: contents by name, `ind.cora.x` and so on.
        prefix: what the names begin with, `ind.cora`.

    Raises DataError for what cannot be read, and for files that contradict one another. Nothing in
    the files is executed.
    """
    few, tested, words = _tables(files, prefix, "x")
    few_subjects, tested_subjects, subjects = _tables(files, prefix, "y")
    if [len(few), len(tested), len(words)] != [
        *map(len, (few_subjects, tested_subjects, subjects))
    ]:
        raise DataError(f"the files {prefix}.*x and {prefix}.*y differ in their rows")
    if not (np.isin(subjects, (0, 1)).all() and (subjects.sum(1) == 1).all()):
        raise DataError(f"the files {prefix}.*y do not hold one subject for each paper")
    nodes, known = len(words), len(words) - len(tested)
    place = _places(files[f"{prefix}.test.index"], f"{prefix}.test.index", known, nodes)
    node = torch.arange(nodes)
    return Data(
        x=torch.from_numpy(words)[place],
        edge_index=_edges(_content(f"{prefix}.graph", files), f"{prefix}.graph", nodes),
        y=torch.from_numpy(subjects.argmax(1))[place],
        train_mask=node < len(few),
        val_mask=(node >= len(few)) & (node < len(few) + _VALIDATION),
        test_mask=node >= known,
    )


def _tables(files: Mapping[str, bytes], prefix: str, what: str) -> list[NDArray[np.float32]]:
    """Rows of the papers to train on, of the tested ones, and of all, the tested ones last."""
    few, tested, others = (_table(f"{prefix}.{part}{what}", files) for part in ("", "t", "all"))
    if not few.shape[1] == tested.shape[1] == others.shape[1]:
        raise DataError(f"the files {prefix}.*{what} differ in their columns")
    if not np.array_equal(few, others[: len(few)]):
        raise DataError(f"the file {prefix}.{what} contradicts {prefix}.all{what}")
    return [few, tested, np.concatenate([others, tested])]


def _table(name: str, files: Mapping[str, bytes]) -> NDArray[np.float32]:
    content = _content(name, files)
    if not isinstance(content, np.ndarray) or content.ndim != 2:
        raise DataError(f"the file {name} holds no table of numbers")
    with np.errstate(all="ignore"):  # What overflows is infinite, and seen in the next line.
        table: NDArray[np.float32] = content.astype(np.float32)
    if not np.isfinite(table).all():
        raise DataError(f"the file {name} holds a number that is not finite")
    return table


def _content(name: str, files: Mapping[str, bytes]) -> Any:
    try:
        return unpickled(files[name])
    except Exception as error:  # A damaged pickle leads anywhere, and all of it means the same.
        reason = " ".join(ascii(str(error)).split())[1:-1] or type(error).__name__
        raise DataError(f"the file {name} is damaged ({reason[:200]})") from error


def _places(content: bytes, name: str, known: int, nodes: int) -> Tensor:
    """The row of each paper [nodes] in the tables, which hold the tested ones as the file does."""
    index = whole_numbers(name, content)[:, 0]
    if not np.array_equal(np.sort(index), np.arange(known, nodes)):
        raise DataError(f"the file {name} does not name the papers {known}..{nodes - 1}, each once")
    place = torch.arange(nodes)
    place[torch.from_numpy(index)] = torch.arange(known, nodes)
    return place


def _edges(graph: Any, name: str, nodes: int) -> Tensor:
    """Both directions [2, edges], as PyG keeps them: no loops, each once, sorted by target."""
    if not isinstance(graph, dict) or set(graph) != set(range(nodes)):
        raise DataError(f"the file {name} does not name the neighbours of papers 0..{nodes - 1}")
    if not all(isinstance(targets, list) for targets in graph.values()):
        raise DataError(f"the file {name} does not list the neighbours of a paper")
    pairs = [(source, target) for source, targets in graph.items() for target in targets]
    if not all(type(target) is int and 0 <= target < nodes for _, target in pairs):
        raise DataError(f"the file {name} names a neighbour outside 0..{nodes - 1}")
    edge_index, _ = remove_self_loops(torch.tensor(pairs, dtype=torch.long).view(-1, 2).t())
    edges: Tensor = coalesce(edge_index, num_nodes=nodes, sort_by_row=False)
    return edges
