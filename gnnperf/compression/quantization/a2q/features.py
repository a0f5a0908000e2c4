"""Steps and bit-widths of the features that enter a layer, by node or by group (A2Q)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gnnperf.compression.quantization.a2q.function import (
    LEAST_LOG2_STEP,
    effective_bits,
    effective_step,
    levels,
    log2_of_step,
    magnitudes,
    quantize,
)
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.grid import MAX_BITS, MIN_BITS


class FeatureQuantizer(nn.Module):
    """What nodes and groups have in common.

    A site begins without a sign and takes one, for good, when training shows it a negative value.
    The first batch in training sets the steps by the rows' largest magnitudes.

    Attributes:
        log2_steps, bits: parameters [rows or groups].
        signed, ready: bool buffers; whether there is a sign, and whether the steps are set.
        used: bool [rows or groups], those that the last forward in training used; None: it was
            none, or its memory has been counted.
        is_counted: whether somebody asks for `mean_bits`.
        mean_bits: of the rows of the last forward in training, with its gradient.
    """

    parameter_roles: ClassVar = {"log2_steps": "feature_steps", "bits": "feature_bits"}
    by_node = False
    signed: Tensor
    ready: Tensor

    def __init__(self, count: int, bits: int, device: torch.device | None = None) -> None:
        super().__init__()
        self.log2_steps = nn.Parameter(torch.full((count,), LEAST_LOG2_STEP, device=device))
        self.bits = nn.Parameter(torch.full((count,), float(bits), device=device))
        self.register_buffer("signed", torch.tensor(False, device=device))
        self.register_buffer("ready", torch.tensor(False, device=device))
        self.used: Tensor | None = None
        self.is_counted = False
        self.mean_bits: Tensor | None = None

    @property
    def least_bits(self) -> int:
        """2 beside a sign, 1 without."""
        return MIN_BITS if self.signed else MIN_BITS - 1

    def whole_bits(self) -> Tensor:
        """Effective bits [rows or groups], with their gradient."""
        return effective_bits(self.bits, self.least_bits)

    def extra_repr(self) -> str:
        """How many there are."""
        return str(len(self.log2_steps))

    def forward(self, x: Tensor) -> Tensor:
        """Fake-quantized features [rows, width]; raises QuantizationError for NaN or infinity."""
        step, bits = self.rows(x)
        return quantize(x, step, bits, bool(self.signed), local=self.by_node)

    def levels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same as whole numbers [rows, width], and the step [rows, 1] that each row counts."""
        step, bits = self.rows(x)
        return levels(x, step, bits, bool(self.signed)), step

    def rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Effective step and bits [rows, 1] of each row of x [rows, width]."""
        if not self.training:
            self.check_ready()
        least, peak = row_range(x.detach())
        if self.training:
            self._learn_range(least, peak)
        index = self.index(peak)
        if self.training:
            self.used = self.mask(index)
        step, bits = effective_step(self.log2_steps), self.whole_bits()
        if index is not None:
            step, bits = step[index], bits[index]
        if self.training and self.is_counted and len(bits):
            self.mean_bits = bits.mean()
        return step.unsqueeze(-1), bits.unsqueeze(-1)

    def check_ready(self) -> None:
        """Raise QuantizationError before the first training step."""
        if not self.ready:
            raise QuantizationError(
                "an A2Q layer has no steps before its first training step; train the model, or "
                "load a trained state, before it is evaluated or exported"
            )

    def index(self, peak: Tensor) -> Tensor | None:
        """Which steps and bits [rows] belong to rows with these peaks; None: those in order."""
        raise NotImplementedError

    def distinct(self) -> tuple[Tensor, Tensor]:
        """Effective steps and bits that inference needs."""
        return effective_step(self.log2_steps.detach()), self.whole_bits().detach()

    def mask(self, index: Tensor | None) -> Tensor:
        """Bool [rows or groups]: those in the index [rows]; all without one."""
        if index is None:
            return torch.ones_like(self.bits, dtype=torch.bool)
        used = torch.zeros_like(self.bits, dtype=torch.bool)
        used[index] = True
        return used

    @torch.no_grad()
    def _learn_range(self, least: Tensor, peak: Tensor) -> None:
        if not len(peak):
            return
        if not self.signed and float(least.min()) < 0:
            self.signed.fill_(True)
            if self.ready:
                # Half as many levels are left on either side, and reach as far as before.
                self.log2_steps.add_(1)
        if not self.ready:
            size = magnitudes(self.whole_bits(), bool(self.signed))
            self.log2_steps.copy_(log2_of_step(self._first_steps(peak, size)))
            self.ready.fill_(True)

    def _first_steps(self, peak: Tensor, size: Tensor) -> Tensor:
        raise NotImplementedError


class NodeQuantizer(FeatureQuantizer):
    """One step and bit-width for each node of a graph that never changes.

    Both learn from the quantization error of their node alone: a node without a label has no
    other gradient.
    """

    by_node = True

    def index(self, peak: Tensor) -> None:
        """In order; raises QuantizationError for another number of nodes."""
        check_nodes(len(self.log2_steps), len(peak))

    def _first_steps(self, peak: Tensor, size: Tensor) -> Tensor:
        check_nodes(len(self.log2_steps), len(peak))
        return peak / (size - 1)


class GroupQuantizer(FeatureQuantizer):
    """Groups with a step and a bit-width each, of which every row takes the nearest."""

    def index(self, peak: Tensor) -> Tensor:
        """The nearest group int64 [rows]; no gradient."""
        step, bits = effective_step(self.log2_steps.detach()), self.whole_bits().detach()
        return nearest_group(peak, step, bits, bool(self.signed))

    def _first_steps(self, peak: Tensor, size: Tensor) -> Tensor:
        # Tops at even ranks of the first batch's peaks: as many of its rows for each group.
        place = torch.linspace(0, len(peak) - 1, len(self.log2_steps), device=peak.device)
        low, ordered = place.floor().long(), peak.float().sort().values
        # As torch.quantile, which takes no more than 16 million values.
        return torch.lerp(ordered[low], ordered[place.ceil().long()], place - low) / size

    def distinct(self) -> tuple[Tensor, Tensor]:
        """Effective steps and bits [groups] of the groups that differ, in order."""
        both = torch.stack([effective_step(self.log2_steps), self.whole_bits()], -1)
        step, bits = torch.unique(both.detach(), dim=0).unbind(-1)
        return step.contiguous(), bits.contiguous()

    @torch.no_grad()
    def settle(self, used: Tensor) -> None:
        """Leave the groups of the mask [groups] alone: all others become one of them."""
        if not used.any():
            return
        spare = used.nonzero()[0, 0]
        for values in (self.log2_steps, self.bits):
            values.copy_(torch.where(used, values, values[spare]))


def row_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Least value and largest magnitude [rows] of each row of x [rows, width].

    Raises QuantizationError for NaN and infinity, which no code stands for.
    """
    least, most = torch.aminmax(x, dim=-1)
    peak = torch.maximum(most, -least)
    if not bool(torch.isfinite(peak).all()):
        raise QuantizationError(
            "an A2Q layer was given features that are NaN or infinite, for which there is no code; "
            "mend the data, or train with a lower learning rate"
        )
    return least, peak


