import pytest
import torch

from gnnperf.compression.quantization.linear import exact_product


@pytest.mark.parametrize("width", [1, 255, 256, 257, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_of_the_greatest_levels_are_exact(width, dtype):
    left = torch.full((3, width), 255, dtype=dtype)
    right = torch.full((2, width), 255, dtype=dtype)
    # An odd sum beyond 2^24 would be rounded in float32.
    left[0, 0], right[:, 0] = 254, -1
    found = exact_product(left, right, 16)
    whole = left.long() @ right.long().t()
    assert found.dtype == dtype
    assert torch.equal(found, whole.to(dtype))


def test_sums_that_float32_cannot_add_up_are_added_in_float64():
    """One hundred times 2^24 + 1 less 2^24: float32 would lose the ones on the way."""
    left = torch.tensor([[4096.0, 1.0] * 100 + [4096.0] * 100])
    right = torch.tensor([[4096.0, 1.0] * 100 + [-4096.0] * 100])
    assert exact_product(left, right, 25).item() == 100.0
