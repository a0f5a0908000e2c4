"""A2Q's quantizer: a step and a bit-width for each row, both with gradients.

Source: Zhu et al., A2Q: Aggregation-Aware Quantization for Graph Neural Networks (ICLR 2023).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gnnperf.compression.quantization.grid import MAX_BITS, MIN_BITS

LEAST_LOG2_STEP = -24.0
"""No step is smaller than 2 to it, so that a row of zeros divides by something."""


def effective_step(log2_step: Tensor) -> Tensor:
    """2^log2_step rounded to bfloat16, as which it is stored; the gradient passes the rounding.

    The paper learns the step itself, beginning near 0.1. Steps that fit their weights begin lower,
    and Adam's first updates, all of the size of its rate, would throw them out: GNNNet's weights
    all became 0. An update of the logarithm is one by a share of the step, whatever its size.
    """
    step = torch.exp2(log2_step.clamp(min=LEAST_LOG2_STEP))
    return step.detach().bfloat16().to(step.dtype) + (step - step.detach())


def log2_of_step(step: Tensor) -> Tensor:
    """The parameter of a step, which is at least the least."""
    return step.log2().clamp(min=LEAST_LOG2_STEP)


def effective_bits(bits: Tensor, least: int = MIN_BITS) -> Tensor:
    """round(|b|) within `least` to 8; the gradient passes as if nothing was rounded.

    One bit would have no level but 0 beside a sign, and two levels without.
    """
    rounded = bits.detach().abs().round().clamp(least, MAX_BITS)
    return rounded + (bits - bits.detach())


def magnitudes(bits: Tensor, signed: bool) -> Tensor:
    """2^(b-1), of which the largest code is one less; 2^b without a sign, which frees its bit."""
    return torch.exp2(bits - 1 if signed else bits)


def levels(x: Tensor, step: Tensor, bits: Tensor, signed: bool) -> Tensor:
    """The integers, as floats, that stand for x.

    Args:
        x: [rows, width].
        step, bits: [rows, 1], effective.
        signed: whether codes may be negative; if not, negative values become 0.

    Returns:
        sign(x) min(floor(|x| / s + 1/2), 2^(b-1) - 1) [rows, width]; up to 2^b - 1 unsigned.
    """
    return _rounded(_clamped(x / step, bits, signed), signed)


def _clamped(scaled: Tensor, bits: Tensor, signed: bool) -> Tensor:
    most = magnitudes(bits, signed) - 1
    return scaled.clamp(-most if signed else torch.zeros_like(most), most)


def _rounded(clamped: Tensor, signed: bool) -> Tensor:
    if not signed:
        return (clamped + 0.5).floor_()
    return clamped.sign().mul_(0.5).add_(clamped).trunc_()


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, bits: Tensor, signed: bool, local: bool
    ) -> Tensor:
        scaled = x / step
        clamped = _clamped(scaled, bits, signed)
        code = _rounded(clamped, signed)
        ctx.save_for_backward(scaled, scaled == clamped, code, step, bits)
        ctx.signed, ctx.local = signed, local
        return code * step

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None, None]:
        scaled, inside, code, step, bits = ctx.saved_tensors
        passed = grad * inside
        step_grad = bits_grad = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            weight = (code - scaled).sign_().div_(code.size(-1)) if ctx.local else grad
            # Outside the range the code is the largest one: sign(x) (2^(b-1) - 1).
            outside_grad = (weight * code).masked_fill_(inside, 0).sum(-1, keepdim=True)
            inside_grad = (weight * (code - scaled)).mul_(inside).sum(-1, keepdim=True)
            step_grad = inside_grad + outside_grad
            size = magnitudes(bits, ctx.signed)
            bits_grad = outside_grad / (size - 1) * size * math.log(2) * step
        return passed, step_grad, bits_grad, None, None


def quantize(x: Tensor, step: Tensor, bits: Tensor, signed: bool, *, local: bool = False) -> Tensor:
    """Codes times step, with the gradients of A2Q.

    To x the gradient passes inside the range only, |x| <= (2^(b-1) - 1) s. Inside, dq/ds is
    (q - x) / s and dq/db is 0; outside, dq/ds is sign(x) (2^(b-1) - 1) and dq/db is
    sign(x) 2^(b-1) ln(2) s. Both are summed over the width.

    Args:
        x: [rows, width].
        step, bits: [rows, 1], effective.
        signed: as in `levels`.
        local: step and bits learn from the mean over the width of |q - x|, not from the task.
    """
    quantized: Tensor = _Quantize.apply(x, step, bits, signed, local)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return quantized