def nearest_group(peak: Tensor, step: Tensor, bits: Tensor, signed: bool) -> Tensor:
    """The group int64 [rows] that minimises (peak - 2^(b-1) s)^2, 2^b s without a sign.

    A search among the sorted tops: no matrix of rows times groups. Of equal tops the smallest step
    comes first, so that the order of the groups means nothing.

    Args:
        peak: largest magnitude [rows] of each row.
        step, bits: [groups], effective.
        signed: whether there are negative codes.
    """
    step, by_step = torch.sort(step, stable=True)
    top, by_top = torch.sort(magnitudes(bits[by_step], signed) * step, stable=True)
    return by_step[by_top[torch.bucketize(peak, (top[1:] + top[:-1]) / 2)]]


def check_nodes(steps: int, rows: int) -> None:
    """Raise QuantizationError unless there is a step for each row."""
    if steps != rows:
        raise QuantizationError(
            f"an A2Q layer has steps for {steps} nodes and was given {rows} rows; steps by node "
            "fit the graph alone that they were trained on"
        )


@torch.no_grad()
def hold_ranges(model: nn.Module) -> None:
    """Bring steps and bits back to where they mean something; call after each optimizer step.

    Bits that a gradient pushed far out would take as many steps to come back.
    """
    for module in model.modules():
        if isinstance(module, FeatureQuantizer):
            module.log2_steps.clamp_(min=LEAST_LOG2_STEP)
            module.bits.clamp_(module.least_bits, MAX_BITS)
