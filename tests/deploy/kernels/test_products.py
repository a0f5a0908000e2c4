"""Every kernel against plain torch, by numba and without."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gnnperf.deploy import kernels
from gnnperf.deploy.kernels import Epilogue, Grid8, Matrix, SparseWeight, loading, products
from gnnperf.ops import SparseMatrix

DTYPES = [torch.float32, torch.bfloat16, torch.uint8]
QUICK = settings(max_examples=15)
NAN = float("nan")

needs_numba = pytest.mark.skipif(
    kernels.missing() is not None, reason=kernels.missing() or "there is numba"
)


@pytest.fixture(params=[pytest.param("numba", marks=needs_numba), "torch"])
def backend(request, monkeypatch):
    if request.param == "torch":
        monkeypatch.setattr(products, "kernels", lambda: None)
        monkeypatch.setattr(loading, "compiled", lambda: "switched off")
    assert kernels.computed_by().startswith(request.param)


def case(seed, rows, columns, entries):
    """Small whole numbers, whose sums are exact in any order; entries may stand twice."""
    generator = torch.Generator().manual_seed(seed)

    def whole(low, high, *shape):
        return torch.randint(low, high, shape, generator=generator)

    # The last third of the rows is empty, and the last third of the columns sends nothing.
    row = whole(0, max(1, 2 * rows // 3), entries)
    column = whole(0, max(1, 2 * columns // 3), entries)
    value = whole(-3, 4, entries).float()
    return SparseMatrix.from_coo(row, column, value, (rows, columns)), whole


def dense(matrix):
    result = torch.zeros(matrix.shape, dtype=torch.float64)
    return result.index_put_((matrix.row, matrix.column), matrix.value.double(), accumulate=True)


def rounded(values, dtype, target):
    if dtype != torch.uint8:
        return values.to(dtype)
    # torch rounds halves to even.
    codes = (values / target.scale + target.zero).round().clamp(0, 255)
    return codes.nan_to_num(0.0).to(torch.uint8)


SHAPES = {
    "seed": st.integers(0, 10**6),
    "rows": st.integers(1, 12),
    "columns": st.integers(1, 12),
    "entries": st.integers(0, 40),
    "width": st.integers(1, 200),
    "relu": st.booleans(),
}


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("come", DTYPES)
def test_spmm(come, out, backend):
    @QUICK
    @given(**SHAPES, zero=st.integers(0, 255))
    def holds(seed, rows, columns, entries, width, relu, zero):
        matrix, whole = case(seed, rows, columns, entries)
        x = whole(0, 256, columns, width) if come == torch.uint8 else whole(-9, 9, columns, width)
        source = Grid8(0.5, zero) if come == torch.uint8 else Grid8()
        # Every second sum is a tie.
        target = Grid8(2.0, 100) if out == torch.uint8 else Grid8()
        bias = whole(-5, 6, width).float()
        after = Epilogue(bias, relu, out, source, target)
        found = kernels.spmm(Matrix.of(matrix), x.to(come), after)
        total = dense(matrix) @ ((x.double() - source.zero) * source.scale) + bias
        total = total.relu() if relu else total
        assert torch.equal(found, rounded(total, out, target))

    holds()


@pytest.mark.parametrize("width", [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200])
def test_widths_around_whole_vectors_and_real_numbers(width, backend):
    generator = torch.Generator().manual_seed(width)
    matrix, _ = case(width, 50, 40, 300)
    matrix = matrix.with_value(torch.rand(300, generator=generator))
    x, bias = torch.randn(40, width, generator=generator), torch.randn(width, generator=generator)
    found = kernels.spmm(Matrix.of(matrix), x, Epilogue(bias))
    torch.testing.assert_close(found.double(), dense(matrix) @ x.double() + bias, atol=1e-5, rtol=0)


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("relu", [False, True])
def test_nan_and_infinity_reach_those_they_are_sent_to(out, relu, backend):
    matrix = SparseMatrix.from_coo(
        torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), torch.ones(3), (4, 3)
    )
    x = torch.tensor([[NAN], [float("inf")], [1.0]]).expand(3, 20)
    found = kernels.spmm(Matrix.of(matrix), x, Epilogue(torch.zeros(20), relu, out))
    expected = torch.tensor([[NAN], [float("inf")], [1.0], [0.0]]).expand(4, 20)
    if out == torch.uint8:
        expected = torch.tensor([[0], [255], [1], [0]]).expand(4, 20)
    torch.testing.assert_close(found, expected.to(out), equal_nan=True, atol=0, rtol=0)


def test_every_bfloat16_is_rounded_as_torch_rounds(backend):
    bits = torch.arange(2**16, dtype=torch.int32) << 16
    # On a bfloat16, just above, at half, just above half, and just below the next.
    values = torch.cat([bits + more for more in (0, 1, 2**15, 2**15 + 1, 2**16 - 1)])
    values = values.view(torch.float32).view(-1, 64)
    rows = len(values)
    one = SparseMatrix.from_coo(
        torch.arange(rows), torch.arange(rows), torch.ones(rows), (rows,) * 2
    )
    after = Epilogue(torch.full((64,), -0.0), dtype=torch.bfloat16)
    found = kernels.spmm(Matrix.of(one), values, after)
    expected = values.bfloat16()
    # Subnormal numbers may be flushed where a product rounds.
    normal = expected.float().abs() >= torch.finfo(torch.float32).tiny
    assert torch.equal(found[normal], expected[normal])
    assert torch.equal(found.isnan(), expected.isnan())


@pytest.mark.parametrize("come", DTYPES)
def test_features_may_lie_in_any_way(come, backend):
    matrix, whole = case(0, 9, 8, 30)
    x = whole(0, 100, 20, 16).to(come)
    after = Epilogue(torch.zeros(20))
    expected = kernels.spmm(Matrix.of(matrix), x.t()[::2].contiguous(), after)
    assert torch.equal(kernels.spmm(Matrix.of(matrix), x.t()[::2], after), expected)
    assert torch.equal(expected, (dense(matrix) @ x.t()[::2].double()).float())


@pytest.mark.parametrize(
    ("rows", "width", "biases"), [(7, 3, 3), (9, 3, 3), (8, 3, 2), (8, 3, 1), (8, 2, 3)]
)
def test_shapes_that_do_not_fit_are_refused(rows, width, biases, backend):
    matrix, _ = case(0, 9, 8, 30)
    with pytest.raises(ValueError, match="cannot multiply 9 x 8 by"):
        kernels.spmm(Matrix.of(matrix), torch.zeros(rows, width), Epilogue(torch.zeros(biases)))


def test_other_numbers_are_refused(backend):
    matrix, _ = case(0, 9, 8, 30)
    x = torch.zeros(8, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"torch\.float64"):
        kernels.spmm(Matrix.of(matrix), x, Epilogue(torch.zeros(3)))


@pytest.mark.parametrize("come", DTYPES[:2])
def test_quantize(come, backend):
    @QUICK
    @given(seed=st.integers(0, 10**6), rows=st.integers(0, 9), width=st.integers(1, 200))
    def holds(seed, rows, width):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randint(-300, 300, (rows, width), generator=generator).to(come)
        x.view(-1)[::7] = NAN
        x.view(-1)[3::11] = float("inf")
        x.view(-1)[5::13] = -float("inf")
        grid = Grid8(2.0, 100)
        expected = rounded(x.double(), torch.uint8, grid)
        assert torch.equal(kernels.quantize(x, grid), expected)
        assert torch.equal(kernels.quantize(x.t(), grid), expected.t())

    holds()


@pytest.mark.parametrize("come", DTYPES)
def test_segment_max(come, backend):
    @QUICK
    @given(
        seed=st.integers(0, 10**6),
        sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6),
        width=st.integers(1, 200),
        nan=st.booleans(),
    )
    def holds(seed, sizes, width, nan):
        generator = torch.Generator().manual_seed(seed)
        start = torch.tensor([0, *sizes]).cumsum(0)
        x = torch.randint(0, 256, (int(start[-1]), width), generator=generator)
        x = x.to(come) if come == torch.uint8 else (x - 300).to(come)
        if nan and come != torch.uint8 and len(x):
            x[seed % len(x), seed % width] = NAN
        grid = Grid8(0.5, 3) if come == torch.uint8 else Grid8()
        parts = (x.float() - grid.zero).mul(grid.scale).split(sizes)
        expected = [part.amax(0) if len(part) else torch.zeros(width) for part in parts]
        found = kernels.segment_max(x, start, grid)
        torch.testing.assert_close(found, torch.stack(expected), equal_nan=True, atol=0, rtol=0)

    holds()


def test_sparse_linear(backend):
    @QUICK
    @given(
        seed=st.integers(0, 10**6),
        rows=st.integers(0, 100),
        inputs=st.integers(1, 40),
        outputs=st.integers(1, 40),
        kept=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        relu=st.booleans(),
        biased=st.booleans(),
    )
    def holds(seed, rows, inputs, outputs, kept, relu, biased):
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randint(-3, 4, (outputs, inputs), generator=generator).float()
        weight *= torch.rand(weight.shape, generator=generator) < kept
        bias = torch.randint(-3, 4, (outputs,), generator=generator).float() if biased else None
        x = torch.randint(-9, 9, (inputs, rows), generator=generator).float().t()
        expected = functional.linear(x, weight, bias)
        found = kernels.sparse_linear(x, SparseWeight.of(weight, bias, relu))
        assert torch.equal(found, expected.relu() if relu else expected)

    holds()


def test_sparse_linear_sends_nan_along_entries_alone(backend):
    x = torch.zeros(70, 9)
    x[:, 4] = NAN
    weight = torch.eye(9)
    found = kernels.sparse_linear(x, SparseWeight.of(weight, None, relu=True))
    assert not found[:, :4].isnan().any() or kernels.computed_by() == "torch"
    assert found[:, 4].isnan().all()


def test_what_is_kept_of_numpy_survives_a_copy(backend):
    matrix, _ = case(0, 9, 8, 30)
    kept, after, x = Matrix.of(matrix), Epilogue(torch.ones(3)), torch.ones(8, 3)
    expected = kernels.spmm(kept, x, after)
    kept, after = pickle.loads(pickle.dumps((kept, after)))
    assert torch.equal(kernels.spmm(kept, x, after), expected)
