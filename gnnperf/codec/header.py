"""The header: what each tensor is and where its lanes are (FORMAT.md, sections 2 to 4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gnnperf.codec import metadata as metadata_json
from gnnperf.codec.dtypes import Dtype, Lane
from gnnperf.codec.metadata import Metadata
from gnnperf.codec.wire import string, varint

VERSION = 2
MAX_NAME_BYTES = 4_096
MAX_DIMENSIONS = 64
MAX_TENSOR_BYTES = 1 << 62
CHUNK_LANES = 1 << 20
# On top of one a group: a chunk of zeros is one byte of a header that compresses to none.
MAX_FURTHER_CHUNKS = 1 << 16

PLAIN, FIRST_VIEW, FURTHER_VIEW, CODES = range(4)
COPY_FLAG = 4
ZERO, DENSE, SPARSE = range(3)


@dataclass(frozen=True)
class Limits:
    """What a reader takes from a file that it does not trust.

    `max_bytes` bounds the tensors in memory: None is 256 MiB or 1000 times the file, whichever is
    more. `max_tensors` bounds the records, `max_header_bytes` the header after decompression.
    Raises TypeError for what is no int.
    """

    max_bytes: int | None = None
    max_tensors: int = 1 << 17
    max_header_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "max_bytes" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} is a number of type int, not a {type(value).__name__}")


@dataclass(frozen=True)
class Storage:
    """A run of bytes: its lane, bits a code (0 if not quantized), lanes and where they are.

    They are in group number `group`, or, if that is -1, equal those of storage number `copy_of`.
    """

    lane: Lane
    bits: int
    lane_count: int
    group: int
    copy_of: int = -1

    @property
    def size_bytes(self) -> int:
        """Its size in memory."""
        return self.lane_count * self.lane.width_bytes


@dataclass(frozen=True)
class TensorRecord:
    """A tensor: a view of storage number `storage`; offset and strides in elements.

    `name` is empty for the scale and the zero point that follow a record with `bits`.
    """

    kind: int
    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    storage: int
    offset: int = 0
    strides: tuple[int, ...] = ()
    bits: int = 0

    @property
    def size_bytes(self) -> int:
        """Its size in memory if laid out."""
        return math.prod(self.shape) * self.dtype.itemsize_bytes

    @property
    def end(self) -> int:
        """The element after the last one that a view sees; its offset if it sees none."""
        if 0 in self.shape:
            return self.offset
        spans = ((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        return self.offset + 1 + sum(spans)


@dataclass(frozen=True)
class Chunk:
    """How at most CHUNK_LANES lanes of a group are stored."""

    encoding: int
    mask_codec: int = 0
    value_codec: int = 0
    nonzero_count: int = 0
    mask_bytes: int = 0
    value_bytes: int = 0
    crc32: int = 0

    @property
    def stored_bytes(self) -> int:
        """Bytes of its streams in the file."""
        return self.mask_bytes + self.value_bytes


@dataclass(frozen=True)
class Header:
    """Everything but the streams."""

    metadata: Metadata
    tensors: tuple[TensorRecord, ...]
    storages: tuple[Storage, ...]
    groups: tuple[tuple[Chunk, ...], ...]
    version: int = VERSION

    @property
    def stored_bytes(self) -> int:
        """Bytes of all streams in the file."""
        return sum(chunk.stored_bytes for group in self.groups for chunk in group)

    @property
    def expanded_bytes(self) -> int:
        """What reading may cost: all storages, and all views of shared ones laid out."""
        views = (t.size_bytes for t in self.tensors if t.kind in (FIRST_VIEW, FURTHER_VIEW))
        return sum(storage.size_bytes for storage in self.storages) + sum(views)


def group_members(storages: Sequence[Storage]) -> list[list[int]]:
    """The numbers of each group's storages, in order; every group up to the highest has some."""
    members: list[list[int]] = [[] for _ in {s.group for s in storages if s.group >= 0}]
    for number, storage in enumerate(storages):
        if storage.group >= 0:
            members[storage.group].append(number)
    return members


def pack(header: Header) -> bytes:
    """The header's bytes, before compression."""
    firsts = (tensor.storage for tensor in header.tensors if tensor.kind == FIRST_VIEW)
    shared = {storage: number for number, storage in enumerate(firsts)}
    tensors = [_pack_tensor(t, header.storages[t.storage], shared) for t in header.tensors]
    chunks = [_pack_chunk(chunk) for group in header.groups for chunk in group]
    counts = varint(len(header.tensors)) + varint(len(header.groups))
    return b"".join([string(metadata_json.pack(header.metadata)), counts, *tensors, *chunks])


def _pack_tensor(tensor: TensorRecord, storage: Storage, shared: dict[int, int]) -> bytes:
    numbers = [len(tensor.shape), *tensor.shape]
    kind = tensor.kind
    if kind == FURTHER_VIEW:
        numbers += [shared[tensor.storage], tensor.offset, *tensor.strides]
    elif storage.group >= 0:
        numbers.append(storage.group)
    else:
        kind |= COPY_FLAG
        numbers.append(storage.copy_of)
    if tensor.kind == FIRST_VIEW:
        numbers += [storage.size_bytes, tensor.offset, *tensor.strides]
    if tensor.kind == CODES:
        numbers.append(tensor.bits)
    head = bytes([kind]) + string(tensor.name.encode()) + bytes([tensor.dtype.code])
    return head + b"".join(map(varint, numbers))


def _pack_chunk(chunk: Chunk) -> bytes:
    out = bytes([chunk.encoding | chunk.mask_codec << 2 | chunk.value_codec << 4])
    if chunk.encoding == SPARSE:
        out += varint(chunk.nonzero_count) + varint(chunk.mask_bytes)
    if chunk.encoding != ZERO:
        out += varint(chunk.value_bytes) + chunk.crc32.to_bytes(4, "little")
    return out
