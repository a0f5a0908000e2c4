import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.ops import SparseMatrix, add_scaled, sparse_if_worthwhile, spmm


def matrix_of(entries, rows, columns, dtype=torch.double):
    row = torch.tensor([e[0] for e in entries], dtype=torch.long)
    column = torch.tensor([e[1] for e in entries], dtype=torch.long)
    value = torch.tensor([e[2] for e in entries], dtype=dtype)
    sparse = SparseMatrix.from_coo(row, column, value, (rows, columns))
    dense = torch.zeros(rows, columns, dtype=dtype).index_put((row, column), value, accumulate=True)
    return sparse, dense


@st.composite
def matrices(draw):
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    entry = st.tuples(
        st.integers(0, rows - 1), st.integers(0, columns - 1), st.floats(-2, 2, width=32)
    )
    return matrix_of(draw(st.lists(entry, max_size=20)), rows, columns)


@given(matrices(), st.integers(1, 5))
def test_equals_the_dense_product(pair, width):
    sparse, dense = pair
    h = torch.randn(dense.size(1), width, dtype=torch.double)
    torch.testing.assert_close(spmm(sparse, h), dense @ h)


@given(matrices())
def test_gradients_of_values_and_dense(pair):
    sparse, _ = pair
    h = torch.randn(sparse.shape[1], 3, dtype=torch.double, requires_grad=True)
    value = sparse.value.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v, h: spmm(sparse.with_value(v), h), (value, h))


def test_gradients_follow_values_that_are_learned_in_place():
    sparse, _ = matrix_of([(0, 1, 2.0), (1, 0, 3.0)], 2, 2)
    sparse = sparse.with_value(sparse.value.requires_grad_())
    h = torch.ones(2, 1, dtype=torch.double, requires_grad=True)
    for factor in (1.0, 10.0):
        with torch.no_grad():
            sparse.value.mul_(factor)
        h.grad = None
        spmm(sparse, h).sum().backward()
        assert h.grad.flatten().tolist() == [3.0 * factor, 2.0 * factor]


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (0, 3)])
def test_a_scaled_addend_equals_addcmul(shape):
    total, addend = (torch.randn(shape, dtype=torch.double, requires_grad=True) for _ in range(2))
    scale = torch.randn(1, dtype=torch.double, requires_grad=True)
    expected = torch.addcmul(total, scale, addend)
    torch.testing.assert_close(add_scaled(total, scale, addend), expected)
    assert torch.autograd.gradcheck(add_scaled, (total, scale, addend))


GRAPHS = {
    "no edges": ([], 3, 3),
    "isolated nodes": ([(0, 2, 1.0)], 4, 4),
    "self-loops": ([(0, 0, 1.0), (1, 1, 2.0)], 2, 2),
    "duplicate edges": ([(0, 1, 1.0), (0, 1, 1.0), (0, 1, 0.5)], 2, 2),
    "empty rows at the end": ([(0, 3, 1.0), (1, 0, -1.0)], 5, 4),
    "no rows": ([], 0, 3),
    "no columns": ([], 3, 0),
}


@pytest.mark.parametrize(("entries", "rows", "columns"), GRAPHS.values(), ids=GRAPHS)
def test_odd_graphs(entries, rows, columns):
    sparse, dense = matrix_of(entries, rows, columns)
    h = torch.randn(columns, 4, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(spmm(sparse, h), dense @ h)
    assert torch.autograd.gradcheck(lambda h: spmm(sparse, h), (h,))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_float32_on_each_device(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    x = (torch.rand(50, 40) < 0.1).float()
    h = torch.randn(40, 16)
    result = spmm(SparseMatrix.from_dense(x).to(device), h.to(device))
    torch.testing.assert_close(result.cpu(), x @ h)


def test_index_outside_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"row index lies outside 0\.\.1"):
        matrix_of([(2, 0, 1.0)], 2, 2)


def test_shapes_that_do_not_fit_are_refused():
    sparse, _ = matrix_of([(0, 0, 1.0)], 2, 3)
    with pytest.raises(ValueError, match=r"cannot multiply \(2, 3\) by \(2, 4\)"):
        spmm(sparse, torch.zeros(2, 4, dtype=torch.double))


def test_only_thin_features_become_sparse():
    thin, full = torch.eye(10), torch.ones(10, 10)
    assert isinstance(sparse_if_worthwhile(thin), SparseMatrix)
    assert sparse_if_worthwhile(full) is full


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_dense_factor_of_another_dtype(dtype):
    """As under autocast: the product has the factor's dtype, gradients have their own's."""
    matrix = SparseMatrix.from_dense(torch.tensor([[0.0, 2.0], [0.5, 0.0]]))
    value = matrix.value.clone().requires_grad_()
    dense = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=dtype).requires_grad_()
    product = spmm(matrix.with_value(value), dense)
    assert product.dtype == dtype
    assert product.tolist() == [[6.0, 8.0], [0.5, 1.0]]
    product.sum().backward()
    assert (value.grad.dtype, dense.grad.dtype) == (torch.float32, dtype)
    assert value.grad.tolist() == [7.0, 3.0]
    assert dense.grad.tolist() == [[0.5, 0.5], [2.0, 2.0]]


def test_a_scaled_sum_under_autocast():
    total, addend = torch.ones(3), torch.full((3,), 2.0, dtype=torch.bfloat16).requires_grad_()
    scale = torch.tensor([0.5], requires_grad=True)
    add_scaled(total, scale, addend).sum().backward()
    assert (scale.grad.item(), scale.grad.dtype) == (6.0, torch.float32)
    assert (addend.grad.tolist(), addend.grad.dtype) == ([0.5] * 3, torch.bfloat16)
