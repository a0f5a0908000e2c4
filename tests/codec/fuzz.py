"""Feed `decode` broken files: python tests/codec/fuzz.py --count 200000 --seed 0.

Every file must decode or be refused with a CodecError, within a second, and under a memory limit
of little more than what `max_bytes` allows. Half of the files are forged: their checksums fit.
"""

import argparse
import os
import random
import resource
import signal
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import torch
import zstandard

from gnnperf.codec import CodecError, QuantizedTensor, decode, encode, same_state
from gnnperf.codec import header as headers
from gnnperf.codec.dtypes import DTYPES
from gnnperf.codec.header import VERSION, Chunk, Header, Storage, TensorRecord
from gnnperf.codec.parse import parse
from gnnperf.codec.sources import MAGIC, PRELUDE_BYTES
from gnnperf.codec.state import Value

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import structures

MAX_BYTES = 8 << 20
MEMORY_BYTES = 96 << 20
SLOW_SECONDS = 1.0
NUMBERS = (0, 1, 2, 3, 7, 8, 63, 64, 127, 128, 255, 1 << 20, (1 << 20) + 1, 1 << 32, (1 << 63) - 1)


@dataclass(frozen=True)
class Seed:
    """A good file, taken apart."""

    blob: bytes
    header: Header
    streams: tuple[bytes, ...]


