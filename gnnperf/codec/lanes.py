"""Lanes as numbers: turned, shifted, packed and split into planes (FORMAT.md, section 5)."""

import numpy as np
from numpy.typing import NDArray

from gnnperf.codec.errors import StreamError

Lanes = NDArray[np.unsignedinteger]
Positions = NDArray[np.integer]

CACHED_LANES = 1 << 14


def rotate(values: Lanes, left_bits: int) -> Lanes:
    """Each lane rotated left."""
    one = values.dtype.type
    right_bits = 8 * values.dtype.itemsize - left_bits
    rotated: Lanes = np.empty_like(values)
    # Piece by piece: a temporary array of a whole chunk costs more than the arithmetic.
    for start in range(0, len(values), CACHED_LANES):
        piece = values[start : start + CACHED_LANES]
        target = rotated[start : start + CACHED_LANES]
        np.left_shift(piece, one(left_bits), out=target)
        np.bitwise_or(target, np.right_shift(piece, one(right_bits)), out=target)
    return rotated


def unrotate(values: Lanes, left_bits: int) -> Lanes:
    """The inverse of `rotate`."""
    return rotate(values, 8 * values.dtype.itemsize - left_bits)


def trailing_zero_bits(values: Lanes) -> int:
    """How many of the lowest bits are 0 in every lane."""
    union = int(np.bitwise_or.reduce(values)) if len(values) else 0
    return (union & -union).bit_length() - 1 if union else 0


def drop_bits(values: Lanes, dropped_bits: int) -> Lanes:
    """Magnitudes without their lowest bits, which are 0; the sign is the lowest bit of each."""
    one = values.dtype.type
    sign_bit = 8 * values.dtype.itemsize - 1
    kept = np.right_shift(np.left_shift(values, one(1)), one(dropped_bits + 1))
    signs = np.right_shift(values, one(sign_bit))
    dropped: Lanes = np.bitwise_or(np.left_shift(kept, one(1)), signs)
    return dropped


def restore_bits(numbers: Lanes, dropped_bits: int) -> Lanes:
    """The inverse of `drop_bits`; raises StreamError for numbers that it never makes."""
    one = numbers.dtype.type
    width_bits = 8 * numbers.dtype.itemsize
    if dropped_bits >= width_bits - 1:
        raise StreamError(f"{dropped_bits} bits are dropped from lanes of {width_bits}")
    if dropped_bits and len(numbers) and int(numbers.max()) >> (width_bits - dropped_bits):
        raise StreamError(f"a number has more than {width_bits - dropped_bits} bits")
    magnitudes = np.left_shift(np.right_shift(numbers, one(1)), one(dropped_bits))
    signs = np.left_shift(numbers, one(width_bits - 1))
    restored: Lanes = np.bitwise_or(magnitudes, signs)
    return restored


def pack(codes: Lanes, bits: int) -> bytes:
    """The low bits of each code end to end."""
    columns = np.unpackbits(codes.view(np.uint8)[:, None], axis=1, bitorder="little")[:, :bits]
    return np.packbits(columns.reshape(-1), bitorder="little").tobytes()


def unpack(stream: bytes, count: int, bits: int, *, signed: bool) -> Lanes:
    """The inverse of `pack`; raises StreamError for another length, or bits in the padding."""
    raw = np.frombuffer(stream, np.uint8)
    if len(raw) != -(-count * bits // 8):
        raise StreamError(f"{count} codes of {bits} bits in {len(raw)} bytes")
    check_padding(raw, count * bits)
    columns = np.unpackbits(raw, count=count * bits, bitorder="little").reshape(count, bits)
    codes = np.packbits(columns, axis=1, bitorder="little").reshape(count)
    if signed:
        shift = np.int8(8 - bits)
        codes = ((codes.view(np.int8) << shift) >> shift).view(np.uint8)
    return codes


def check_padding(raw: NDArray[np.uint8], used_bits: int) -> None:
    """Raise StreamError unless the last byte's unused high bits are 0."""
    if used_bits % 8 and int(raw[-1]) >> used_bits % 8:
        raise StreamError(f"the padding after {used_bits} bits is not zero")


def planes(values: Lanes) -> NDArray[np.uint8]:
    """A row for each byte of the lanes, the most significant first."""
    width = values.dtype.itemsize
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, width)[:, ::-1].T)


def join_planes(rows: NDArray[np.uint8], dtype: str) -> Lanes:
    """The inverse of `planes`."""
    joined: Lanes = np.ascontiguousarray(rows[::-1].T).reshape(-1).view(dtype)
    return joined
