import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.compression.quantization.a2q.function import (
    LEAST_LOG2_STEP,
    effective_bits,
    effective_step,
    levels,
    log2_of_step,
    quantize,
)

widths = st.integers(2, 8)
signs = st.booleans()
steps = st.floats(2**-10, 8, width=32)


@st.composite
def rows(draw):
    """x [rows, width], step and bits [rows, 1], and a sign that x allows."""
    count, width = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    numbers = st.floats(-40, 40, width=32)
    x = torch.tensor([[draw(numbers) for _ in range(width)] for _ in range(count)])
    step = torch.tensor([[draw(steps)] for _ in range(count)])
    bits = torch.tensor([[float(draw(widths))] for _ in range(count)])
    signed = draw(signs)
    return (x if signed else x.abs()), step, bits, signed


def most(bits, signed):
    return torch.exp2(bits - 1 if signed else bits) - 1


@given(rows())
def test_it_is_the_formula(case):
    x, step, bits, signed = case
    code = torch.minimum(torch.floor(x.abs() / step + 0.5), most(bits, signed))
    assert torch.equal(quantize(x, step, bits, signed), torch.sign(x) * code * step)


@given(rows())
def test_idempotent_with_half_a_step_of_error_and_at_most_2_to_the_b_values(case):
    x, step, bits, signed = case
    q = quantize(x, step, bits, signed)
    assert torch.equal(quantize(q, step, bits, signed), q)
    inside = x.abs() <= most(bits, signed) * step
    error = ((q - x).abs() / step)[inside]
    assert bool((error <= 0.5 + 1e-4).all())
    outside = ~inside
    assert torch.equal(q.abs()[outside], (most(bits, signed) * step).expand_as(q)[outside])
    codes = levels(x, step, bits, signed)
    assert torch.equal(codes, codes.round())
    low = -most(bits, signed) if signed else torch.zeros_like(bits)
    assert bool(((codes >= low) & (codes <= most(bits, signed))).all())


@given(widths, signs, steps)
def test_no_more_than_2_to_the_b_values_and_in_order(bits, signed, step):
    x = torch.linspace(-3 * 2**bits * step, 3 * 2**bits * step, 20001).view(1, -1)
    q = quantize(x, torch.tensor([[step]]), torch.tensor([[float(bits)]]), signed)[0]
    assert len(q.unique()) == (2**bits - 1 if signed else 2**bits)
    assert bool((q.diff() >= 0).all())
    assert float(q[10000]) == 0


@given(rows(), st.randoms(use_true_random=False))
def test_rows_do_not_know_of_each_other(case, random):
    x, step, bits, signed = case
    order = list(range(len(x)))
    random.shuffle(order)
    q = quantize(x, step, bits, signed)
    assert torch.equal(quantize(x[order], step[order], bits[order], signed), q[order])


def by_hand(x, s, b, signed):
    """q, dq/dx, dq/ds, dq/db of one number, as the paper prints them."""
    size = 2.0 ** (b - 1 if signed else b)
    if abs(x) <= (size - 1) * s:
        q = math.copysign(math.floor(abs(x) / s + 0.5), x) * s
        return q, 1.0, (q - x) / s, 0.0
    sign = math.copysign(1, x)
    return sign * (size - 1) * s, 0.0, sign * (size - 1), sign * size * math.log(2) * s


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("local", [False, True])
def test_gradients_are_those_of_the_paper(signed, local):
    x = torch.tensor([[0.3, -0.26, 5.0], [-9.0, 0.0, 0.9]], dtype=torch.float64)
    x = x if signed else x.abs()
    step = torch.tensor([[0.2], [0.5]], dtype=torch.float64)
    bits = torch.tensor([[4.0], [3.0]], dtype=torch.float64)
    upstream = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in (x, step, bits)]
    quantize(*leaves, signed, local=local).backward(upstream)
    for row in range(2):
        want = [by_hand(v, float(step[row]), int(bits[row]), signed) for v in x[row].tolist()]
        task = upstream[row].tolist()
        assert leaves[0].grad[row].tolist() == pytest.approx(
            [g * dx for g, (_, dx, _, _) in zip(task, want, strict=True)]
        )
        if local:
            task = [
                math.copysign(1, q - v) / 3 if abs(q - v) > 1e-12 else 0
                for v, (q, *_) in zip(x[row].tolist(), want, strict=True)
            ]
        for leaf, place in ((leaves[1], 2), (leaves[2], 3)):
            total = sum(g * w[place] for g, w in zip(task, want, strict=True))
            assert float(leaf.grad[row]) == pytest.approx(total)


def test_the_local_gradient_lowers_the_error():
    torch.manual_seed(0)
    x = torch.randn(5, 64)
    step = torch.full((5, 1), 0.02, requires_grad=True)
    bits = torch.full((5, 1), 4.0)
    before = (quantize(x, step, bits, True) - x).abs().mean(-1)
    for _ in range(30):
        (step.grad,) = torch.autograd.grad(quantize(x, step, bits, True, local=True).sum(), step)
        with torch.no_grad():
            step -= 0.005 * step.grad.sign()
    assert bool(((quantize(x, step, bits, True) - x).abs().mean(-1) < before).all())


@given(st.floats(-20, 20, width=32))
def test_bits_are_whole_between_two_and_eight_and_pass_their_gradient(bits):
    leaf = torch.tensor([bits], requires_grad=True)
    used = effective_bits(leaf)
    used.sum().backward()
    assert used.tolist() == [min(max(round(abs(bits)), 2), 8)]
    assert float(leaf.grad) == 1


@given(st.floats(-60, 12, width=32))
def test_a_step_is_a_bfloat16_above_zero_and_learns_as_its_logarithm(log2):
    leaf = torch.tensor([log2], requires_grad=True)
    step = effective_step(leaf)
    step.sum().backward()
    assert torch.equal(step, step.bfloat16().float())
    assert float(step.detach()) == pytest.approx(2 ** max(log2, LEAST_LOG2_STEP), rel=2**-8)
    slope = float(step.detach()) * math.log(2) if log2 >= LEAST_LOG2_STEP else 0
    assert float(leaf.grad) == pytest.approx(slope, rel=2**-7)


def test_rows_of_zeros_stay_zero():
    zeros = torch.zeros(1, 3)
    step = effective_step(log2_of_step(torch.zeros(1, 1)))
    assert float(step) == 2**LEAST_LOG2_STEP
    assert torch.equal(quantize(zeros, step, torch.full((1, 1), 4.0), True), zeros)