def seeds() -> list[Seed]:
    """Files that between them have every kind of record, encoding and codec."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int, keep: float = 1.0) -> torch.Tensor:
        tensor = torch.randn(shape, generator=generator)
        return tensor * (torch.rand(shape, generator=generator) < keep)

    base = noise(40, 50)
    codes = torch.randint(-8, 8, (60, 40), generator=generator, dtype=torch.int8)
    dropped = codes * (noise(60, 40) > 1.2)
    one, none = torch.ones(()), torch.zeros((), dtype=torch.int8)
    states: list[dict[str, Value]] = [
        {},
        {"w": noise(3)},
        {"w": noise(80, 60, keep=0.1), "b": noise(60), "z": torch.zeros(9)},
        {"w": noise(80, 60, keep=0.5).double(), "h": noise(70, 40, keep=0.2).half()},
        {"a": base, "b": base.t(), "c": base[3:9, ::2], "d": base.view(torch.int32)},
        {"q": QuantizedTensor(codes, 4, one, none), "r": QuantizedTensor(dropped, 4, one, none)},
        {"i": torch.arange(3000), "j": torch.arange(50) * 7, "m": noise(50, 40) > 0},
        {"bf": noise(2000).bfloat16(), "c": noise(900, keep=0.3).to(torch.complex64)},
        {"k": torch.ones(2000), "t": torch.tensor([0.1, 0.2, 0.3]).repeat(500), "e": noise(0, 4)},
        {f"n{index}": noise(4) for index in range(20)},
        *of_new_codecs(noise),
    ]
    blobs = [
        encode(state, metadata={"epoch": [index, None]} if index % 3 else None, level=level)
        for index, state in enumerate(states)
        for level in ("fast", "small")
    ]
    return [take_apart(blob) for blob in blobs]


def of_new_codecs(noise: Callable[..., torch.Tensor]) -> list[dict[str, Value]]:
    """States for the codecs of version 2: scaled, classes, planes, shifted, and copies."""
    integers = (30 * noise(40, 60)).round().clamp(-127, 127)
    loud = noise(60, 50) * torch.logspace(-3, 3, 60)[:, None]
    repeated = noise(7, 30).repeat(20, 1)
    words = (100 * noise(3000)).to(torch.int32) * 65_537
    return [
        {"rows": integers * (noise(40, 1).abs() + 0.1), "columns": integers * noise(60).abs()},
        {"sparse": torch.where(integers.abs() < 30, 0.0, integers) * (noise(40, 1).abs() + 0.1)},
        {"loud": loud, "halves": loud.half(), "sideways": loud.t().contiguous()},
        {"shifted": noise(2000).half().float(), "wide": noise(1500).bfloat16().double()},
        {"a": repeated, "b": repeated.clone(), "words": words, "c": noise(5, 5), "d": loud.clone()},
    ]


def take_apart(blob: bytes) -> Seed:
    start = PRELUDE_BYTES + int.from_bytes(blob[6:10], "little")
    stored = blob[PRELUDE_BYTES:start]
    header = parse(zstandard.decompress(stored) if blob[5] else stored)
    streams = []
    for group in header.groups:
        for chunk in group:
            streams.append(blob[start : start + chunk.stored_bytes])
            start += chunk.stored_bytes
    return Seed(blob, header, tuple(streams))


def assemble(raw: bytes, streams: bytes, *, compress: bool = False, raw_bytes: int = -1) -> bytes:
    """A file with a right header checksum around any header."""
    stored = zstandard.compress(raw) if compress else raw
    raw_bytes = len(raw) if raw_bytes < 0 else raw_bytes
    sizes = len(stored).to_bytes(4, "little") + raw_bytes.to_bytes(4, "little")
    start = MAGIC + bytes([VERSION, compress]) + sizes
    return start + zlib.crc32(start + stored).to_bytes(4, "little") + stored + streams


def mutate(blob: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, inserted, removed or moved; mostly few, mostly near each other."""
    out = bytearray(blob)
    reach = rng.choice((20, 60, 10**9))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not out:
            break
        place = rng.randrange(min(len(out), reach))
        action = rng.random()
        if action < 0.4:
            out[place] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif action < 0.7:
            out[place] ^= 1 << rng.randrange(8)
        elif action < 0.8:
            out[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif action < 0.9:
            del out[place : place + rng.randrange(1, 9)]
        else:
            out[place : place + 8] = out[rng.randrange(len(out)) :][:8]
    return bytes(out)


def damaged(seed: Seed, other: Seed, rng: random.Random) -> bytes:
    """A file with wrong checksums, or a piece of two."""
    action = rng.random()
    if action < 0.5:
        return mutate(seed.blob, rng)
    if action < 0.7:
        return seed.blob[: rng.randrange(len(seed.blob) + 1)]
    if action < 0.8:
        return seed.blob + rng.randbytes(rng.randrange(1, 30))
    return seed.blob[: rng.randrange(len(seed.blob))] + other.blob[rng.randrange(len(other.blob)) :]


def forged_header(seed: Seed, other: Seed, rng: random.Random) -> bytes:
    """A broken header under a right checksum."""
    raw = headers.pack(seed.header)
    action = rng.random()
    if action < 0.15:
        foreign = headers.pack(other.header)
        raw = raw[: rng.randrange(len(raw))] + foreign[rng.randrange(len(foreign)) :]
    elif action < 0.95:
        raw = mutate(raw, rng)
    raw_bytes = rng.choice(NUMBERS[:-2]) if rng.random() < 0.1 else -1
    streams = b"".join(rng.choice((seed, seed, seed, other)).streams)
    return assemble(raw, streams, compress=rng.random() < 0.3, raw_bytes=raw_bytes)


def forged_fields(seed: Seed, _: Seed, rng: random.Random) -> bytes:
    """One or two fields that lie, everything else consistent and every checksum right."""
    header = seed.header
    for _ in range(rng.choice((1, 1, 2))):
        tensors, storages = list(header.tensors), list(header.storages)
        groups = [list(group) for group in header.groups]
        kind = rng.randrange(3)
        if kind == 0 and tensors:
            index = rng.randrange(len(tensors))
            tensors[index] = _lie_about_tensor(tensors[index], len(storages), rng)
        elif kind == 1 and storages:
            index = rng.randrange(len(storages))
            storages[index] = _lie_about_storage(storages[index], rng)
        elif any(groups):
            group = rng.choice([group for group in groups if group])
            index = rng.randrange(len(group))
            group[index] = _lie_about_chunk(group[index], rng)
        frozen = tuple(tuple(group) for group in groups)
        header = Header(header.metadata, tuple(tensors), tuple(storages), frozen)
    try:
        return assemble(headers.pack(header), b"".join(seed.streams))
    except (CodecError, KeyError, ValueError, OverflowError):
        return seed.blob  # not even writable


def _lie_about_tensor(record: TensorRecord, storages: int, rng: random.Random) -> TensorRecord:
    numbers = tuple(rng.choice((*NUMBERS, size)) for size in (*record.shape, 5))
    changes: tuple[dict[str, object], ...] = (
        {"kind": rng.randrange(4)},
        {"name": rng.choice(("", "w", "a" * 1025, "\0"))},
        {"dtype": replace(rng.choice(DTYPES), code=rng.randrange(40))},
        {"shape": numbers[:-1], "strides": record.strides},
        {"shape": numbers, "strides": numbers if record.strides else ()},
        {"strides": numbers[:-1] if record.strides else ()},
        {"storage": rng.randrange(storages)},
        {"offset": rng.choice(NUMBERS)},
        {"bits": rng.randrange(10)},
    )
    return replace(record, **rng.choice(changes))  # type: ignore[arg-type]


def _lie_about_storage(storage: Storage, rng: random.Random) -> Storage:
    if rng.random() < 0.3:
        return replace(storage, group=-1, copy_of=rng.choice((*range(4), *NUMBERS)))
    if rng.random() < 0.5:
        return replace(storage, group=rng.choice((*range(4), *NUMBERS)))
    return replace(storage, lane_count=rng.choice(NUMBERS[:-3]))


def _lie_about_chunk(chunk: Chunk, rng: random.Random) -> Chunk:
    name = rng.choice([field.name for field in fields(Chunk)])
    limit = {"encoding": 4, "mask_codec": 4, "value_codec": 10}.get(name)
    near = max(0, getattr(chunk, name) + rng.choice((-1, 1)))
    number = rng.choice((*NUMBERS, near)) if limit is None else rng.randrange(limit)
    return replace(chunk, **{name: number & 0xFFFFFFFF if name == "crc32" else number})


def forged_streams(seed: Seed, other: Seed, rng: random.Random) -> bytes:
    """Broken streams whose lengths and checksums are right: they reach the decompressors."""
    streams = iter(seed.streams)
    groups: list[tuple[Chunk, ...]] = []
    written: list[bytes] = []
    for group in seed.header.groups:
        chunks = []
        for chunk in group:
            stream = next(streams)
            if stream and rng.random() < 0.6:
                chunk, stream = _break_stream(chunk, stream, other, rng)
            chunks.append(chunk)
            written.append(stream)
        groups.append(tuple(chunks))
    header = replace(seed.header, groups=tuple(groups))
    return assemble(headers.pack(header), b"".join(written))


def _break_stream(
    chunk: Chunk, stream: bytes, other: Seed, rng: random.Random
) -> tuple[Chunk, bytes]:
    mask, values = stream[: chunk.mask_bytes], stream[chunk.mask_bytes :]
    breakers: tuple[Callable[[bytes], bytes], ...] = (
        lambda piece: mutate(piece, rng),
        lambda piece: mutate(piece, rng),
        lambda piece: mutate(piece, rng),
        lambda piece: piece[: rng.randrange(len(piece) + 1)],
        lambda piece: rng.choice(other.streams or (b"",)),
        lambda piece: zstandard.compress(bytes(rng.choice((10, 10**4, 10**7)))),
    )
    if rng.random() < 0.4:
        mask = rng.choice(breakers)(mask)
    else:
        values = rng.choice(breakers)(values)
    codecs = {"value_codec": rng.randrange(9)} if rng.random() < 0.2 else {}
    if chunk.encoding == headers.DENSE:
        mask = b""
    stream = mask + values
    sizes = {"mask_bytes": len(mask), "value_bytes": len(values), "crc32": zlib.crc32(stream)}
    return replace(chunk, **sizes, **codecs), stream


def forged_structures(seed: Seed, _: Seed, rng: random.Random) -> bytes:
    """A field inside a stream that lies, every length and checksum around it right."""
    streams = iter(seed.streams)
    groups: list[tuple[Chunk, ...]] = []
    written: list[bytes] = []
    for group in seed.header.groups:
        chunks = []
        for chunk in group:
            stream = next(streams)
            mask, values = stream[: chunk.mask_bytes], stream[chunk.mask_bytes :]
            lied = structures.lie(chunk.value_codec, values, rng) if stream else values
            stream = mask + lied
            sizes = {"value_bytes": len(lied), "crc32": zlib.crc32(stream)}
            chunks.append(replace(chunk, **sizes) if stream else chunk)
            written.append(stream)
        groups.append(tuple(chunks))
    header = replace(seed.header, groups=tuple(groups))
    return assemble(headers.pack(header), b"".join(written))


BREAKERS = (
    *(damaged, damaged, damaged),
    *(forged_header, forged_fields, forged_streams),
    *(forged_structures, forged_structures),
)


def run(count: int, seed: int) -> Counter[str]:
    """Break `count` files; returns how each ended, raises AssertionError at a wrong one."""
    good = seeds()
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        breaker = rng.choice(BREAKERS)
        blob = breaker(rng.choice(good), rng.choice(good), rng)
        start = time.process_time()
        state: Mapping[str, Value] | None = None
        reason = ""
        try:
            state = decode(blob, max_bytes=MAX_BYTES).state
            outcome = "decoded"
        except CodecError as error:
            outcome, reason = type(error).__name__, str(error)
        except BaseException as error:
            raise AssertionError(f"file {seed}/{index} by {breaker.__name__}: {error!r}") from error
        seconds = time.process_time() - start
        slowest = max(slowest, seconds)
        assert seconds < SLOW_SECONDS, f"file {seed}/{index} took {seconds:.1f} s"
        assert state is not None or len(reason) > 20, f"file {seed}/{index} is refused unexplained"
        outcomes[outcome] += 1
        if state is not None and index % 10 == 0:
            again = decode(encode(state, level="fast"), max_bytes=1 << 62).state
            assert same_state(state, again), f"file {seed}/{index} does not come back"
    outcomes["slowest, microseconds"] = round(1e6 * slowest)
    return outcomes


def limit_memory(extra_bytes: int) -> None:
    """Let this process grow by so much and no more."""
    with open("/proc/self/statm") as file:
        used_bytes = int(file.read().split()[0]) * resource.getpagesize()
    limit = used_bytes + extra_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> None:
    """Run at the length asked for and print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(100, arguments.seed)  # so that what is loaded lazily is loaded
    limit_memory(MEMORY_BYTES)
    # Of CPU time, as others may want the core too.
    signal.setitimer(signal.ITIMER_PROF, 60 + arguments.count // 100)
    start = time.perf_counter()
    outcomes = run(arguments.count, arguments.seed)
    seconds = time.perf_counter() - start
    print(f"{arguments.count} files in {seconds:.0f} s under {MEMORY_BYTES >> 20} MiB, none wrong")
    for outcome, number in outcomes.most_common():
        print(f"{number:8d}  {outcome}")


if __name__ == "__main__":
    sys.exit(main())
