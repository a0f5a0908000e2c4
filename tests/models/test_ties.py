from copy import deepcopy

import pytest
import torch
from torch import nn

from gnnperf.errors import GnnperfError
from gnnperf.models.ties import tie, ties, whole_state


def three():
    """Three names of one weight."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[2].weight = model[0].weight
    return model


def test_the_first_name_stands_for_all():
    assert ties(three()) == {"1.weight": "0.weight", "2.weight": "0.weight"}
    assert ties(nn.Linear(2, 2)) == {}


def test_what_loading_took_apart_is_tied_again():
    model = three()
    tied = ties(model)
    model.load_state_dict(deepcopy(model.state_dict()), assign=True)
    assert ties(model) == {}
    tie(model, tied)
    assert ties(model) == tied
    assert len(list(model.parameters())) == 4


@pytest.mark.parametrize("kept", ["0.weight", "1.weight", "2.weight"])
def test_a_file_may_keep_one_name_alone(kept):
    model, value = three(), torch.ones(3, 3)
    state = {f"{number}.bias": torch.zeros(3) for number in range(3)} | {kept: value}
    model.load_state_dict(whole_state(model, state))
    assert torch.equal(model[0].weight, value)


def test_two_values_of_one_weight_are_refused():
    model = three()
    state = model.state_dict() | {"2.weight": torch.zeros(3, 3)}
    with pytest.raises(GnnperfError, match=r"ties 2\.weight to 0\.weight, and .* untie"):
        whole_state(model, state)
