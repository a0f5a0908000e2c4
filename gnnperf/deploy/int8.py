"""`int8`: codes between layers and in their products, rounded where they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.compression.quantization.fake_quantize import FakeQuantize, QuantizerSettings
from gnnperf.deploy.base import Deployed, DeployError, Deployment, Promise
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
from gnnperf.deploy.kernels import Grid8
from gnnperf.deploy.plan import Plan
from gnnperf.deploy.plans import NoPlan, kernels_in_use, lean_instead, lean_plan, warmed
from gnnperf.deploy.qlinear import HIGHEST_CODE, IntegerProduct, highest_code
from gnnperf.deploy.simulated import fewest_bits, float_form, quantizer_settings

BITS = 8


class IntegerNumbers(Numbers):
    """Codes from the first layer's result to the readout.

    Args:
        formats: of each site that holds codes.
        head: number of the first step after the readout.
        rows: how many rows a product usually has.
    """

    def __init__(self, formats: Mapping[Site, Format], head: int, rows: int) -> None:
        self._formats, self._head, self._rows = formats, head, rows

    def message(self, site: Site) -> Format:
        """What is summed up: codes, but for raw features."""
        return self._formats.get(site, FLOAT)

    def operand(self, site: Site) -> Format:
        """What a product takes: the same."""
        return self._formats.get(site, FLOAT)

    def product(
        self,
        number: int,
        weight: Tensor,
        bias: Tensor | None,
        relu: bool,
        takes: Format,
        gives: Format,
    ) -> Product:
        """Of codes where codes come."""
        if takes.dtype != torch.uint8:
            return DenseProduct(weight, bias, relu, takes, gives)
        return IntegerProduct(weight, bias, relu, takes, gives, self._rows)


def calibrated(
    plan: Plan, batches: Sequence[Data], settings: QuantizerSettings
) -> dict[Site, Format]:
    """What codes stand for at each site after the first layer and before the head."""
    watching: dict[Site, FakeQuantize] = {}
    head = head_of(plan)

    def watch(site: Site, x: Tensor) -> None:
        if 0 < site[0] < head:
            watching.setdefault(site, FakeQuantize(settings)).observe(x)

    program = FusedProgram(plan, batches[0], Numbers(), watch)
    with torch.inference_mode():
        for batch in batches:
            program(batch)
    return {site: _format(quantizer) for site, quantizer in watching.items()}


def _format(quantizer: FakeQuantize) -> Format:
    grid = quantizer.grid()
    return Format(torch.uint8, Grid8(float(grid.scale), int(grid.zero_point(signed=False))))


def lower(model: nn.Module, batches: Sequence[Data]) -> Deployed:
    """The plan on codes; without a plan, lean.

    Ranges are those of the examples: of a quantized model cut off as its quantizers cut. Raises
    DeployError for a model that rounds what passes to fewer bits.
    """
    settings = _settings(model)
    plain = float_form(model)
    plan = lean_plan(plain)
    if isinstance(plan, NoPlan):
        return lean_instead(model, batches, f"float32, as {plan.reason}")
    rows = max(int(batch.num_nodes) for batch in batches)
    formats = calibrated(plan, batches, settings)
    program = FusedProgram(plan, batches[0], IntegerNumbers(formats, head_of(plan), rows))
    done = (*plan.done, "codes of 8 bits between layers", kernels_in_use())
    left = ""
    if highest_code() < HIGHEST_CODE:
        left = "weights of 7 bits, as products of 8 saturate on this processor"
    return warmed(Deployed(program, done, left), batches)


def _settings(model: nn.Module) -> QuantizerSettings:
    fewest = fewest_bits(model)
    if fewest is not None and fewest < BITS:
        raise DeployError(
            f"deploy=int8: the model's quantizers are of {fewest} bits, and its codes would "
            "be of 8; quantize it to int8"
        )
    found = quantizer_settings(model)
    if fewest is not None and not found:
        return QuantizerSettings(BITS)  # Of an integer model; how it found its ranges is forgotten.
    cut = max((settings.cut for settings in found if settings.range == "per"), default=None)
    if cut is None:
        return QuantizerSettings(BITS, range="abs")
    return QuantizerSettings(BITS, range="per", cut=cut)


DEPLOYMENT = Deployment(
    "lean, on codes of 8 bits from the first layer to the readout", lower, Promise(agreement=0.985)
)
