import pytest
import torch

from gnnperf.ops.values import dense_values

DENSE = torch.tensor([[0.0, 1.5], [0.0, -2.0]])


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
@pytest.mark.filterwarnings("ignore")
def test_the_stored_values_of_a_sparse_tensor(layout):
    values = dense_values(getattr(DENSE, layout)())
    assert sorted(values.tolist()) == [-2.0, 1.5]


def test_a_dense_one_is_itself_without_its_graph():
    weight = torch.nn.Parameter(DENSE)
    values = dense_values(weight)
    assert torch.equal(values, DENSE)
    assert not values.requires_grad


def test_a_quantized_one_is_what_it_stands_for():
    quantized = torch.quantize_per_tensor(DENSE, 0.5, 0, torch.qint8)
    assert torch.equal(dense_values(quantized), DENSE)
