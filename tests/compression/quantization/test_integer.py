import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.compression.quantization import integer
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.integer import affine_matmul, integer_matmul

sizes = st.integers(1, 70)
zeros = st.integers(-128, 127)


def codes(*shape):
    return torch.randint(-128, 128, shape, dtype=torch.int8)


@given(sizes, sizes, sizes, st.booleans())
def test_the_product_is_exact(rows, width, columns, with_int8_product):
    left, right = codes(rows, width), codes(columns, width)
    left[0], right[0] = -128, -128
    with pytest.MonkeyPatch.context() as patch:
        with_it = with_int8_product and integer._int8_product_is_exact(left.device)
        patch.setattr(integer, "_int8_product_pays", lambda device: with_it)
        found = integer_matmul(left, right)
    assert found.dtype == torch.int32
    assert torch.equal(found.double(), left.double() @ right.double().t())


@pytest.mark.parametrize("width", [1023, 1024, 1025, 5000])
@pytest.mark.parametrize("other", [-128, 127])
def test_the_greatest_sums_are_exact_either_way(width, other, monkeypatch):
    """float32 holds those of 1024 products, and no more."""
    monkeypatch.setattr(integer, "_int8_product_pays", lambda device: False)
    left = torch.full((2, width), -128, dtype=torch.int8)
    right = torch.full((3, width), other, dtype=torch.int8)
    left[0, 0], right[0, 0] = 127, 127
    assert torch.equal(integer_matmul(left, right).double(), left.double() @ right.double().t())


@given(sizes, sizes, sizes, zeros, zeros, st.booleans())
def test_zero_points_are_subtracted(rows, width, columns, left_zero, right_zero, each):
    left, right = codes(rows, width), codes(columns, width)
    if each:
        left_zero = torch.randint(-128, 128, (rows, 1), dtype=torch.int32)
        right_zero = torch.randint(-128, 128, (columns,), dtype=torch.int32)
    shift = right_zero.unsqueeze(1) if each else right_zero
    expected = (left.double() - left_zero) @ (right.double() - shift).t()
    assert torch.equal(affine_matmul(left, right, left_zero, right_zero).double(), expected)


def test_the_widest_layer_does_not_overflow():
    width = integer.MAX_IN_FEATURES
    left, right = (torch.full((2, width), fill, dtype=torch.int8) for fill in (127, -128))
    found = affine_matmul(left, right, -128, 127)
    assert found.tolist() == [[-(255**2) * width] * 2] * 2
    with pytest.raises(QuantizationError, match=f"{width + 1} input features: .* split the layer"):
        integer_matmul(codes(1, width + 1), codes(1, width + 1))
