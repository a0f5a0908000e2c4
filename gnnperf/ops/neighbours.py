"""Drawing some of a node's neighbours, and the neighbourhood of many nodes, on torch alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnperf.ops.edges import Edges


@dataclass(frozen=True)
class Neighbourhood:
    """Some nodes with those that send to them.

    Attributes:
        nodes: int64; as the graph numbers them, those asked for first.
        edge_index: [2, edges] between them, in the order of their targets.
        edges: int64 [edges]; as the graph numbers them.
    """

    nodes: Tensor
    edge_index: Tensor
    edges: Tensor


def drawn_neighbourhood(
    edges: Edges, nodes: Tensor, fan_out: Sequence[int], generator: torch.Generator | None = None
) -> Neighbourhood:
    """What sends to the nodes, and to what sends to these: as many hops as `fan_out` is long.

    Args:
        edges: of the whole graph.
        nodes: int64, each once.
        fan_out: how many edges into each node are drawn at most, a number a hop.
        generator: None: torch's own.
    """
    place = torch.full((edges.rows,), -1)
    place[nodes] = torch.arange(len(nodes))
    found, pairs, numbers, begin = [nodes], [], [], 0
    for most in fan_out:
        receiving = found[-1]
        owner, entry = _entries(edges.row_start, receiving, most, generator)
        source = edges.column[entry].long()
        new = torch.unique(source[place[source] < 0])
        place[new] = begin + len(receiving) + torch.arange(len(new))
        pairs.append(torch.stack([place[source], begin + owner]))
        numbers.append(edges.order[entry])
        begin += len(receiving)
        found.append(new)
    return Neighbourhood(torch.cat(found), torch.cat(pairs, 1), torch.cat(numbers))


def _entries(
    row_start: Tensor, rows: Tensor, most: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """At most so many entries of each row: the row's number among `rows`, and the entry's."""
    first = row_start[rows].long()
    size = row_start[rows + 1].long() - first
    taken = size.clamp(max=most)
    owner = torch.repeat_interleave(taken)
    within = torch.arange(len(owner)) - (taken.cumsum(0) - taken)[owner]
    large = size > most
    within[large[owner]] = _choices(size[large], most, generator).view(-1)
    return owner, first[owner] + within


def _choices(size: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """`count` different numbers below each size [rows, count], all sets alike likely.

    Source: Floyd's algorithm (Bentley, Programming pearls, 1987): the work does not grow with size.
    """
    chosen = torch.empty(len(size), count, dtype=torch.long)
    for number in range(count):
        last = size - count + number
        share = torch.rand(len(size), dtype=torch.double, generator=generator)
        drawn = (share * (last + 1)).long()
        again = (chosen[:, :number] == drawn.unsqueeze(1)).any(1)
        chosen[:, number] = torch.where(again, last, drawn)
    return chosen
