"""`sparse`: unstructured zeros are skipped in the products where a trial finds that faster."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.deploy.base import Deployed, Deployment
from gnnperf.deploy.fused import DenseProduct, Format, FusedProgram, Numbers, Product, Site
from gnnperf.deploy.kernels import SparseWeight, sparse_linear
from gnnperf.deploy.plans import NoPlan, kernels_in_use, lean_instead, lean_plan, warmed
from gnnperf.deploy.program import Program
from gnnperf.deploy.trial import fastest

# Above it no product was faster for skipping its zeros.
DENSEST = 0.7


class SparseProduct:
    """Zeros of the weight skipped; the result is float32."""

    def __init__(self, weight: SparseWeight) -> None:
        self._weight = weight

    @property
    def nbytes(self) -> int:
        """Bytes of the entries, their places and the bias."""
        return self._weight.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """[n, in] to [n, out]."""
        return sparse_linear(x, self._weight)


class SparseNumbers(Numbers):
    """float32; each product as it is faster on what came to it in the examples.

    Args:
        seen: rows that came to each site.
    """

    def __init__(self, seen: dict[Site, Tensor]) -> None:
        self._seen = seen
        self.tried: list[tuple[int, bool]] = []
        """Number of each layer that has enough zeros, and whether they are skipped."""

    def product(
        self,
        number: int,
        weight: Tensor,
        bias: Tensor | None,
        relu: bool,
        takes: Format,
        gives: Format,
    ) -> Product:
        """Dense, or sparse where that is faster."""
        dense = DenseProduct(weight, bias, relu, takes, gives)
        if int(weight.count_nonzero()) > DENSEST * weight.numel():
            return dense
        rows = next(
            x for (n, _), x in self._seen.items() if n == number and x.size(1) == weight.size(1)
        )
        sparse = SparseProduct(SparseWeight.of(weight, bias, relu))
        skips = fastest([lambda: dense(rows), lambda: sparse(rows)]) == 1
        self.tried.append((number, skips))
        return sparse if skips else dense


def lower(model: nn.Module, batches: Sequence[Data]) -> Deployed:
    """The lean form with zeros skipped; a model that has no plan is deployed lean."""
    plan = lean_plan(model)
    if isinstance(plan, NoPlan):
        return lean_instead(model, batches, f"no zeros skipped, as {plan.reason}")
    seen: dict[Site, Tensor] = {}

    def watch(site: Site, x: Tensor) -> None:
        seen.setdefault(site, x)

    watching = FusedProgram(plan, batches[0], Numbers(), watch)
    with torch.inference_mode():
        watching(batches[0])
    numbers = SparseNumbers(seen)
    program: nn.Module = FusedProgram(plan, batches[0], numbers)
    skipping = [n for n, skips in numbers.tried if skips]
    dense = [n for n, skips in numbers.tried if not skips]
    left = f"dense is faster in layers {_listed(dense)}" if dense else ""
    if not skipping:
        program = Program(plan, batches[0])
        return Deployed(program, plan.done, left or "there are too few zeros to skip")
    done = (*plan.done, f"zeros skipped in layers {_listed(skipping)}", kernels_in_use())
    return warmed(Deployed(program, done, left), batches)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


DEPLOYMENT = Deployment("lean, with zeros of the weights skipped where that is faster", lower)
