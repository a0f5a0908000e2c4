"""Sparsemax over the rows of a sparse matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def sparsemax(value: Tensor, row: Tensor, rows: int) -> Tensor:
    """Project each row's values onto the probability simplex; many entries become exactly zero.

    `value` [entries] belongs to `row` [entries], int64 in any order; gives [entries],
    differentiable. Source: Martins and Astudillo, 2016; the threshold by Michelot's algorithm
    (1986), which drops entries until none lies below the threshold of those that are left.
    """
    top = value.new_full((rows,), float("-inf"))
    top = top.scatter_reduce(0, row, value.detach(), "amax")
    # The result does not depend on a row's shift; small numbers keep the sums exact.
    value = value - top[row]
    # The threshold is never below the largest less one: most entries are out from the start.
    left = (value.detach() > -1).nonzero().flatten()
    few, few_row = value.detach()[left], row[left]
    while True:
        # Once out, always out: rounding must not bring an entry back, or this never ends.
        above = few > _threshold(few, few_row, rows)[few_row]
        if bool(above.all()):
            break
        still = above.nonzero().flatten()
        left, few, few_row = left[still], few[still], few_row[still]
    few = value[left]
    return torch.zeros_like(value).index_put((left,), few - _threshold(few, few_row, rows)[few_row])


def _threshold(value: Tensor, row: Tensor, rows: int) -> Tensor:
    size = value.new_zeros(rows).index_add(0, row, torch.ones_like(value))
    total = value.new_zeros(rows).index_add(0, row, value)
    return (total - 1) / size.clamp(min=1)
