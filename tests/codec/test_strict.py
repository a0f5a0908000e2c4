"""What version 2 refuses although it could be read: nothing can be hidden in a file."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from gnnperf.codec import QuantizedTensor, backends, decode, encode, errors, lines
from gnnperf.codec.dtypes import LANES
from gnnperf.codec.header import DENSE, SPARSE, ZERO
from gnnperf.codec.values import CLASSED, PACKED, PLANES, SCALED, SHIFTED
from gnnperf.codec.wire import string, varint

from .fuzz import assemble
from .test_hostile import F32, I8, dense, header, numbers, plain, refused, sparse

BOOL, INT8 = 0, 2


def version_1(blob: bytes) -> bytes:
    """The same file under the older version's number."""
    head = blob[:4] + b"\1" + blob[5:14]
    end = 18 + int.from_bytes(blob[6:10], "little")
    return head + zlib.crc32(head + blob[18:end]).to_bytes(4, "little") + blob[18:]


def test_varints_longer_than_needed() -> None:
    long = b"\0" + string(b"w") + bytes([F32]) + b"\1\x83\0" + varint(0)
    blob = assemble(header([long], bytes([ZERO])), b"")
    refused(blob, errors.HeaderError, "a dimension is 3 in more bytes than it needs")
    refused(assemble(b"\x80\0\0\0", b""), errors.HeaderError, "more bytes than it needs")


@pytest.mark.parametrize(("used", "count"), [(0b1_0000, 3), (0b1000_0000, 3)])
def test_padding_of_a_mask(used: int, count: int) -> None:
    values = struct.pack("<2f", 1.0, 2.0)
    mask = bytes([0b11 | used])
    raw = header([plain("w", 4)], sparse(mask, values, 2))
    refused(assemble(raw, mask + values), errors.StreamError, "padding after 4 bits is not zero")
    good = assemble(header([plain("w", 4)], sparse(b"\3", values, 2)), b"\3" + values)
    assert decode(good).state["w"].tolist() == [1.0, 2.0, 0.0, 0.0]


def test_padding_of_packed_codes() -> None:
    codes = b"\3" + string(b"q") + bytes([I8]) + numbers(1, 1, 0) + b"\4"
    parts = [plain("", group=1), plain("", group=1)]
    for stream, fits in ((b"\x07", True), (b"\x17", False)):
        chunks = dense(stream, codec=PACKED), bytes([ZERO])
        blob = assemble(header([codes, *parts], *chunks, groups=2), stream)
        if fits:
            value = decode(blob).state["q"]
            assert isinstance(value, QuantizedTensor)
            assert value.values.tolist() == [7]
        else:
            refused(blob, errors.StreamError, "padding after 4 bits")


def test_zeros_among_sparse_values() -> None:
    values = struct.pack("<2f", 1.0, 0.0)
    raw = header([plain("w", 4)], sparse(b"\3", values, 2))
    refused(assemble(raw, b"\3" + values), errors.StreamError, "that the mask marks is zero")


@pytest.mark.parametrize("count", [0, 4])
def test_sparse_chunks_that_are_not(count: int) -> None:
    stream = bytes([(1 << count) - 1]) + b"\1" * 4 * count
    raw = header([plain("w", 4)], sparse(stream[:1], stream[1:], count))
    refused(assemble(raw, stream), errors.HeaderError, f"has {count} values in 4 lanes")


def test_bools_above_1_are_of_version_1_alone() -> None:
    blob = assemble(header([plain("m", 3, dtype=BOOL)], dense(b"\0\1\2")), b"\0\1\2")
    refused(blob, errors.StreamError, "'m': a bool is neither 0 nor 1")
    assert decode(version_1(blob)).state["m"].view(torch.uint8).tolist() == [0, 1, 2]
    state = {"m": torch.tensor([0, 2], dtype=torch.uint8).view(torch.bool)}
    with pytest.raises(errors.UnsupportedValueError, match="'m': a bool is stored as 2"):
        encode(state)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a":1,"a":2}', "'a' occurs twice"),
        (b'{"a":{"b":1,"b":1}}', "'b' occurs twice"),
        (b'{"a":1e999}', "1e999 overflows"),
        (b'{"a":-1e999}', "overflows"),
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_ambiguous_metadata_is_refused_in_both_versions(
    text: bytes, message: str, old: bool
) -> None:
    blob = assemble(header([], groups=0, metadata=text), b"")
    refused(version_1(blob) if old else blob, errors.MetadataError, message)


@pytest.mark.parametrize(
    "text",
    [b"{}", b'{ "a":1}', b'{"a":1}\n', b'{"\\u0061":1}', b'{"a":1.50}', b'{"a":-0}', b'{"a":1E5}'],
)
def test_metadata_in_another_form_is_of_version_1_alone(text: bytes) -> None:
    blob = assemble(header([], groups=0, metadata=text), b"")
    refused(blob, errors.MetadataError, "not in the one form")
    decode(version_1(blob))


