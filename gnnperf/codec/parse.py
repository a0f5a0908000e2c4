"""The header read, and everything in it refused that the format forbids (FORMAT.md, section 7)."""

import math
from dataclasses import dataclass, field

from gnnperf.codec import metadata as metadata_json
from gnnperf.codec.dtypes import U8, Dtype, Lane, dtype_with_code
from gnnperf.codec.errors import (
    DuplicateNameError,
    HeaderError,
    LimitError,
    OffsetError,
    UnknownEncodingError,
)
from gnnperf.codec.header import (
    CHUNK_LANES,
    CODES,
    COPY_FLAG,
    FIRST_VIEW,
    FURTHER_VIEW,
    MAX_DIMENSIONS,
    MAX_FURTHER_CHUNKS,
    MAX_NAME_BYTES,
    MAX_TENSOR_BYTES,
    PLAIN,
    SPARSE,
    VERSION,
    ZERO,
    Chunk,
    Header,
    Limits,
    Storage,
    TensorRecord,
)
from gnnperf.codec.wire import Reader

# A shared storage begins at most so many bytes before the first that is seen: views may have
# dtypes of any size, and a range that starts at a multiple of 16 suits all.
ALIGNMENT_BYTES = 16
# A forged header is all dimensions; a tensor has four of them, seldom more.
DIMENSIONS_PER_TENSOR = 4
LEAST_DIMENSIONS = 1 << 16
PARTS_OF_CODES = 2
VALUE_CODEC_COUNT = {1: 5, 2: 9}

Shape = tuple[int, ...]


@dataclass
class _Table:
    """What was read so far."""

    version: int
    group_count: int
    dimensions_left: int
    tensors: list[TensorRecord] = field(default_factory=list)
    storages: list[Storage] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)
    parts_due: int = 0
    groups_seen: int = 0


def parse(data: bytes, version: int = VERSION, limits: Limits | None = None) -> Header:
    """The header from its bytes; raises a CodecError that names the field and its place."""
    limits = limits or Limits()
    reader = Reader(data)
    text = reader.string("metadata", metadata_json.MAX_BYTES)
    metadata = metadata_json.parse(text, canonical=version > 1)
    tensor_count = reader.varint("the number of tensors")
    if tensor_count > limits.max_tensors:
        raise LimitError(
            f"{tensor_count} tensors, at most {limits.max_tensors} are allowed; "
            "pass a larger max_tensors if you trust the file"
        )
    group_count = reader.varint("the number of groups", tensor_count)
    dimensions = max(LEAST_DIMENSIONS, DIMENSIONS_PER_TENSOR * limits.max_tensors)
    table = _Table(version, group_count, dimensions)
    for _ in range(tensor_count):
        _parse_tensor(reader, table)
    if table.parts_due:
        raise HeaderError(f"{reader.where()}: a quantized tensor lacks its scale or zero point")
    _check_names(table.tensors)
    lane_counts = _lane_counts(table.storages, group_count)
    if version > 1:
        _check_shared_storages(table)
    groups = tuple(_parse_group(reader, count, version) for count in lane_counts)
    reader.finish()
    return Header(metadata, tuple(table.tensors), tuple(table.storages), groups, version)


def _parse_tensor(reader: Reader, table: _Table) -> None:
    start = reader.where()
    byte = reader.u8("the kind of a tensor")
    kind, is_copy = byte & 3, byte >> 2
    is_part = table.parts_due > 0
    may_copy = table.version > 1 and kind != FURTHER_VIEW
    if is_copy > may_copy or (is_part and kind != PLAIN):
        raise HeaderError(f"{start}: {byte} is no kind of tensor here")
    name = _parse_name(reader, is_part)
    dtype = dtype_with_code(reader.u8("a dtype"))
    shape = _parse_shape(reader, table, name, dtype)
    table.parts_due = PARTS_OF_CODES if kind == CODES else max(0, table.parts_due - 1)
    if kind == FURTHER_VIEW:
        number = reader.varint("a shared storage")
        if number >= len(table.shared):
            raise HeaderError(f"{start}: tensor {name!r} views a shared storage not yet defined")
        record = _parse_view(reader, kind, name, dtype, shape, table.shared[number])
    else:
        record = _parse_definition(reader, table, byte, name, dtype, shape, start)
    if kind in (FIRST_VIEW, FURTHER_VIEW):
        _check_view(record, table, start)
    table.tensors.append(record)


