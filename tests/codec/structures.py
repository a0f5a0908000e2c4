"""Lies inside value streams: a field is changed, and every length around it set right again."""

import random
from collections.abc import Callable

from gnnperf.codec import backends
from gnnperf.codec.values import CLASSED, PLANES, SCALED, SHIFTED
from gnnperf.codec.wire import Reader, varint

NUMBERS = (0, 1, 2, 3, 7, 16, 17, 31, 32, 63, 255, 1 << 16, 1 << 20, 1 << 40, (1 << 63) - 1)


def lie(codec: int, stream: bytes, rng: random.Random) -> bytes:
    """The stream of a codec of version 2 with one field wrong; of another one as it is."""
    liars: dict[int, Callable[[bytes, random.Random], bytes]] = {
        SHIFTED: _shifted,
        PLANES: _planes,
        SCALED: _scaled,
        CLASSED: _classed,
    }
    return liars[codec](stream, rng) if codec in liars else stream


def _other(number: int, rng: random.Random) -> int:
    return rng.choice((*NUMBERS, max(0, number - 1), number + 1))


def _broken(blob: bytes, rng: random.Random) -> bytes:
    if not blob or rng.random() < 0.2:
        return b""
    place = rng.randrange(len(blob))
    return rng.choice(
        (
            blob[:place],
            blob + rng.randbytes(3),
            blob[:place] + rng.randbytes(1) + blob[place + 1 :],
        )
    )


def _shifted(stream: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return bytes([_other(stream[0], rng) % 256]) + stream[1:]
    return stream[:1] + _broken(stream[1:], rng)


def _planes(stream: bytes, rng: random.Random) -> bytes:
    reader = Reader(stream)
    heads: list[tuple[int, int]] = []
    # As many planes as make the lengths add up to what is left.
    while sum(size for _, size in heads) != len(stream) - reader.position or not heads:
        heads.append((reader.u8("codec"), reader.varint("bytes")))
    pieces = [reader.take(size, "plane") for _, size in heads]
    index = rng.randrange(len(heads))
    codecs = [codec for codec, _ in heads]
    if rng.random() < 0.4:
        codecs[index] = _other(codecs[index], rng) % 256
    elif rng.random() < 0.3:
        pieces[index] = pieces[rng.randrange(len(pieces))]
    else:
        pieces[index] = _broken(pieces[index], rng)
    sizes = [len(piece) for piece in pieces]
    if rng.random() < 0.2:
        sizes[index] = _other(sizes[index], rng)
    head = b"".join(bytes([c]) + varint(size) for c, size in zip(codecs, sizes, strict=True))
    return head + b"".join(pieces)


def _scaled(stream: bytes, rng: random.Random) -> bytes:
    reader = Reader(stream)
    run, count = reader.varints("lines", 2)
    codec, size = reader.u8("codec"), reader.varint("bytes")
    scales, codes = reader.take(size, "scales"), reader.rest()
    field = rng.randrange(6)
    if field == 0:
        run = _other(run, rng)
    elif field == 1:
        count = _other(count, rng)
    elif field == 2:
        codec = _other(codec, rng) % 256
    elif field == 3:
        scales = _broken(scales, rng)
    elif field == 4:
        codes = _broken(codes, rng)
    else:  # Scales that are read, but are no scales: NaN, infinite, negative, any.
        word = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xbf", rng.randbytes(4)))
        codec, scales = 0, word * min(count, 1 << 12)
    head = varint(run) + varint(count) + bytes([codec]) + varint(len(scales))
    return head + scales + codes


def _classed(stream: bytes, rng: random.Random) -> bytes:
    reader = Reader(stream)
    run, count = reader.varints("lines", 2)
    dropped_bits, class_count = reader.u8("bits"), reader.u8("classes")
    sizes = list(reader.varints("bytes", 1 + class_count))
    blobs = [reader.take(size, "class") for size in sizes]
    field = rng.randrange(6)
    index = rng.randrange(len(blobs))
    if field == 0:
        run = _other(run, rng)
    elif field == 1:
        count = _other(count, rng)
    elif field == 2:
        dropped_bits = _other(dropped_bits, rng) % 256
    elif field == 3:
        class_count = _other(class_count, rng) % 256
    elif field == 4:
        blobs[index] = _broken(blobs[index], rng)
    else:  # Other classes, of which some may be none.
        classes = backends.decompress_numbers(blobs[0], count, "<u1").copy()
        classes[rng.randrange(count)] = rng.randrange(20)
        blobs[0] = backends.compress_numbers(classes, 8)
    sizes = [len(blob) for blob in blobs]
    if rng.random() < 0.1:
        sizes[index] = _other(sizes[index], rng)
    head = varint(run) + varint(count) + bytes([dropped_bits, class_count])
    return head + b"".join(map(varint, sizes)) + b"".join(blobs)
