"""Which entries of which dimensions go together: labels that operations unite.

Every entry of a dimension carries labels, and goes when one of its labels goes. An operation that
aligns two dimensions unites their labels entry by entry; what meets a label that may not go may
not go either.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Dim = npt.NDArray[np.int64]
"""Labels of a dimension's entries, int64 [entries, k]; 0 and no label at all: never goes."""


def kept_whole(size: int) -> Dim:
    """A dimension of which nothing goes."""
    return np.zeros((size, 0), np.int64)


class Labels:
    """The labels of one search, and which of them are one.

    Attributes:
        largest: a dimension of more entries than this is no channels' and is kept whole; None: any
            may be.
    """

    def __init__(self) -> None:
        self.count = 1
        self.largest: int | None = None
        self._pairs: list[Dim] = []
        self._root: Dim = np.zeros(1, np.int64)

    def fresh(self, size: int) -> Dim:
        """A dimension whose entries are free to go, each by itself."""
        if size < 2 or (self.largest is not None and size > self.largest):
            return kept_whole(size)
        first, self.count = self.count, self.count + size
        return np.arange(first, self.count, dtype=np.int64)[:, None]

    def roots(self, dim: Dim) -> Dim:
        """One name for all labels that are united; 0 for what never goes."""
        if self._pairs or len(self._root) < self.count:
            chain = np.stack([np.arange(len(self._root)), self._root], 1)
            first, second = np.concatenate([chain, *self._pairs]).T
            links = coo_array((np.ones(len(first)), (first, second)), shape=(self.count,) * 2)
            # Numbered in the order of their first labels, so that 0 keeps its own.
            self._root = connected_components(links, directed=False)[1].astype(np.int64)
            least = np.full(self.count, self.count)
            np.minimum.at(least, self._root, np.arange(self.count))
            self._root, self._pairs = least[self._root], []
        roots: Dim = self._root[dim]
        return roots

    def free(self, dim: Dim) -> bool:
        """Whether some entry of it may go."""
        return bool(dim.size) and bool(self.roots(dim).any())

    def fix(self, dim: Dim) -> None:
        """None of its entries may go."""
        if dim.size:
            labels = dim.reshape(-1, 1)
            self._pairs.append(np.concatenate([labels, np.zeros_like(labels)], 1))

    def unite(self, first: Dim, second: Dim) -> None:
        """Entry i of the one goes when entry i of the other goes."""
        if first is second:
            return
        if first.shape[1] != second.shape[1]:
            first, second = self._needed(first), self._needed(second)
        if first.shape[1] == second.shape[1]:
            if first.size:
                self._pairs.append(np.stack([first.ravel(), second.ravel()], 1))
        else:
            self.fix(first)
            self.fix(second)

    def _needed(self, dim: Dim) -> Dim:
        return dim[:, self.roots(dim).any(0)]

    def joined(self, parts: Sequence[Dim]) -> Dim:
        """Dimensions one after the other."""
        width = max((part.shape[1] for part in parts), default=0)
        padded = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts]
        return np.concatenate(padded)

    def parted(self, dim: Dim, sizes: Sequence[int]) -> list[Dim]:
        """Its pieces; equal ones are cut anew in a narrower tensor, so they lose the same."""
        if not self.free(dim):
            return [kept_whole(size) for size in sizes]
        pieces: list[Dim] = np.split(dim, np.cumsum(sizes)[:-1])
        if len(set(sizes)) > 1:
            self.fix(dim)
        for before, after in pairwise(pieces) if len(set(sizes)) == 1 else ():
            self.unite(before, after)
        return pieces

    def reshaped(self, dims: Sequence[Dim], shape: Sequence[int]) -> list[Dim]:
        """Dimensions of the same elements in another shape."""
        if any(not len(dim) for dim in dims) or 0 in shape:
            return self._refused(dims, shape)
        for dim in dims:
            if len(dim) == 1:
                self.fix(dim)
        old, new = [dim for dim in dims if len(dim) > 1], [size for size in shape if size > 1]
        result: list[Dim] = []
        while old:
            ours, theirs = [old.pop(0)], [new.pop(0)]
            while (have := prod(map(len, ours))) != (want := prod(theirs)):
                if have < want:
                    ours.append(old.pop(0))
                else:
                    theirs.append(new.pop(0))
            result += self._regrouped(ours, theirs)
        rest = iter(result)
        return [next(rest) if size > 1 else kept_whole(1) for size in shape]

    def _refused(self, dims: Sequence[Dim], shape: Sequence[int]) -> list[Dim]:
        for dim in dims:
            self.fix(dim)
        return [kept_whole(size) for size in shape]

    def _regrouped(self, dims: Sequence[Dim], shape: Sequence[int]) -> list[Dim]:
        if [len(dim) for dim in dims] == list(shape):
            return list(dims)
        inner = [np.cumprod(sizes[::-1]) for sizes in ([len(dim) for dim in dims], shape)]
        cuts = sorted({1, *map(int, inner[0]), *map(int, inner[1])}, reverse=True)
        if any(large % small for large, small in pairwise(cuts)):
            return self._refused(dims, shape)
        steps = [large // small for large, small in pairwise(cuts)]
        pieces: list[Dim] = []
        for dim in dims:
            sizes: list[int] = []
            while prod(sizes) < len(dim):
                sizes.append(steps[len(pieces) + len(sizes)])
            pieces += self._split(dim, sizes)
        result = []
        for size in shape:
            merged = pieces.pop(0)
            while len(merged) < size:
                merged = self._merged(merged, pieces.pop(0))
            result.append(merged)
        return result

    def _split(self, dim: Dim, sizes: Sequence[int]) -> list[Dim]:
        """One dimension as several; where labels differ along more, the last of them keeps them.

        The [heads * width] rows of attention are so cut: channel c of all heads goes, or of none.
        """
        pieces = [[kept_whole(size)] for size in sizes]
        for slot in self.roots(dim).T:
            labels = slot.reshape(sizes)
            varying = [
                axis
                for axis, size in enumerate(sizes)
                if size > 1 and (labels != labels.take([0], axis)).any()
            ]
            axis = varying[-1] if varying else len(sizes) - 1
            rows = np.moveaxis(labels, axis, -1).reshape(-1, sizes[axis])
            if len(varying) > 1:
                self.unite(
                    np.broadcast_to(rows[:1], rows.shape).reshape(-1, 1), rows.reshape(-1, 1)
                )
            if rows[0].any():
                pieces[axis].append(rows[0][:, None])
        return [np.concatenate(slots, 1) for slots in pieces]

    def _merged(self, outer: Dim, inner: Dim) -> Dim:
        outer, inner = self._needed(outer), self._needed(inner)
        return np.concatenate([np.repeat(outer, len(inner), 0), np.tile(inner, (len(outer), 1))], 1)