def _parse_name(reader: Reader, is_part: bool) -> str:
    start = reader.where()
    name = reader.string("a name", MAX_NAME_BYTES)
    if is_part == bool(name):
        raise HeaderError(f"{start}: a tensor's name is {'not ' if is_part else ''}empty")
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise HeaderError(f"{start}: a tensor's name is not UTF-8") from None


def _parse_shape(reader: Reader, table: _Table, name: str, dtype: Dtype) -> Shape:
    start = reader.where()
    count = reader.varint("the number of dimensions", MAX_DIMENSIONS)
    table.dimensions_left -= count
    if table.dimensions_left < 0:
        raise LimitError(
            f"{start}: the tensors have too many dimensions together; "
            "pass a larger max_tensors if you trust the file"
        )
    shape = reader.varints("a dimension", count)
    if math.prod(size for size in shape if size) * dtype.itemsize_bytes > MAX_TENSOR_BYTES:
        raise LimitError(f"{start}: tensor {name!r} has the absurd shape {list(shape)}")
    return shape


def _parse_definition(
    reader: Reader, table: _Table, byte: int, name: str, dtype: Dtype, shape: Shape, start: str
) -> TensorRecord:
    """The rest of a record that defines a storage."""
    kind, number, bits = byte & 3, len(table.storages), 0
    source = reader.varint("a storage to copy" if byte & COPY_FLAG else "a group")
    size_bytes = math.prod(shape) * dtype.itemsize_bytes
    if kind == FIRST_VIEW:
        size_bytes = reader.varint("the bytes of a storage", MAX_TENSOR_BYTES)
        table.shared.append(number)
        record = _parse_view(reader, kind, name, dtype, shape, number)
    else:
        if kind == CODES:
            bits = reader.u8("the bits of a code")
            if not 2 <= bits <= 8 or dtype.name not in ("int8", "uint8"):
                raise HeaderError(
                    f"{start}: tensor {name!r} has codes of {bits} bits in {dtype.name}"
                )
        record = TensorRecord(kind, name, dtype, shape, number, bits=bits)
    lane = U8 if size_bytes % dtype.lane.width_bytes else dtype.lane
    lane_count = size_bytes // lane.width_bytes
    if byte & COPY_FLAG:
        storage = Storage(lane, bits, lane_count, -1, source)
        _check_copy(storage, table, name, start)
    else:
        storage = Storage(lane, bits, lane_count, source)
        _check_group(source, table, name, start)
    table.storages.append(storage)
    return record


def _parse_view(
    reader: Reader, kind: int, name: str, dtype: Dtype, shape: Shape, storage: int
) -> TensorRecord:
    offset, strides = reader.varint("an offset"), reader.varints("a stride", len(shape))
    return TensorRecord(kind, name, dtype, shape, storage, offset, strides)


def _check_copy(storage: Storage, table: _Table, name: str, start: str) -> None:
    number = storage.copy_of
    if number >= len(table.storages) or table.storages[number].group < 0:
        raise HeaderError(f"{start}: tensor {name!r} copies storage {number}, which holds nothing")
    source = table.storages[number]
    same = (source.lane, source.bits, source.lane_count)
    if same != (storage.lane, storage.bits, storage.lane_count):
        raise HeaderError(f"{start}: tensor {name!r} copies storage {number} of another kind")


def _check_group(group: int, table: _Table, name: str, start: str) -> None:
    if group >= table.group_count:
        raise HeaderError(f"{start}: tensor {name!r} is in group {group} of {table.group_count}")
    if table.version > 1 and group > table.groups_seen:
        raise HeaderError(f"{start}: group {group} is used before group {table.groups_seen}")
    table.groups_seen += group == table.groups_seen


