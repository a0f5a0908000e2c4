import gc
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gnnperf.codec import QuantizedTensor, decode, encode, first_difference, same_state
from gnnperf.codec.dtypes import DTYPES, Dtype
from gnnperf.codec.files import Level
from gnnperf.codec.state import BITS_OF_SIZE, State, Value

KNOWN_DTYPES = [dtype for dtype in DTYPES if hasattr(torch, dtype.name)]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)


def of_bytes(blob: bytes, dtype: Dtype, shape: tuple[int, ...]) -> torch.Tensor:
    content = torch.tensor(list(blob), dtype=torch.uint8)
    bits = content.view(BITS_OF_SIZE[dtype.itemsize_bytes]).reshape(shape).contiguous()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = torch.empty(0, dtype=dtype.torch())
    return out.set_(bits.untyped_storage(), 0, bits.shape, bits.stride())


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    dtype, shape = draw(st.sampled_from(KNOWN_DTYPES)), draw(SHAPES)
    count = torch.Size(shape).numel()
    size = count * dtype.itemsize_bytes
    # Any bit pattern occurs in any dtype but bool: NaN payloads, denormals.
    seed, zero_share = draw(st.integers(0, 2**32)), draw(st.sampled_from((0.0, 0.5, 0.9, 1.0)))
    generator = torch.Generator().manual_seed(seed)
    content = torch.randint(0, 256, (size,), dtype=torch.uint8, generator=generator)
    keep = torch.rand(count, generator=generator) >= zero_share
    content *= keep.repeat_interleave(dtype.itemsize_bytes)
    if dtype.name == "bool":
        content %= 2
    return of_bytes(bytes(content.tolist()), dtype, shape)


@st.composite
def views(draw: st.DrawFn, base: torch.Tensor) -> torch.Tensor:
    dims = draw(st.permutations(range(base.dim())))
    view = base.permute(dims)
    if view.dim() and view.shape[0] > 1 and draw(st.booleans()):
        view = view[draw(st.integers(0, 1)) :: draw(st.integers(1, 2))]
    if draw(st.booleans()):
        view = view.unsqueeze(0).expand(draw(st.integers(1, 3)), *view.shape)
    return view


@st.composite
def quantized(draw: st.DrawFn) -> QuantizedTensor:
    bits, signed = draw(st.integers(2, 8)), draw(st.booleans())
    low = -(1 << bits - 1) if signed else 0
    shape = draw(SHAPES)
    seed = draw(st.integers(0, 2**32))
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(low, low + (1 << bits), shape, generator=generator)
    codes *= torch.rand(shape, generator=generator) < draw(st.sampled_from((0.1, 1.0)))
    values = codes.to(torch.int8 if signed else torch.uint8)
    return QuantizedTensor(values, bits, torch.rand(shape[:1]), torch.zeros((), dtype=torch.int32))


@st.composite
def states(draw: st.DrawFn) -> State:
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=5)
    )
    state: dict[str, Value] = {}
    bases: list[torch.Tensor] = []
    for name in dict.fromkeys(names):
        if draw(st.integers(0, 5)) == 0:
            state[name] = draw(quantized())
            continue
        if not bases or draw(st.booleans()):
            bases.append(draw(tensors()))
        state[name] = draw(views(draw(st.sampled_from(bases))))
    return state


def sharing(state: State) -> list[tuple[int, ...]]:
    """Which names share a storage; empty tensors share nothing."""
    keys: dict[int, list[int]] = {}
    for index, value in enumerate(state.values()):
        if isinstance(value, torch.Tensor) and value.numel():
            keys.setdefault(value.untyped_storage().data_ptr(), []).append(index)
    return sorted(tuple(indices) for indices in keys.values())


@given(states(), st.sampled_from(("fast", "small")))
@settings(max_examples=150)
def test_any_state_comes_back(state: State, level: Level) -> None:
    decoded = decode(encode(state, level=level))
    assert first_difference(state, decoded.state) is None
    assert sharing(state) == sharing(decoded.state)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=60)
def test_metadata_comes_back(metadata: dict[str, object]) -> None:
    assert decode(encode({}, metadata=metadata)).metadata == metadata


