"""Every way in which a file can be wrong has an error of its own that says where."""

import contextlib
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
import zstandard

from gnnperf.codec import QuantizedTensor, backends, decode, encode, errors
from gnnperf.codec.header import CHUNK_LANES, DENSE, SPARSE, ZERO
from gnnperf.codec.wire import string, varint

from . import fuzz
from .fuzz import assemble

GOOD = encode({"w": torch.randn(50, 40), "b": torch.ones(3)}, metadata={"epoch": 3})
F32, I8 = 11, 2


def header(
    records: Iterable[bytes], *chunks: bytes, groups: int = 1, metadata: bytes = b""
) -> bytes:
    records = list(records)
    counts = varint(len(records)) + varint(groups)
    return string(metadata) + counts + b"".join(records) + b"".join(chunks)


def plain(name: str | bytes, *shape: int, dtype: int = F32, group: int = 0) -> bytes:
    name = name.encode() if isinstance(name, str) else name
    return b"\0" + string(name) + bytes([dtype]) + numbers(len(shape), *shape, group)


def numbers(*values: int) -> bytes:
    return b"".join(map(varint, values))


def dense(stream: bytes, codec: int = 0) -> bytes:
    crc32 = zlib.crc32(stream).to_bytes(4, "little")
    return bytes([DENSE | codec << 4]) + varint(len(stream)) + crc32


def sparse(mask: bytes, values: bytes, count: int, mask_codec: int = 0) -> bytes:
    crc32 = zlib.crc32(mask + values).to_bytes(4, "little")
    sizes = numbers(count, len(mask), len(values))
    return bytes([SPARSE | mask_codec << 2]) + sizes + crc32


