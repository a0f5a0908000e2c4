"""pcodec and zstandard behind four functions: numbers and bytes, in and out.

Neither library's exceptions leave this file, and neither allocates more than the caller declared.
"""

from typing import Any

import numpy as np
import pcodec
import zstandard
from numpy.typing import NDArray
from pcodec import wrapped

from gnnperf.codec.errors import StreamError

Numbers = NDArray[Any]


def compress_numbers(numbers: Numbers, level: int, *, plain: bool = False) -> bytes:
    """A pcodec stream of a one-dimensional array: header, one chunk, one page; empty for none.

    `level` is 0 to 12; `plain` skips the search for deltas and common factors, which noise has not.
    """
    if not len(numbers):
        return b""
    modes = (
        {"mode_spec": pcodec.ModeSpec.classic(), "delta_spec": pcodec.DeltaSpec.no_op()}
        if plain
        else {}
    )
    config = pcodec.ChunkConfig(
        compression_level=level,
        enable_8_bit=True,
        paging_spec=pcodec.PagingSpec.exact_page_sizes([len(numbers)]),
        **modes,
    )
    file = wrapped.FileCompressor()
    chunk = file.chunk_compressor(np.ascontiguousarray(numbers), config)
    return bytes(file.write_header() + chunk.write_meta() + chunk.write_page(0))


def decompress_numbers(blob: bytes, count: int, dtype: str) -> Numbers:
    """`count` numbers of a numpy dtype; raises StreamError if the stream holds anything else."""
    numbers: Numbers = np.empty(count, dtype)
    used = 0
    try:
        if count:
            used = _read_page(blob, numbers)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        raise StreamError(f"pcodec refuses the stream: {error}") from None
    if used != len(blob):
        raise StreamError(f"{count} numbers take {used} bytes of a pcodec stream of {len(blob)}")
    return numbers


def _read_page(blob: bytes, numbers: Numbers) -> int:
    """Fill the array and return the bytes that were read."""
    file, head_bytes = wrapped.FileDecompressor.new(blob)
    _check_list(blob[head_bytes:], len(numbers))
    name = f"{numbers.dtype.kind}{8 * numbers.dtype.itemsize}"
    chunk, meta_bytes = file.chunk_decompressor(blob[head_bytes:], name)
    start = head_bytes + meta_bytes
    progress, page_bytes = chunk.read_page_into(blob[start:], len(numbers), numbers)
    if not progress.finished or progress.n_processed != len(numbers):
        raise StreamError(f"the page ends after {progress.n_processed} of {len(numbers)} numbers")
    return int(start + page_bytes)


def _check_list(meta: bytes, count: int) -> None:
    """Raise StreamError if pcodec would make room for a list of more numbers than there are."""
    word = int.from_bytes(meta[:4], "little")
    listed = word >> _MODE_BITS & (1 << _LIST_BITS) - 1
    if word & (1 << _MODE_BITS) - 1 == _LIST_MODE and listed > count:
        raise StreamError(f"a pcodec stream of {count} numbers lists {listed} different ones")


# The mode that numbers a list of values; it has the list's length behind it.
_MODE_BITS, _LIST_BITS, _LIST_MODE = 4, 25, 4


def compress_bytes(blob: bytes, level: int) -> bytes:
    """A zstd frame that states its content size."""
    return zstandard.ZstdCompressor(level=level).compress(blob)


def bytes_without_repeats(blob: memoryview | bytes) -> int:
    """What is left of some bytes if only repeats of seven or more are shortened; a quick look."""
    return len(zstandard.ZstdCompressor(compression_params=_REPEATS_ONLY).compress(blob))


# Literals are left as they are under a target length, and the window takes in a whole chunk.
_REPEATS_ONLY = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST, min_match=7, window_log=22, hash_log=15, target_length=8
)


def decompress_bytes(blob: bytes, raw_bytes: int) -> bytes:
    """The content of a zstd frame; raises StreamError if it is not exactly `raw_bytes` long."""
    try:
        stated = zstandard.frame_content_size(blob)
        if stated != raw_bytes:
            raise StreamError(
                f"the zstd frame states {stated} bytes where {raw_bytes} are declared"
            )
        content = zstandard.ZstdDecompressor().decompress(
            blob, max_output_size=raw_bytes, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise StreamError(f"zstd refuses the stream: {error}") from None
    if len(content) != raw_bytes:
        raise StreamError(
            f"the zstd frame holds {len(content)} bytes where {raw_bytes} are declared"
        )
    return content


def raw_bytes(is_zstd: bool, stream: bytes, count: int) -> bytes:
    """`count` bytes as they are or in a zstd frame; raises StreamError if it is not so many."""
    if is_zstd:
        return decompress_bytes(stream, count)
    if len(stream) != count:
        raise StreamError(f"the raw stream is {len(stream)} bytes long where {count} are declared")
    return stream
