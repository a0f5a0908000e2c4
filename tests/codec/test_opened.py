"""One tensor, or some of its rows, from the chunks that it lies in."""

import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnperf import codec
from gnnperf.codec import CodecError, QuantizedTensor, errors, same_state
from gnnperf.codec.header import CHUNK_LANES, Limits
from gnnperf.codec.opened import QuantizedArray, TensorSpec

GENERATOR = torch.Generator().manual_seed(0)
BASE = torch.randn(30, 40, generator=GENERATOR)
CODES = torch.randint(-8, 8, (20, 60), generator=GENERATOR, dtype=torch.int8)
STATE: dict[str, codec.Value] = {
    "base": BASE,
    "turned": BASE.t(),
    "part": BASE[3:9, ::2],
    "words": BASE.view(torch.int32),
    "pruned": torch.where(BASE.abs() > 1, BASE, 0.0),
    "q": QuantizedTensor(CODES, 4, torch.rand(20, 1, generator=GENERATOR), torch.zeros(1)),
    "bias": torch.arange(7.0),
    "half": torch.randn(50, 30, generator=GENERATOR).half(),
    "copy": torch.arange(300).reshape(30, 10),
    "equal": torch.arange(300).reshape(30, 10),
    "scalar": torch.tensor(3),
    "empty": torch.zeros(0, 4),
    "mask": BASE > 0,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "model.gnnz"
    codec.save(STATE, target, metadata={"epoch": 3})
    return target


def test_every_tensor_and_all_of_its_rows(path: Path) -> None:
    with codec.open(path) as file:
        assert file.metadata == {"epoch": 3}
        assert file.keys() == list(file) == list(STATE)
        assert len(file) == len(STATE)
        assert "base" in file
        assert "missing" not in file
        for name, value in STATE.items():
            assert same_state({name: value}, {name: file[name]})  # type: ignore[dict-item]
            whole = value.values if isinstance(value, QuantizedTensor) else value
            if not whole.dim():
                continue
            rows = whole.shape[0]
            for start, stop in ((0, rows), (0, 0), (rows, rows), (rows // 3, rows // 2)):
                cut = (
                    value[start:stop]
                    if isinstance(value, torch.Tensor)
                    else rows_of(value, start, stop)
                )
                assert same_state({name: cut}, {name: file.slice(name, start, stop)})  # type: ignore[dict-item]


def rows_of(value: QuantizedTensor, start: int, stop: int) -> QuantizedTensor:
    scale = value.scale[start:stop]
    return QuantizedTensor(value.values[start:stop], value.bits, scale, value.zero_point)


def test_numpy_arrays(path: Path) -> None:
    with codec.open(path, framework="np") as file:
        for name, value in STATE.items():
            found = file[name]
            if isinstance(value, QuantizedTensor):
                assert isinstance(found, QuantizedArray)
                assert found.bits == 4
                np.testing.assert_array_equal(found.values, value.values.numpy())
                np.testing.assert_array_equal(found.scale, value.scale.numpy())
            else:
                assert isinstance(found, np.ndarray)
                np.testing.assert_array_equal(found, value.numpy(), strict=True)
        rows = file.slice("turned", 2, 5)
        np.testing.assert_array_equal(rows, BASE.t()[2:5].numpy())  # type: ignore[arg-type]


def test_dtypes_that_numpy_has_not(tmp_path: Path) -> None:
    codec.save({"b": torch.ones(3, dtype=torch.bfloat16)}, tmp_path / "m")
    with (
        codec.open(tmp_path / "m", framework="np") as file,
        pytest.raises(
            errors.UnknownDtypeError, match="'b' has dtype bfloat16, which numpy has not"
        ),
    ):
        file["b"]


def test_specs_of_all_tensors_without_reading_them(path: Path) -> None:
    with codec.open(path) as file:
        before = file.read_bytes
        specs = file.specs()
        assert file.read_bytes == before
    assert list(specs) == list(STATE)
    assert specs["q"] == TensorSpec("int8", (20, 60), 4)
    assert specs["turned"] == TensorSpec("float32", (40, 30))


def test_only_the_chunks_of_what_is_asked_for_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m"
    rows = 4 * CHUNK_LANES // 1024
    large = torch.randn(rows, 1024, generator=GENERATOR)
    size = codec.save({"large": large, "other": large + 1, "small": torch.ones(9)}, path)
    chunk_bytes = size / 8
    tracemalloc.start()
    with codec.open(path) as file:
        header_bytes = file.read_bytes
        assert header_bytes < 1_000
        file["small"]
        assert file.read_bytes - header_bytes < 100
        before = file.read_bytes
        found = file.slice("large", 1024, 1034)
        assert torch.equal(found, large[1024:1034])  # type: ignore[arg-type]
        assert 0.9 * chunk_bytes < file.read_bytes - before < 1.1 * chunk_bytes
        before = file.read_bytes
        across = file.slice("large", 2040, 2050)
        assert torch.equal(across, large[2040:2050])  # type: ignore[arg-type]
        assert file.read_bytes - before < 2.2 * chunk_bytes
        before = file.read_bytes
        file["other"]
        assert 3.9 * chunk_bytes < file.read_bytes - before < 4.1 * chunk_bytes
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # What numpy and Python hold at once: some copies of a chunk, and never the file.
    assert peak_bytes < 8 * 4 * CHUNK_LANES


def test_small_tensors_of_one_chunk_are_decoded_once(tmp_path: Path) -> None:
    state = {f"n{index}": torch.randn(16, generator=GENERATOR) for index in range(50)}
    codec.save(state, tmp_path / "m")
    with codec.open(tmp_path / "m") as file:
        file["n0"]
        before = file.read_bytes
        assert all(torch.equal(file[name], value) for name, value in state.items())  # type: ignore[arg-type]
        assert file.read_bytes == before


def test_what_cannot_be_asked_for(path: Path) -> None:
    with codec.open(path) as file:
        with pytest.raises(KeyError, match="'nothing' is no tensor of"):
            file["nothing"]
        for rows in ((-1, 2), (5, 4), (0, 31)):
            with pytest.raises(CodecError, match="of tensor 'base', which has 30 rows"):
                file.slice("base", *rows)
        with pytest.raises(TypeError, match="a row is a number of type int, not a float"):
            file.slice("base", 0, 2.0)  # type: ignore[arg-type]
        with pytest.raises(CodecError, match="which is a scalar"):
            file.slice("scalar", 0, 1)
    with pytest.raises(CodecError, match="framework 'tf' is none of pt and np"):
        codec.open(path, framework="tf")  # type: ignore[arg-type]


def test_damage_is_found_where_it_is_read_and_named(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(blob)
    with codec.open(path) as file:
        file["base"]
        with pytest.raises(errors.ChecksumError, match=r"model\.gnnz: chunk 0 of group"):
            {name: file[name] for name in file}


def test_zeros_that_would_fill_the_memory_are_refused_when_asked_for(tmp_path: Path) -> None:
    codec.save({"z": torch.zeros(1).expand(1 << 40), "one": torch.ones(1)}, tmp_path / "m")
    with codec.open(tmp_path / "m", framework="np") as file:
        assert file["one"] == np.ones(1)
        with pytest.raises(errors.ExpansionError, match="would take 4398046511104 bytes"):
            file["z"]


@pytest.mark.parametrize("read", [codec.load, codec.inspect, codec.open])
def test_what_is_no_file(read: object, tmp_path: Path) -> None:
    assert callable(read)
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    with pytest.raises(CodecError, match="pipe: is no regular file"):
        read(pipe)
    with pytest.raises(OSError, match="symbolic links"):
        read(loop)
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    for wrong in (3, None, b"name"):
        with pytest.raises(TypeError, match=r"a path is a str or os\.PathLike"):
            read(wrong)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.frombuffer])
def test_any_bytes_are_decoded(kind: object) -> None:
    blob = codec.encode(STATE)
    given = np.frombuffer(blob, np.uint8) if kind is np.frombuffer else kind(blob)  # type: ignore[operator]
    assert same_state(STATE, codec.decode(given).state)
    spread = memoryview(bytes(byte for pair in zip(blob, blob, strict=True) for byte in pair))[::2]
    assert same_state(STATE, codec.decode(spread).state)


@pytest.mark.parametrize("level", ["fast", "auto", "small"])
def test_the_bytes_do_not_depend_on_threads(level: codec.effort.Level) -> None:  # type: ignore[name-defined]
    state = dict(STATE)
    if level == "fast":  # Two chunks; the other levels take their time over so many.
        state["large"] = torch.randn(1100, 1000, generator=GENERATOR)
    blob = codec.encode(state, level=level)
    assert blob == codec.encode(state, level=level, threads=3)
    assert same_state(codec.decode(blob, threads=3).state, state)
    with pytest.raises(CodecError, match="threads is 0"):
        codec.encode(state, threads=0)


def test_many_tensors_with_long_names_need_no_option(tmp_path: Path) -> None:
    """bench/test_codec.py does the same with the hundred thousand that are allowed."""
    prefix = "decoder.layers.mixture_of_experts.feed_forward.projection." * 2
    count = 10_000
    assert Limits().max_tensors >= 100_000
    shared = torch.arange(4.0)
    state: dict[str, codec.Value] = {f"{prefix}{index}.weight": shared for index in range(count)}
    codec.save(state, tmp_path / "m")
    with codec.open(tmp_path / "m") as file:
        assert len(file) == count
        assert torch.equal(file[f"{prefix}9999.weight"], shared)  # type: ignore[arg-type]
    with pytest.raises(errors.LimitError, match=r"10000 tensors, at most 9999 .*max_tensors"):
        codec.load(tmp_path / "m", max_tensors=9_999)
    with pytest.raises(errors.LimitError, match="larger max_header_bytes"):
        codec.load(tmp_path / "m", max_header_bytes=1 << 20)


def test_reading_by_several_threads_at_once(path: Path) -> None:
    wrong: list[str] = []
    with codec.open(path) as file:

        def check() -> None:
            for name, value in STATE.items():
                if not same_state({name: value}, {name: file[name]}):  # type: ignore[dict-item]
                    wrong.append(name)

        threads = [threading.Thread(target=check) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
