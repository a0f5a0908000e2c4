"""`bf16`: weights and what lies between layers in bfloat16, readout and head in float32."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch_geometric.data import Data

from gnnperf.deploy.base import Deployed, Deployment, Promise
from gnnperf.deploy.fused import (
    FLOAT,
    DenseProduct,
    Format,
    FusedProgram,
    Numbers,
    Product,
    Site,
    head_of,
)
from gnnperf.deploy.plans import NoPlan, kernels_in_use, lean_instead, lean_plan, warmed
from gnnperf.deploy.trial import fastest

HALF = Format(torch.bfloat16)


class HalfNumbers(Numbers):
    """bfloat16 up to the readout.

    Args:
        head: number of the first step after it.
        native: whether products are of bfloat16; else of its numbers in float32.
        travels: whether what is summed up is.
    """

    def __init__(self, head: int, native: bool, travels: bool) -> None:
        self._head, self._native, self._travels = head, native, travels

    def message(self, site: Site) -> Format:
        """What is summed up."""
        return HALF if self._travels and site[0] < self._head else FLOAT

    def operand(self, site: Site) -> Format:
        """What a dense product takes."""
        return HALF if self._native and site[0] < self._head else FLOAT

    def product(
        self,
        number: int,
        weight: Tensor,
        bias: Tensor | None,
        relu: bool,
        takes: Format,
        gives: Format,
    ) -> Product:
        """Of rounded weights."""
        if number >= self._head:
            return DenseProduct(weight, bias, relu, takes, gives)
        rounded = weight.bfloat16()
        if not self._native:
            return DenseProduct(rounded.float(), bias, relu, takes, gives)
        return DenseProduct(rounded, None if bias is None else bias.bfloat16(), relu, takes, gives)


@functools.cache
def products_are_faster() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32, tried once."""
    x, weight = torch.ones(256, 128), torch.ones(128, 128)
    half_x, half_weight = x.bfloat16(), weight.bfloat16()
    return fastest([lambda: linear(x, weight), lambda: linear(half_x, half_weight)]) == 1


def lower(model: nn.Module, batches: Sequence[Data]) -> Deployed:
    """The plan in bfloat16, as far as that is faster here; without a plan, lean."""
    plan = lean_plan(model)
    if isinstance(plan, NoPlan):
        return lean_instead(model, batches, f"float32, as {plan.reason}")
    head, native = head_of(plan), products_are_faster()
    programs = [
        FusedProgram(plan, batches[0], HalfNumbers(head, native, travels))
        for travels in (True, False)
    ]
    ready = [program.prepare(batches[0]) for program in programs]
    chosen = fastest(
        [lambda p=p, d=d: p(d) for p, d in zip(programs, ready, strict=True)]  # type: ignore[misc]  # bound early
    )
    left = [] if native else ["products in float32, which this processor multiplies faster"]
    if chosen == 1:
        left.append("float32 between layers, which was faster on these graphs")
    done = (*plan.done, "weights rounded to bfloat16", kernels_in_use())
    return warmed(Deployed(programs[chosen], done, "; ".join(left)), batches)


DEPLOYMENT = Deployment(
    "lean, with weights and features in bfloat16; readout and head in float32",
    lower,
    Promise(agreement=0.99),
)
