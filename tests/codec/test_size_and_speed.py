"""The figures that the format must reach, on weights like trained ones."""

import time

import pytest
import torch

from gnnperf.codec import algorithm1_bytes, decode, encode, order0_estimate_bytes, same_state

from . import states

RATIOS = {0.0: 1.15, 0.5: 2.30, 0.8: 5.5, 0.9: 10.2}


@pytest.mark.parametrize("shapes", states.SHAPES.values(), ids=states.SHAPES)
@pytest.mark.parametrize("sparsity", RATIOS)
def test_pruned_models(shapes: dict[str, tuple[int, ...]], sparsity: float) -> None:
    dense = states.trained(shapes)
    state = states.pruned(dense, sparsity)
    stored_bytes = len(encode(state))
    assert states.torch_bytes(dense) / stored_bytes >= RATIOS[sparsity]
    assert algorithm1_bytes(state) / stored_bytes >= 1.15
    assert order0_estimate_bytes(state) / stored_bytes >= 0.98


@pytest.mark.parametrize("name", ["spline", "ness"])
@pytest.mark.parametrize(("bits", "ratio"), [(8, 23), (4, 35)])
def test_pruned_and_quantized_models(name: str, bits: int, ratio: float) -> None:
    dense = states.trained(states.SHAPES[name])
    state = states.quantized(states.pruned(dense, 0.9), bits)
    assert states.torch_bytes(dense) / len(encode(state)) >= ratio


def test_many_tiny_tensors_share_a_stream() -> None:
    norms = torch.nn.ModuleList(torch.nn.BatchNorm1d(4) for _ in range(40)).state_dict()
    raw_bytes = sum(tensor.numel() * tensor.itemsize for tensor in norms.values())
    assert len(norms) == 200
    assert raw_bytes == 2880
    assert len(encode(norms)) < 900
    random = {name: torch.randn(4) for name in norms if "weight" in name or "bias" in name}
    assert len(encode(random)) < 4 * 4 * 80 + 500


def test_quantized_codes_take_their_own_width_at_most() -> None:
    for bits in range(2, 9):
        codes = torch.randint(-(1 << bits - 1), 1 << bits - 1, (10_000,), dtype=torch.int8)
        zero = torch.zeros(())
        state = {"w": states.QuantizedTensor(codes, bits, zero, zero)}
        for level in ("fast", "small"):
            blob = encode(state, level=level)
            assert len(blob) < 10_000 * bits / 8 + 120
            assert same_state(state, decode(blob).state)


def test_an_empty_state_is_a_few_bytes() -> None:
    assert len(encode({})) < 24


def test_the_paper_stores_all_zero_tensors_densely() -> None:
    zeros = {"w": torch.zeros(1000)}
    assert algorithm1_bytes(zeros) > 4000
    assert len(encode(zeros)) < 50


def test_the_estimate_of_a_fair_coin() -> None:
    half = torch.cat([torch.zeros(1000), torch.full((1000,), 1.5)])
    assert order0_estimate_bytes({"w": half}) == (2000 + 1000 * 24) / 8


def test_a_model_decodes_within_ten_milliseconds() -> None:
    blob = encode(states.pruned(states.trained(states.SHAPES["spline"]), 0.5))
    seconds = []
    for _ in range(9):
        start = time.process_time()
        decode(blob)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.010