@pytest.mark.parametrize("level", ["fast", "small"])
@pytest.mark.parametrize("dtype", KNOWN_DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("zero_share", [0.0, 0.6, 1.0])
def test_every_dtype_and_level(dtype: Dtype, level: Level, zero_share: float) -> None:
    generator = torch.Generator().manual_seed(dtype.code)
    content = torch.randint(0, 256, (3000, dtype.itemsize_bytes), generator=generator)
    content *= torch.rand(3000, 1, generator=generator) >= zero_share
    content %= 2 if dtype.name == "bool" else 256
    tensor = of_bytes(bytes(content.flatten().tolist()), dtype, (30, 100))
    state = {"alone": tensor, "scalar": of_bytes(bytes(dtype.itemsize_bytes), dtype, ())}
    assert same_state(state, decode(encode(state, level=level)).state)


@pytest.mark.parametrize("level", ["fast", "small"])
def test_special_floats_keep_their_bits(level: Level) -> None:
    words = [0, -(2**31), 1, -(2**31) + 1, 0x7F800000, -0x800000, 0x7FC00001, 0x7F800001, -1, -5]
    floats = torch.tensor(words, dtype=torch.int32).view(torch.float32)
    state = {"few": floats, "many": floats.repeat(500)}
    decoded = decode(encode(state, level=level)).state
    assert same_state(state, decoded)
    assert torch.signbit(decoded["few"][1])


def test_minus_zero_is_a_value_and_differs_from_zero() -> None:
    assert not same_state({"w": torch.tensor([0.0])}, {"w": torch.tensor([-0.0])})
    masked = torch.randn(64, 64) * (torch.rand(64, 64) > 0.9)
    assert bool((torch.signbit(masked) & (masked == 0)).any())
    assert same_state({"w": masked}, decode(encode({"w": masked})).state)


def test_more_than_a_chunk() -> None:
    weights = torch.randn(3, 1 << 20) * (torch.rand(3, 1 << 20) > 0.5)
    weights[1] = 0
    state = {"w": weights[:, : (1 << 20) - 7].contiguous()}
    assert same_state(state, decode(encode(state, level="fast")).state)


def test_tied_weights_are_stored_once_and_tied_again() -> None:
    weights = torch.randn(200, 50)
    state = {
        "encoder": weights,
        "decoder": weights.t(),
        "head": weights[3:7],
        "bits": weights.view(torch.int32),
    }
    blob = encode(state)
    assert len(blob) < 1.1 * len(encode({"encoder": weights}))
    decoded = decode(blob).state
    assert same_state(state, decoded)
    decoded["encoder"][4, 0] = 7.0
    assert decoded["decoder"][0, 4] == 7.0
    assert decoded["head"][1, 0] == 7.0
    assert decoded["decoder"].stride() == (1, 50)


def test_a_lone_view_does_not_carry_the_rest_of_its_storage() -> None:
    view = torch.randn(1000, 1000)[:2, ::3]
    blob = encode({"view": view})
    assert len(blob) < 4 * view.numel() + 200
    assert same_state({"view": view}, decode(blob).state)


def test_an_expanded_tensor_is_stored_as_it_is_held() -> None:
    state = {"expanded": torch.randn(7, 1).expand(7, 100_000)}
    blob = encode(state)
    assert len(blob) < 200
    assert same_state(state, decode(blob).state)


def test_views_of_odd_places_and_dtypes() -> None:
    raw = torch.arange(103, dtype=torch.uint8)
    wide = torch.empty(0, dtype=torch.float64).set_(raw.untyped_storage(), 3, (5,), (2,))
    state = {"bytes": raw[1:102], "wide": wide, "none": raw[50:50]}
    decoded = decode(encode(state)).state
    assert same_state(state, decoded)
    assert sharing(state) == sharing(decoded)


def test_conjugates_and_parameters() -> None:
    complex_ = torch.randn(5, 4, dtype=torch.complex64)
    parameter = torch.nn.Parameter(torch.randn(3))
    state = {"conj": complex_.conj(), "imag": complex_.conj().imag, "parameter": parameter}
    decoded = decode(encode(state)).state
    assert same_state(state, decoded)
    assert not decoded["parameter"].requires_grad


def test_modules_load_what_was_stored() -> None:
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.BatchNorm1d(7), torch.nn.LSTM(7, 2)
    )
    decoded = decode(encode(module.state_dict())).state
    module.load_state_dict(decoded)
    assert list(decoded) == list(module.state_dict())


def test_the_tensors_outlive_the_file_and_can_be_written() -> None:
    decoded = decode(encode({"w": torch.ones(100)})).state
    gc.collect()
    decoded["w"] += 1
    assert decoded["w"].sum() == 200


def test_dead_inputs_are_stored_by_columns() -> None:
    generator = torch.Generator().manual_seed(0)
    dead = (torch.arange(128) % 8 == 0) & (torch.rand(64, 128, generator=generator) < 0.9)
    state = {"w": torch.randn(64, 128, generator=generator) * dead}
    sideways = {"w": state["w"].t().contiguous()}
    assert same_state(state, decode(encode(state)).state)
    assert abs(len(encode(state)) - len(encode(sideways))) < 20


def test_columns_of_a_view_need_not_divide_its_storage() -> None:
    base = torch.zeros(3001)
    base[::7] = torch.randn(429)
    state = {"view": base[:3000].view(50, 60)[:, ::2], "base": base}
    assert same_state(state, decode(encode(state)).state)
