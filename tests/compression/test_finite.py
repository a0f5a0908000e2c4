import math

import pytest
import torch
from torch import nn

from gnnperf.compression.finite import logits_fault, weights_fault


class Gives(nn.Module):
    """Whatever it was made with."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, batch):
        return self.output


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_each_stored_tensor_counts(bad):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert weights_fault(model) == ""
    model[1].running_var[1] = bad
    assert weights_fault(model) == "1 of 3 values of 1.running_var are NaN or infinite"
    with torch.no_grad():
        model[0].weight[0] = bad
    assert weights_fault(model) == "2 of 6 values of 0.weight are NaN or infinite"


def test_integers_and_the_greatest_number_are_finite():
    model = nn.BatchNorm1d(2)
    model.running_mean.fill_(torch.finfo(torch.float32).max)
    assert weights_fault(model) == ""


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "wrapped",
    [lambda x: x, lambda x: (x, x.long()), lambda x: [None, x], lambda x: {"logits": x}],
    ids=["tensor", "tuple", "list", "dictionary"],
)
def test_one_logit_is_enough_wherever_it_stands(bad, wrapped):
    assert logits_fault(Gives(wrapped(torch.zeros(4, 2))), [None] * 3) == ""
    output = wrapped(torch.tensor([[0.0, 1.0], [bad, 2.0]]))
    found = logits_fault(Gives(output), [None] * 3)
    assert found.startswith("3 of ")
    assert found.endswith(" logits are NaN or infinite")


def test_the_mode_is_given_back():
    model = nn.Dropout(0.5)
    logits_fault(model, [torch.ones(3)])
    assert model.training