def refused(blob: bytes, error: type[errors.CodecError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        decode(blob)
    assert caught.type is error


def test_the_helpers_write_good_files() -> None:
    words = torch.tensor([1.0, 2.0])
    blob = assemble(
        header([plain("w", 2)], dense(words.numpy().tobytes())), words.numpy().tobytes()
    )
    assert torch.equal(decode(blob).state["w"], words)


def test_wrong_magic() -> None:
    refused(b"PK\x03\x04" + GOOD[4:], errors.MagicError, "begins with '504b0304'")
    refused(b"", errors.MagicError, "no model state file")


def test_newer_version() -> None:
    refused(GOOD[:4] + b"\x03" + GOOD[5:], errors.VersionError, "format version 3.*newer one")
    refused(GOOD[:4] + b"\x00" + GOOD[5:], errors.VersionError, "version 0, which no gnnperf ever")


def test_truncated_anywhere() -> None:
    for length in range(1, len(GOOD)):
        with pytest.raises(errors.TruncatedError):
            decode(GOOD[:length])


def test_trailing_data() -> None:
    refused(GOOD + b"\0", errors.TrailingDataError, "1 bytes follow the last stream")
    refused(assemble(header([], groups=0) + b"\0", b""), errors.TrailingDataError, "header byte 3")


def test_checksum_of_the_header_and_of_a_stream() -> None:
    refused(GOOD[:20] + b"\xff" + GOOD[21:], errors.ChecksumError, "header does not match")
    refused(
        GOOD[:-1] + bytes([GOOD[-1] ^ 1]), errors.ChecksumError, "chunk 0 of group 1: the check"
    )


def test_duplicate_names() -> None:
    raw = header([plain("same", 1), plain("same", 1)], bytes([ZERO]))
    refused(assemble(raw, b""), errors.DuplicateNameError, "'same' occurs twice")


def test_unknown_dtype() -> None:
    raw = header([plain("w", 1, dtype=200)], bytes([ZERO]))
    refused(assemble(raw, b""), errors.UnknownDtypeError, "dtype code 200")


@pytest.mark.parametrize("byte", [3, 0x80, 4, 0x10, DENSE | 4, DENSE | 9 << 4, DENSE | 15 << 4])
def test_unknown_encodings(byte: int) -> None:
    chunk = bytes([byte]) + dense(bytes(4))[1:]
    blob = assemble(header([plain("w", 1)], chunk), bytes(4))
    refused(blob, errors.UnknownEncodingError, "is no encoding of a chunk")


@pytest.mark.parametrize("columns", [0, 2, 5, 2**32 - 1])
def test_columns_that_do_not_divide_the_lanes(columns: int) -> None:
    mask = columns.to_bytes(4, "little") + backends.compress_numbers(
        torch.tensor([1]).numpy().astype("<u4"), 8
    )
    raw = header([plain("w", 9)], sparse(mask, bytes(4), 1, mask_codec=3))
    refused(assemble(raw, mask + bytes(4)), errors.StreamError, f"{columns} columns do not divide")


def test_a_mask_too_short_for_its_columns() -> None:
    raw = header([plain("w", 9)], sparse(b"\3", bytes(4), 1, mask_codec=3))
    refused(assemble(raw, b"\3" + bytes(4)), errors.StreamError, "pcodec refuses")


def test_a_codec_of_another_lane() -> None:
    stream = backends.compress_numbers(torch.zeros(4).numpy().view("<u4"), 8)
    records = [plain("w", 4, dtype=6)]
    blob = assemble(header(records, dense(stream, codec=3)), stream)
    refused(blob, errors.UnknownEncodingError, "pco-rot does not exist for lane i32")
    blob = assemble(header(records, dense(stream, codec=4)), stream)
    refused(blob, errors.UnknownEncodingError, "packed does not exist")


def test_unknown_header_codec() -> None:
    blob = assemble(header([], groups=0), b"")
    start = blob[:5] + b"\7" + blob[6:14]
    crc32 = zlib.crc32(start + blob[18:]).to_bytes(4, "little")
    refused(start + crc32 + blob[18:], errors.UnknownEncodingError, "header codec 7")


@pytest.mark.parametrize(
    ("offset", "stride", "fits"), [(0, 1, True), (7, 1, True), (8, 1, False), (0, 5, False)]
)
def test_views_out_of_range(offset: int, stride: int, fits: bool) -> None:
    view = b"\1" + string(b"v") + bytes([F32]) + numbers(1, 3, 0, 40, offset, stride)
    # Another that sees the whole storage: bytes that nobody sees are refused for themselves.
    whole = b"\2" + string(b"w") + bytes([F32]) + numbers(1, 10, 0, 0, 1)
    blob = assemble(header([view, whole], bytes([ZERO])), b"")
    if fits:
        assert decode(blob).state["v"].shape == (3,)
    else:
        refused(blob, errors.OffsetError, "'v' reaches element .* in a storage of 40 bytes")


def test_a_view_of_nothing_defined() -> None:
    view = b"\2" + string(b"v") + bytes([F32]) + numbers(0, 0, 0)
    refused(assemble(header([view], groups=0), b""), errors.HeaderError, "not yet defined")


def test_streams_cannot_overlap() -> None:
    # Only lengths are written. To overlap, one stream must claim the bytes of the next.
    first, second = bytes(range(4)), bytes(range(4, 8))
    records = [plain("a", 1), plain("b", 1, group=1)]
    claim = dense(first + second[:2])
    blob = assemble(header(records, claim, dense(second), groups=2), first + second)
    refused(blob, errors.TruncatedError, "streams end at byte .*, the file at byte")
    blob = assemble(header(records, claim, dense(second[2:]), groups=2), first + second)
    refused(blob, errors.StreamError, "chunk 0 of group 0: the raw stream is 6 bytes long")


def test_groups_that_make_no_sense() -> None:
    mixed = header([plain("a", 1), plain("b", 1, dtype=I8)], bytes([ZERO]))
    refused(assemble(mixed, b""), errors.HeaderError, "group 0 mixes")
    outside = header([plain("a", 1, group=1)], bytes([ZERO]))
    refused(assemble(outside, b""), errors.HeaderError, "group 1 of 1")
    lonely = header([plain("a", 1), plain("b", 1)], bytes([ZERO]), groups=2)
    refused(assemble(lonely, b""), errors.HeaderError, "of 2 groups only 1")


def test_broken_records() -> None:
    codes = b"\3" + string(b"q") + bytes([I8]) + numbers(1, 4, 0) + b"\4"
    refused(assemble(header([codes], bytes([ZERO])), b""), errors.HeaderError, "lacks its scale")
    records = [codes, plain("scale", group=1), plain("", group=1)]
    refused(assemble(header(records, groups=2), b""), errors.HeaderError, "not empty")
    floats = b"\3" + string(b"q") + bytes([F32]) + numbers(1, 4, 0) + b"\4"
    refused(assemble(header([floats]), b""), errors.HeaderError, "codes of 4 bits in float32")
    refused(assemble(header([b"\x09"]), b""), errors.HeaderError, "9 is no kind")
    refused(assemble(header([plain("", 1)]), b""), errors.HeaderError, "name is empty")
    refused(assemble(header([plain(b"\xff", 1)]), b""), errors.HeaderError, "not UTF-8")
    refused(assemble(b"\x80" * 9 + b"\1", b""), errors.HeaderError, "takes over 9 bytes")


def test_codes_wider_than_their_bits() -> None:
    stream = bytes([0, 1, 2, 100])
    codes = b"\3" + string(b"q") + bytes([I8]) + numbers(1, 4, 0) + b"\4"
    records = [codes, plain("", group=1), plain("", group=1)]
    blob = assemble(header(records, dense(stream), bytes([ZERO]), groups=2), stream)
    refused(blob, errors.HeaderError, "'q': codes from 0 to 100 do not fit 4 bits")


def test_limits() -> None:
    huge = 1 << 40
    refused(assemble(numbers(huge), b""), errors.LimitError, "length of metadata")
    many = b"\0" + varint((1 << 17) + 1)
    refused(assemble(many, b""), errors.LimitError, "131073 tensors, .*larger max_tensors")
    refused(assemble(header([plain("n" * 4097)]), b""), errors.LimitError, "length of a name")
    refused(assemble(header([plain("w", *[1] * 65)]), b""), errors.LimitError, "dimensions")
    absurd = header([plain("w", 0, 1 << 62, 1 << 62)], bytes([ZERO]))
    refused(assemble(absurd, b""), errors.LimitError, "absurd shape")
    blob = assemble(b"", b"", raw_bytes=(64 << 20) + 1)
    refused(blob, errors.LimitError, "a header of 67108865 bytes.*larger max_header_bytes")


@pytest.mark.parametrize(
    "metadata",
    [b"[]", b"{", b"\xff", b'{"a":NaN}', b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", b"[" * 100_000],
)
def test_bad_metadata(metadata: bytes) -> None:
    refused(
        assemble(header([], groups=0, metadata=metadata), b""), errors.MetadataError, "metadata"
    )


def test_half_a_terabyte_of_zeros_is_refused_unless_allowed() -> None:
    raw = header([plain("w", 1 << 36, dtype=15)], bytes([ZERO]) * (1 << 17))
    refused(assemble(raw, b"", compress=True), errors.LimitError, "131072 chunks")
    raw = header([plain("w", 1 << 36, dtype=12)], bytes([ZERO]) * (1 << 16))
    blob = assemble(raw, b"", compress=True)
    assert len(blob) < 100
    refused(blob, errors.ExpansionError, "would take 549755813888 bytes, 268435456 are allowed")
    zeros = encode({"w": torch.zeros(1000)})
    with pytest.raises(errors.ExpansionError, match="pass a larger max_bytes"):
        decode(zeros, max_bytes=3999)
    assert decode(zeros, max_bytes=4000).state["w"].shape == (1000,)


def test_an_expanded_view_counts_as_if_laid_out() -> None:
    view = b"\1" + string(b"v") + bytes([F32]) + numbers(1, 1 << 40, 0, 4, 0, 0)
    blob = assemble(header([view], bytes([ZERO])), b"")
    refused(blob, errors.ExpansionError, "268435456 are allowed")


def test_zstd_bombs_are_refused_unexpanded() -> None:
    bomb = zstandard.compress(bytes(1 << 28))
    raw = header([plain("w", 4)], dense(bomb, codec=1))
    refused(assemble(raw, bomb), errors.StreamError, "states 268435456 bytes where 16 are declared")
    unstated = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(16))
    raw = header([plain("w", 4)], dense(unstated, codec=1))
    refused(assemble(raw, unstated), errors.StreamError, "where 16 are declared")
    blob = assemble(bytes(1 << 26), b"", compress=True, raw_bytes=100)
    refused(blob, errors.StreamError, "states 67108864 bytes where 100 are declared")


def test_streams_that_hold_something_else() -> None:
    floats = torch.randn(9, generator=torch.Generator().manual_seed(0)).numpy()
    stream = backends.compress_numbers(floats, 8)
    for count in (1, 8, 10, 300):
        raw = header([plain("w", count)], dense(stream, codec=2))
        refused(assemble(raw, stream), errors.StreamError, "chunk 0 of group 0: .*pcodec|page ends")
    raw = header([plain("w", 9)], dense(stream + b"\0", codec=2))
    refused(assemble(raw, stream + b"\0"), errors.StreamError, "of a pcodec stream of")
    values = bytes(8)
    raw = header([plain("w", 9)], sparse(b"\7\0", values, 2))
    refused(assemble(raw, b"\7\0" + values), errors.StreamError, "marks 3 lanes where 2")
    gaps = backends.compress_numbers(torch.tensor([3, 5]).numpy().astype("<u4"), 8)
    raw = header([plain("w", 9)], sparse(gaps, values, 2, mask_codec=2))
    refused(assemble(raw, gaps + values), errors.StreamError, "marks lane 9 of 9")


def test_a_list_longer_than_its_numbers_is_refused_before_there_is_room_for_it() -> None:
    start = backends.compress_numbers(torch.randn(9).numpy(), 8)[:2]
    for listed, message in (
        (10, "a pcodec stream of 9 numbers lists 10 different ones"),
        ((1 << 25) - 1, "lists 33554431 different ones"),
        (9, "pcodec refuses the stream"),
    ):
        stream = start + (4 | listed << 4).to_bytes(4, "little") + bytes(9)
        raw = header([plain("w", 9)], dense(stream, codec=2))
        refused(assemble(raw, stream), errors.StreamError, message)


def test_worst_honest_lies_stay_fast() -> None:
    """Files that ask for all that the default limit allows, each within a second."""
    lanes = (256 << 20) // 4 // CHUNK_LANES * CHUNK_LANES
    chunk = backends.compress_numbers(torch.ones(CHUNK_LANES).numpy(), 8)
    chunks = lanes // CHUNK_LANES
    constant = header([plain("w", lanes)], dense(chunk, codec=2) * chunks)
    many = [plain(f"t{index}", 1, group=index) for index in range(8_192)]
    tiny = header(many, dense(bytes(4)) * len(many), groups=len(many))
    long = [plain(f"t{index}", *[300] * 2, *[0] * 62) for index in range(8_192)]
    deep = [plain(f"t{index}", *[1] * 44, *[200] * 8, *[0] * 2) for index in range(8_192)]
    wide = header([plain("w", 1 << 36)], bytes(1 << 16))
    blobs = [
        assemble(constant, chunk * chunks),
        assemble(tiny, bytes(4) * 8_192),
        assemble(header([], groups=0, metadata=b'{"a":[' + b"[]," * 80_000 + b"[]]}"), b""),
        assemble(header(long)[: 1 << 20], b"", compress=True),
        assemble(header(deep)[: 1 << 20], b"", compress=True),
        assemble(wide, b"", compress=True),
    ]
    for blob in blobs:
        start = time.process_time()
        with contextlib.suppress(errors.CodecError):
            decode(blob)
        assert time.process_time() - start < 1.0


def test_a_short_fuzz() -> None:
    outcomes = fuzz.run(4_000, seed=7)
    assert outcomes["decoded"] > 100
    assert len(outcomes) > 12


def test_the_fuzz_under_its_memory_limit() -> None:
    command = [sys.executable, str(Path(fuzz.__file__)), "--count", "1000", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "none wrong" in done.stdout


def test_states_that_cannot_be_stored() -> None:
    ones = torch.ones(2)
    for state, message in (
        ({"w": ones.to_sparse()}, "'w': a Tensor of layout torch.sparse_coo"),
        ({"w": [1.0]}, "'w': a list is no tensor"),
        ({3: ones}, "not 3"),
        ({"": ones}, "non-empty"),
        ({"\ud800": ones}, "no UTF-8"),
        ({"w": torch.ones(2, device="meta")}, "meta"),
    ):
        with pytest.raises(errors.UnsupportedValueError, match=message):
            encode(state)  # type: ignore[arg-type]
    with pytest.raises(errors.LimitError, match="65 dimensions"):
        encode({"w": torch.ones([1] * 65)})
    with pytest.raises(errors.LimitError, match="a name is 4097 bytes"):
        encode({"n" * 4097: ones})
    with pytest.raises(errors.CodecError, match="'best' is none of"):
        encode({}, level="best")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "metadata", [{1: 2}, {"a": (1,)}, {"a": float("nan")}, {"a": {1, 2}}, {"a": torch.ones(1)}]
)
def test_metadata_that_json_would_change(metadata: dict[str, object]) -> None:
    with pytest.raises(errors.MetadataError, match="metadata"):
        encode({}, metadata=metadata)


def test_quantized_codes_must_fit() -> None:
    zero = torch.zeros(())
    with pytest.raises(errors.UnsupportedValueError, match="from 0 to 9 do not fit 4 bits"):
        QuantizedTensor(torch.tensor([0, 9], dtype=torch.int8), 4, zero, zero)
    with pytest.raises(errors.UnsupportedValueError, match="use 2 to 8 in int8 or uint8"):
        QuantizedTensor(torch.tensor([0]), 4, zero, zero)