def _check_view(record: TensorRecord, table: _Table, where: str) -> None:
    storage_bytes = table.storages[record.storage].size_bytes
    if record.end * record.dtype.itemsize_bytes > storage_bytes:
        raise OffsetError(
            f"{where}: tensor {record.name!r} reaches element {record.end} of dtype "
            f"{record.dtype.name} in a storage of {storage_bytes} bytes"
        )
    if table.version == 1:
        return
    if 0 in record.shape:
        raise HeaderError(f"{where}: tensor {record.name!r} is a view of nothing")
    if any(step and size == 1 for size, step in zip(record.shape, record.strides, strict=True)):
        raise HeaderError(f"{where}: tensor {record.name!r} has a stride where it has no next")


def _check_shared_storages(table: _Table) -> None:
    """No bytes may lie where no view looks, but for those before the first that alignment asks."""
    spans = {number: (table.storages[number].size_bytes, 0) for number in table.shared}
    for record in table.tensors:
        if record.kind not in (FIRST_VIEW, FURTHER_VIEW):
            continue
        first, last = spans[record.storage]
        size = record.dtype.itemsize_bytes
        spans[record.storage] = min(first, record.offset * size), max(last, record.end * size)
    for number, (first, last) in spans.items():
        size_bytes = table.storages[number].size_bytes
        if first >= ALIGNMENT_BYTES or last < size_bytes:
            raise HeaderError(
                f"storage {number} has {size_bytes} bytes, of which no tensor sees those before "
                f"byte {first} and from byte {last} on"
            )


def _check_names(tensors: list[TensorRecord]) -> None:
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name and tensor.name in seen:
            raise DuplicateNameError(f"the tensor {tensor.name!r} occurs twice")
        seen.add(tensor.name)


def _lane_counts(storages: list[Storage], group_count: int) -> list[int]:
    kinds: dict[int, tuple[Lane, int]] = {}
    lane_counts = [0] * group_count
    for storage in storages:
        if storage.group < 0:
            continue
        kind = (storage.lane, storage.bits)
        if kinds.setdefault(storage.group, kind) != kind:
            raise HeaderError(f"group {storage.group} mixes {kind[0].name} with other lanes")
        lane_counts[storage.group] += storage.lane_count
    chunk_count = sum(-(-lane_count // CHUNK_LANES) for lane_count in lane_counts)
    most = MAX_FURTHER_CHUNKS + group_count
    if chunk_count > most:
        raise LimitError(f"the storages have {chunk_count} chunks, at most {most} may be")
    if len(kinds) < group_count:
        raise HeaderError(f"of {group_count} groups only {len(kinds)} have tensors")
    return lane_counts


def _parse_group(reader: Reader, lane_count: int, version: int) -> tuple[Chunk, ...]:
    starts = range(0, lane_count, CHUNK_LANES)
    counts = (min(lane_count - start, CHUNK_LANES) for start in starts)
    return tuple(_parse_chunk(reader, count, version) for count in counts)


def _parse_chunk(reader: Reader, lane_count: int, version: int) -> Chunk:
    start = reader.where()
    byte = reader.u8("the encoding of a chunk")
    encoding, mask_codec, value_codec = byte & 3, byte >> 2 & 3, byte >> 4
    idle = (encoding != SPARSE and mask_codec) or (encoding == ZERO and value_codec)
    if encoding > SPARSE or idle or value_codec >= VALUE_CODEC_COUNT[version]:
        raise UnknownEncodingError(f"{start}: {byte:#04x} is no encoding of a chunk")
    if encoding == ZERO:
        return Chunk(ZERO)
    nonzero_count, mask_bytes = lane_count, 0
    if encoding == SPARSE:
        nonzero_count = reader.varint("the count of values", lane_count)
        if not 0 < nonzero_count < lane_count:
            raise HeaderError(
                f"{start}: a sparse chunk has {nonzero_count} values in {lane_count} lanes"
            )
        mask_bytes = reader.varint("the bytes of a mask stream")
    value_bytes = reader.varint("the bytes of a value stream")
    crc32 = reader.u32("the checksum of a chunk")
    return Chunk(encoding, mask_codec, value_codec, nonzero_count, mask_bytes, value_bytes, crc32)
