"""What reading and writing by numbers does to labels of channels: where entries go is data."""

from __future__ import annotations

import torch

from gnnperf.compression.pruning.channels.calls import Call, Dims
from gnnperf.compression.pruning.channels.labels import kept_whole


def embedded(call: Call) -> Dims:
    """Rows by their numbers."""
    rows, columns = call.dims("weight")
    call.labels.fix(rows)
    return [*call.dims("indices"), columns]


def bagged(call: Call) -> list[Dims]:
    """Sums of rows by their numbers."""
    call.fix_all("indices", "offsets", "per_sample_weights")
    rows, columns = call.dims("weight")
    call.labels.fix(rows)
    other = [[kept_whole(size) for size in out.shape] for out in call.outputs[1:]]
    return [[kept_whole(call.shape[0]), columns], *other]


def chosen(call: Call) -> Dims:
    """Entries of one dimension by their numbers."""
    call.fix_all("index")
    dims = list(call.dims("self"))
    if dims:
        call.labels.fix(dims[call.axis()])
        dims[call.axis()] = kept_whole(call.shape[call.axis()])
    return dims


def gathered(call: Call) -> Dims:
    """An entry for each entry of the index, from the same place in all dimensions but one."""
    axis, dims, index = call.axis(), call.dims("self"), list(call.dims("index"))
    for number, (one, other) in enumerate(zip(dims, index, strict=True)):
        if number != axis and len(one) == len(other):
            call.labels.unite(one, other)
        else:
            call.labels.fix(one)
            call.labels.fix(other)
    return index


def scattered(call: Call) -> Dims:
    """The reverse of gathering; where entries go is data."""
    axis, dims = call.axis(), call.dims("self")
    for others in call.all_dims("index", "src", "source"):
        # The index of index_add has one dimension, that of scatter_add all.
        if len(others) != len(dims):
            call.fix_all("index")
            continue
        for number, (one, other) in enumerate(zip(dims, others, strict=True)):
            if number != axis and len(one) == len(other):
                call.labels.unite(one, other)
            else:
                call.labels.fix(one)
                call.labels.fix(other)
    return dims


def _places(call: Call) -> tuple[list[int], list[int]]:
    """Dimensions that an advanced index takes, and those that it leaves."""
    taken: list[int] = []
    number = 0
    for index in call.given["indices"]:
        mask = index is not None and index.dtype in (torch.bool, torch.uint8)
        count = index.dim() if mask else 1
        if index is not None:
            taken += range(number, number + count)
        number += count
    return taken, [n for n in range(len(call.dims("self"))) if n not in taken]


def indexed(call: Call) -> Dims:
    """x[i, :, j]: entries by numbers that are data."""
    dims = call.dims("self")
    taken, left = _places(call)
    call.fix_all("indices")
    for number in taken:
        call.labels.fix(dims[number])
    new = len(call.shape) - len(left)
    # NumPy's rule: what the numbers give stands where they stood, or first if they stood apart.
    first = taken[0] if taken == list(range(taken[0], taken[-1] + 1)) else 0
    result = [dims[number] for number in left]
    return [*result[:first], *map(kept_whole, call.shape[first : first + new]), *result[first:]]


def index_put(call: Call) -> Dims:
    """x[i, :, j] = values."""
    dims, (values,) = call.dims("self"), call.all_dims("values")
    taken, left = _places(call)
    call.fix_all("indices")
    for number in taken:
        call.labels.fix(dims[number])
    tail = [number for number in left if not taken or number > taken[-1]]
    matched = 0
    for number, dim in zip(reversed(tail), reversed(values), strict=False):
        matched += 1
        if len(dim) == len(dims[number]):
            call.labels.unite(dim, dims[number])
    for dim in values[: len(values) - matched]:
        call.labels.fix(dim)
    for number in left:
        if number not in tail:
            call.labels.fix(dims[number])
    return dims


def segmented(call: Call) -> Dims:
    """Reduced piece by piece along the rows."""
    dims = list(call.dims("data"))
    call.labels.fix(dims[0])
    return [kept_whole(call.shape[0]), *dims[1:]]