def test_groups_out_of_order() -> None:
    records = [plain("a", 1, group=1), plain("b", 1, group=0)]
    blob = assemble(header(records, bytes([ZERO]), bytes([ZERO]), groups=2), b"")
    refused(blob, errors.HeaderError, "group 1 is used before group 0")
    decode(version_1(blob))


def view(kind: int, name: str, *values: int) -> bytes:
    return bytes([kind]) + string(name.encode()) + bytes([F32]) + numbers(*values)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (view(1, "v", 1, 0, 0, 4, 0, 1), "view of nothing"),
        (view(1, "v", 1, 1, 0, 4, 0, 7), "has a stride where it has no next"),
        (view(1, "v", 1, 2, 0, 12, 0, 1), "from byte 8 on"),
        (view(1, "v", 1, 1, 0, 20, 4, 0), "those before byte 16"),
    ],
)
def test_bytes_and_numbers_that_no_view_needs(record: bytes, message: str) -> None:
    blob = assemble(header([record], bytes([ZERO])), b"")
    refused(blob, errors.HeaderError, message)
    decode(version_1(blob))


def test_a_view_may_begin_fifteen_bytes_into_its_storage() -> None:
    blob = assemble(header([view(1, "v", 1, 1, 0, 16, 3, 0)], bytes([ZERO])), b"")
    assert decode(blob).state["v"].tolist() == [0.0]


def copy_of(source: int, name: str, *shape: int, dtype: int = F32) -> bytes:
    return b"\4" + string(name.encode()) + bytes([dtype]) + numbers(len(shape), *shape, source)


def test_copies() -> None:
    word = struct.pack("<f", 1.5)
    good = header([plain("a", 1), copy_of(0, "b", 1)], dense(word))
    state = decode(assemble(good, word)).state
    assert state["b"].tolist() == [1.5]
    state["b"] += 1
    assert state["a"].tolist() == [1.5]
    for last, message in (
        (copy_of(1, "b", 1), "storage 1, which holds nothing"),
        (copy_of(0, "b", 2), "storage 0 of another kind"),
        (copy_of(0, "b", 1, dtype=6), "storage 0 of another kind"),
    ):
        blob = assemble(header([plain("a", 1), last], dense(word)), word)
        refused(blob, errors.HeaderError, message)
    chain = header([plain("a", 1), copy_of(0, "b", 1), copy_of(1, "c", 1)], dense(word))
    refused(assemble(chain, word), errors.HeaderError, "copies storage 1, which holds nothing")
    refused(version_1(assemble(good, word)), errors.HeaderError, "4 is no kind of tensor")


def stored(codec: int, stream: bytes, *shape: int, dtype: int = F32) -> bytes:
    return assemble(header([plain("w", *shape, dtype=dtype)], dense(stream, codec=codec)), stream)


def pco(*values: int, dtype: str = "<u4") -> bytes:
    return backends.compress_numbers(np.array(values, dtype), 8)


def scaled(run: int, count: int, scales: list[float], codes: list[int]) -> bytes:
    raw = struct.pack(f"<{len(scales)}f", *scales)
    head = lines.Head(run, count).pack() + b"\0" + varint(len(raw)) + raw
    return head + pco(*codes, dtype="<u2")


def test_scaled_values() -> None:
    blob = stored(SCALED, scaled(2, 2, [0.5, 0.0], [6, 7, 0, 1]), 4)
    found = decode(blob).state["w"]
    assert found.tolist() == [1.5, -1.5, 0.0, 0.0]
    assert torch.signbit(found).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (scaled(2, 2, [0.5, 0.25], [6, 7, 0, 1]), "no code needs it"),
        (scaled(2, 2, [-0.5, 0.0], [6, 7, 0, 1]), "no positive number"),
        (scaled(2, 2, [float("inf"), 0.0], [6, 7, 0, 1]), "no positive number"),
        (scaled(2, 2, [float("nan"), 0.0], [6, 7, 0, 1]), "no positive number"),
        (scaled(2, 2, [0.0, 0.0], [6, 7, 0, 1]), "no positive number"),
        (scaled(2, 2, [0.5, -0.0], [6, 7, 0, 1]), "no code needs it"),
        (scaled(0, 2, [0.5, 0.0], [6, 7, 0, 1]), "2 lines of 0 lanes"),
        (scaled(2, 0, [], [6, 7, 0, 1]), "0 lines of 2 lanes"),
        (scaled(1, 5, [0.5] * 5, [6, 7, 0, 1]), "5 lines of 1 lanes in a chunk of 4"),
    ],
)
def test_scales_that_are_none(stream: bytes, message: str) -> None:
    refused(stored(SCALED, stream, 4), errors.StreamError, message)


