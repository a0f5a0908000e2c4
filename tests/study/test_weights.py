import pytest
import torch
from torch import nn

from gnnperf import codec
from gnnperf.study.weights import WeightsError, load_weights


def tied():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize("ending", ["pt", "gnnz"])
@pytest.mark.parametrize("left_out", ["", "0.weight", "1.weight"])
def test_tied_weights_stay_tied(tmp_path, ending, left_out):
    state = {name: value + 1 for name, value in tied().state_dict().items() if name != left_out}
    if not left_out:
        state["1.weight"] = state["0.weight"]
    path = tmp_path / f"weights.{ending}"
    torch.save(state, path) if ending == "pt" else codec.save(state, path)
    model = tied()
    load_weights(model, path)
    assert model[0].weight is model[1].weight
    assert torch.equal(model[0].weight, next(v for n, v in state.items() if n.endswith("weight")))


def test_two_values_for_one_weight_are_refused(tmp_path):
    state = tied().state_dict() | {"1.weight": torch.zeros(3, 3)}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"weights\.pt does not fit .*: the model ties 1"):
        load_weights(tied(), tmp_path / "weights.pt")
