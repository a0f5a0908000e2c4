"""A reader written from FORMAT.md alone reads what the writer writes, and refuses as it does."""

import random
from collections import Counter
from pathlib import Path

import pytest
import torch

from gnnperf.codec import CodecError, QuantizedTensor, decode, encode
from gnnperf.codec.state import Value, element_bytes

from . import fuzz, structures
from .reference.reader import RefusedError
from .reference.state import Tensor, read

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.gnnz"))
FILES = 200


def same(value: Value, found: Tensor) -> bool:
    if isinstance(value, QuantizedTensor):
        parts = zip((value.scale, value.zero_point), found.parts, strict=True)
        codes = same(value.values, Tensor(found.dtype, found.shape, found.content))
        return codes and value.bits == found.bits and all(same(a, b) for a, b in parts)
    names = str(value.dtype) == f"torch.{found.dtype}" and tuple(value.shape) == found.shape
    return names and bytes(element_bytes(value).numpy()) == found.content


def check(blob: bytes) -> None:
    expected = decode(blob)
    state, metadata = read(blob)
    assert list(state) == list(expected.state)
    assert metadata == expected.metadata
    for name, value in expected.state.items():
        assert same(value, state[name]), name


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files(path: Path) -> None:
    check(path.read_bytes())


def any_state(rng: random.Random) -> dict[str, Value]:
    """Tensors of all dtypes and kinds: noise, pruned, scaled, uneven, rounded, tied, equal."""
    generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
    rows, columns = rng.randrange(1, 70), rng.randrange(1, 70)
    noise = torch.randn(rows, columns, generator=generator)
    keep = torch.rand(rows, columns, generator=generator) < rng.choice((0.02, 0.1, 0.5, 0.9))
    codes = (3 * noise).round().clamp(-8, 7).to(torch.int8)
    integers = (30 * noise).round() * (keep if rng.random() < 0.5 else 1)
    uneven = noise * torch.where(torch.arange(rows) % 2 == 0, 1.0, 5e3)[:, None]
    dtypes = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    ints = [torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool, torch.complex64]
    one = torch.ones(())
    every: dict[str, Value] = {
        "noise": noise.to(rng.choice(dtypes)),
        "pruned": torch.where(keep, noise, 0.0).to(rng.choice(dtypes)),
        "minus": noise * keep,
        "rows": integers * (torch.rand(rows, 1, generator=generator) + 0.1),
        "columns": integers.double() * (torch.rand(columns, generator=generator) + 0.1),
        "uneven": uneven.to(rng.choice(dtypes[1:])),
        "sideways": uneven.t().contiguous(),
        "rounded": noise.to(rng.choice(dtypes[:2])).to(rng.choice(dtypes[2:])),
        "integers": (100 * noise).abs().to(rng.choice(ints)),
        "wide": (100 * noise).to(torch.int32) * 65_537,
        "codes": QuantizedTensor(codes, rng.randrange(4, 9), one / 3, torch.zeros(rows, 1)),
        "few": QuantizedTensor((codes * keep).abs().to(torch.uint8), 4, one, one),
        "repeated": noise[:1].repeat(50, 1),
        "again": noise[:1].repeat(50, 1),
        "none": noise[:0],
        "zeros": torch.zeros(rows, columns),
    }
    half = torch.rand(150, 128, generator=generator) < 0.5
    alive = half & (torch.rand(128, generator=generator) < 0.1)
    every["dead inputs"] = torch.where(alive, torch.randn(150, 128, generator=generator), 0.0)
    names = rng.sample(sorted(every), rng.randrange(1, 5))
    state = {name: every[name] for name in names}
    if rng.random() < 0.4:
        state |= {"base": noise, "turned": noise.t(), "part": noise[rows // 2 :, ::2]}
    return state


def test_two_hundred_files_of_every_coding() -> None:
    codings: Counter[tuple[int, int, int]] = Counter()
    for index in range(FILES):
        rng = random.Random(index)
        level = rng.choice(("fast", "auto", "small"))
        blob = encode(any_state(rng), level=level, metadata={"index": index})
        check(blob)
        for group in fuzz.take_apart(blob).header.groups:
            codings.update((c.encoding, c.mask_codec, c.value_codec) for c in group)
    assert {encoding for encoding, _, _ in codings} == {0, 1, 2}
    assert {mask for encoding, mask, _ in codings if encoding == 2} == {0, 1, 2, 3}
    assert {value for encoding, _, value in codings if encoding} == set(range(9))


def test_a_file_of_several_chunks() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(1100, 1, generator=generator)
    integers = torch.randint(-127, 128, (1100, 1000), generator=generator)
    uneven = torch.randn(1100, 1000, generator=generator) * torch.logspace(-3, 3, 1100)[:, None]
    check(encode({"scaled": integers * rows, "classes": uneven}, level="fast"))


def test_both_refuse_the_same_forged_files() -> None:
    """What either reads, both read alike; what one refuses, the other does too."""
    good = [fuzz.take_apart(encode(any_state(random.Random(index)))) for index in range(12)]
    read_by_both = 0
    for index in range(800):
        rng = random.Random(f"twins/{index}")
        breaker = rng.choice((fuzz.forged_streams, fuzz.forged_structures, fuzz.forged_fields))
        blob = breaker(rng.choice(good), rng.choice(good), rng)
        try:
            expected = decode(blob, max_bytes=8 << 20).state
        except CodecError as error:
            if "max_bytes" not in str(error):
                with pytest.raises(RefusedError):
                    read(blob)
            continue
        found, _ = read(blob)
        read_by_both += 1
        assert all(same(value, found[name]) for name, value in expected.items()), index
    assert read_by_both > 25


def test_a_lie_that_changes_nothing_is_none() -> None:
    assert structures.lie(0, b"abc", random.Random(0)) == b"abc"