def classed(classes: list[int], streams: list[bytes], bits: int = 0, count: int = 2) -> bytes:
    first = pco(*classes, dtype="<u1")
    head = lines.Head(2, len(classes)).pack() + bytes([bits, count])
    sizes = b"".join(varint(len(blob)) for blob in (first, *streams))
    return head + sizes + first + b"".join(streams)


def test_classes_of_lines() -> None:
    blob = stored(CLASSED, classed([1, 0], [pco(2, 4), pco(6, 9)]), 4)
    assert decode(blob).state["w"].view(torch.int32).tolist() == [3, 4 - (1 << 31), 1, 2]


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (classed([2, 0], [pco(2, 4), pco(6, 9)]), "class is above 1"),
        (classed([1, 0, 1], [pco(2, 4), pco(6, 9)]), "of a line without values"),
        (classed([1, 0], [pco(2, 4), pco(6, 9)], bits=31), "31 bits are dropped"),
        (classed([1, 0], [pco(2, 4), pco(1 << 20, 9)], bits=12), "more than 20 bits"),
        (classed([0, 0], [pco(2, 4, 6, 9)], count=1), "1 classes of lines, from 2 to 16"),
        (classed([0, 0], [pco(2, 4, 6, 9)] + [b""] * 16, count=17), "17 classes of lines"),
    ],
)
def test_classes_that_are_none(stream: bytes, message: str) -> None:
    refused(stored(CLASSED, stream, 4), errors.StreamError, message)


def test_dropped_bits() -> None:
    assert decode(stored(SHIFTED, b"\x0d" + pco(3), 1)).state["w"].view(torch.int32).tolist() == [
        (1 << 13) - (1 << 31)
    ]
    refused(stored(SHIFTED, b"\0" + pco(3), 1), errors.StreamError, "drops no bits")
    refused(stored(SHIFTED, b"\x1f" + pco(3), 1), errors.StreamError, "31 bits are dropped")
    refused(stored(SHIFTED, b"\x1e" + pco(4), 1), errors.StreamError, "more than 2 bits")
    refused(stored(SHIFTED, b"", 1), errors.StreamError, "drops no bits")


def test_planes() -> None:
    stream = bytes([0, 2, 0, 2]) + b"\1\0\2\3"
    found = decode(stored(PLANES, stream, 2, dtype=4)).state["w"]
    assert found.tolist() == [0x0102, 0x0003]
    refused(stored(PLANES, b"\3" + stream[1:], 2, dtype=4), errors.UnknownEncodingError, "codec 3")
    blob = stored(PLANES, stream + b"\0", 2, dtype=4)
    refused(blob, errors.TrailingDataError, "1 bytes after")


@pytest.mark.parametrize(
    ("codec", "dtype"), [(SHIFTED, 6), (CLASSED, 6), (SCALED, 9), (SCALED, 6), (PLANES, INT8)]
)
def test_codecs_of_other_lanes(codec: int, dtype: int) -> None:
    refused(stored(codec, b"\1" * 9, 4, dtype=dtype), errors.UnknownEncodingError, "does not exist")


def test_every_lane_but_one_byte_has_planes() -> None:
    assert {lane.name for lane in LANES.values() if lane.width_bytes == 1} == {"u8", "i8"}


REFUSED_BY_ENCODE: list[tuple[Callable[[], object], str]] = [
    (lambda: encode([torch.ones(1)]), "a state is a mapping of names to tensors, not a list"),  # type: ignore[arg-type]
    (lambda: encode({}, metadata=[1]), "metadata is a mapping .*, not a list"),  # type: ignore[arg-type]
    (lambda: encode({}, threads="2"), "threads is a number of type int, not a str"),  # type: ignore[arg-type]
    (lambda: decode("x"), "bytes-like object, not a str"),  # type: ignore[arg-type]
    (lambda: decode(None), "bytes-like object, not a NoneType"),  # type: ignore[arg-type]
    (lambda: decode(b"", max_bytes="1"), "max_bytes is a number of type int"),  # type: ignore[arg-type]
    (lambda: decode(b"", max_tensors=None), "max_tensors is a number"),  # type: ignore[arg-type]
    (lambda: QuantizedTensor([1], 4, 1.0, 0), "values is a tensor, not a list"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "message"), REFUSED_BY_ENCODE)
def test_wrong_types_are_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_kinds_and_encodings_are_as_the_format_numbers_them() -> None:
    assert (
        *(0, 1, 2, 4),
        *(5, 6, 7, 8),
    ) == (ZERO, DENSE, SPARSE, PACKED, SHIFTED, PLANES, SCALED, CLASSED)
