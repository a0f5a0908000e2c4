"""save_model and load_model, and what a module's state can hold."""

from pathlib import Path

import pytest
import torch

from gnnperf import codec
from gnnperf.codec import CodecError, QuantizedTensor, errors, same_state


def tied() -> torch.nn.Module:
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(9, 9), "b": torch.nn.Linear(9, 9)})
    model["b"].weight = model["a"].weight
    return model


def test_a_module_comes_back_and_stays_tied(tmp_path: Path) -> None:
    model, other = tied(), tied()
    size = codec.save_model(model, tmp_path / "m", metadata={"epoch": 1})
    assert size == (tmp_path / "m").stat().st_size
    assert codec.load_model(other, tmp_path / "m") == ([], [])
    assert same_state(model.state_dict(), other.state_dict())
    assert other["b"].weight is other["a"].weight  # type: ignore[index]
    assert codec.load(tmp_path / "m").metadata == {"epoch": 1}


def test_names_and_shapes_that_do_not_match_change_nothing(tmp_path: Path) -> None:
    codec.save_model(torch.nn.Linear(3, 4), tmp_path / "m")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CodecError, match=r"m: the file lacks 2 names .* and the model 2 names"):
        codec.load_model(model, tmp_path / "m")
    missing, unexpected = codec.load_model(model, tmp_path / "m", strict=False)
    assert (missing, unexpected) == (["0.weight", "0.bias"], ["weight", "bias"])
    with pytest.raises(CodecError, match=r"'weight' is \[4, 3\] in the file and \[4, 5\] in the"):
        codec.load_model(torch.nn.Linear(5, 4), tmp_path / "m")
    assert same_state(before, model.state_dict())


def test_quantized_weights_become_the_values_that_they_stand_for(tmp_path: Path) -> None:
    codes = torch.tensor([[-3, 2], [7, 0]], dtype=torch.int8)
    scale, zero_point = torch.tensor([[0.5], [2.0]]), torch.tensor(1, dtype=torch.int8)
    weight = QuantizedTensor(codes, 4, scale, zero_point)
    assert weight.dequantized().tolist() == [[-2.0, 0.5], [12.0, -2.0]]
    codec.save({"weight": weight, "bias": torch.zeros(2)}, tmp_path / "m")
    model = torch.nn.Linear(2, 2)
    codec.load_model(model, tmp_path / "m")
    assert torch.equal(model.weight, weight.dequantized())


def test_lazy_parameters_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedValueError, match="'weight': a lazy parameter has no"):
        codec.save_model(torch.nn.LazyLinear(3), tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", [codec.save_model, codec.load_model])
def test_what_is_no_module(call: object, tmp_path: Path) -> None:
    assert callable(call)
    with pytest.raises(TypeError, match=r"a model is a torch\.nn\.Module, not a dict"):
        call({}, tmp_path / "m")


def test_equal_tensors_are_stored_once_and_are_not_tied() -> None:
    weight = torch.randn(100, 100)
    state = {f"w{index}": weight.clone() for index in range(4)}
    blob = codec.encode(state)
    assert len(blob) < 1.01 * len(codec.encode({"w": weight}))
    found = codec.decode(blob).state
    assert same_state(state, found)
    found["w0"] += 1  # type: ignore[operator]
    assert torch.equal(found["w1"], weight)  # type: ignore[arg-type]
