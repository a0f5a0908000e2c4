"""The maximum of each graph's rows, and sorting by counting, beside torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.ops import SparseMatrix, spmm
from gnnperf.ops.graphs import readout
from gnnperf.ops.ordering import stable_order
from gnnperf.ops.segments import segment_max


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 99))
def test_the_maximum_and_its_gradient_are_the_readouts(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    start = torch.tensor([0, *sizes]).cumsum(0)
    # Ties too, which the first row wins.
    x = torch.randint(-2, 3, (sum(sizes), 3), generator=generator).float()
    weight = torch.randn(len(sizes), 3, generator=generator)
    results = []
    for call in (segment_max, lambda x, start: readout(x, start, "max")):
        leaf = x.clone().requires_grad_()
        result = call(leaf, start)
        (result * weight).sum().backward()
        results.append((result.detach(), leaf.grad))
    assert all(map(torch.equal, *results))


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 65535, 65536, 65537])
def test_order_is_torchs(size):
    generator = torch.Generator().manual_seed(size)
    index = torch.randint(size, (400,), generator=generator)
    index[:2] = size - 1
    assert torch.equal(stable_order(index, size), torch.argsort(index, stable=True))


@pytest.mark.parametrize("entries", [0, 511, 512, 513, 1024, 1100])
def test_gradients_of_values_do_not_hang_on_how_many_there_are(entries):
    generator = torch.Generator().manual_seed(0)
    row, column = torch.randint(30, (2, entries), generator=generator)
    dense, grad = torch.randn(2, 30, 7, generator=generator)
    value = torch.rand(entries, generator=generator)
    matrix = SparseMatrix.from_coo(row, column, value, (30, 30))
    learned = matrix.with_value(matrix.value.clone().requires_grad_())
    spmm(learned, dense).backward(grad)
    expected = (grad[matrix.row] * dense[matrix.column]).sum(-1)
    assert torch.equal(learned.value.grad, expected)
