"""A state file held open: tensors and rows one at a time, each from its own chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnnperf.codec.errors import CodecError, UnknownDtypeError
from gnnperf.codec.files import DEFAULT
from gnnperf.codec.header import CODES, FIRST_VIEW, FURTHER_VIEW, Limits, TensorRecord
from gnnperf.codec.parse import ALIGNMENT_BYTES
from gnnperf.codec.reader import Body
from gnnperf.codec.restore import restore_quantized, restore_tensor, row_major
from gnnperf.codec.sources import StrPath, check_expansion, naming, open_file, read_header
from gnnperf.codec.state import QuantizedTensor

Framework = Literal["pt", "np"]
FRAMEWORKS = ("pt", "np")


@dataclass(frozen=True)
class QuantizedArray:
    """A QuantizedTensor in numpy: codes of `bits` bits for (values - zero_point) * scale."""

    values: NDArray[Any]
    bits: int
    scale: NDArray[Any]
    zero_point: NDArray[Any]


Piece = Tensor | QuantizedTensor | NDArray[Any] | QuantizedArray


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor is without its values: torch's name of the dtype, shape, bits of codes or 0."""

    dtype: str
    shape: tuple[int, ...]
    bits: int = 0


class StateFile:
    """A state file of which tensors are read when they are asked for.

    Use it in a `with` statement, or close it. It has `metadata`, and as a mapping has `keys`,
    `[name]`, `in`, `len` and a loop over names. What is read is independent of the file and of
    what else was read: tensors that were tied are not. Errors are as `load` raises them.
    """

    def __init__(self, path: StrPath, framework: Framework, limits: Limits):
        if framework not in FRAMEWORKS:
            raise CodecError(f"framework {framework!r} is none of pt and np")
        self._path, self._framework, self._limits = path, framework, limits
        self._file = open_file(path)
        try:
            with naming(path):
                self._header, start = read_header(self._file, limits)
                self._body = Body(self._header, start, self._file)
        except BaseException:
            self._file.close()
            raise
        self.metadata: dict[str, Any] = self._header.metadata
        records = self._header.tensors
        self._places = {r.name: index for index, r in enumerate(records) if r.name}

    def __enter__(self) -> StateFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be read any more."""
        self._file.close()

    @property
    def read_bytes(self) -> int:
        """How many bytes were read of the file so far, its header among them."""
        return self._file.read_bytes

    def keys(self) -> list[str]:
        """The names of the tensors, in the order of the state."""
        return list(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def specs(self) -> dict[str, TensorSpec]:
        """Dtype and shape of every tensor, by name; no stream is read."""
        records = ((name, self._header.tensors[place]) for name, place in self._places.items())
        return {name: TensorSpec(r.dtype.name, r.shape, r.bits) for name, r in records}

    def __getitem__(self, name: str) -> Piece:
        """A tensor; reads the chunks that it lies in. Raises KeyError, or as `load` does."""
        return self._piece(name, None)

    def slice(self, name: str, start: int, stop: int) -> Piece:
        """Rows `start` to `stop` along the first dimension; reads the chunks they lie in.

        A quantized tensor's scale and zero point are cut along where they have a row for each.
        Raises CodecError unless 0 <= start <= stop <= rows, or if the tensor has no dimension, and
        TypeError for rows that are no int.
        """
        for row in (start, stop):
            if not isinstance(row, int) or isinstance(row, bool):
                raise TypeError(f"a row is a number of type int, not a {type(row).__name__}")
        record = self._record(name)
        rows = record.shape[0] if record.shape else None
        if rows is None or not 0 <= start <= stop <= rows:
            has = "is a scalar" if rows is None else f"has {rows} rows"
            raise CodecError(f"rows {start} to {stop} of tensor {name!r}, which {has}")
        return self._piece(name, (start, stop))

    def _record(self, name: str) -> TensorRecord:
        if name not in self._places:
            raise KeyError(f"{name!r} is no tensor of {self._path}")
        return self._header.tensors[self._places[name]]

    def _piece(self, name: str, rows: tuple[int, int] | None) -> Piece:
        record, is_torch = self._record(name), self._framework == "pt"
        with naming(self._path):
            values = self._read(record, rows)
            if record.kind != CODES:
                return values if is_torch else _array(values, name)
            parts = []
            place = self._places[name]
            for part in self._header.tensors[place + 1 : place + 3]:
                # Broadcast against the codes: a part with a row for each is cut with them.
                along = len(part.shape) == len(record.shape) > 0
                cut = along and part.shape[0] == record.shape[0] > 1
                parts.append(self._read(part, rows if cut else None))
            whole = restore_quantized(record, values, parts[0], parts[1])
            return whole if is_torch else _quantized_array(whole, name)

    def _read(self, record: TensorRecord, rows: tuple[int, int] | None) -> Tensor:
        """The tensor, or some of its rows, from the lanes between its first and last element."""
        if record.kind not in (FIRST_VIEW, FURTHER_VIEW):
            record = replace(record, strides=row_major(record.shape))
        if rows is not None:
            start, stop = rows
            offset = record.offset + start * record.strides[0]
            record = replace(record, shape=(stop - start, *record.shape[1:]), offset=offset)
        if 0 in record.shape:
            record = replace(record, offset=0)
        size, lane = record.dtype.itemsize_bytes, self._header.storages[record.storage].lane
        first = record.offset * size // ALIGNMENT_BYTES * ALIGNMENT_BYTES
        last = record.end * size
        laid_out = record.size_bytes if self._framework == "np" else 0
        check_expansion(max(last - first, laid_out), self._file.size_bytes, self._limits)
        lanes = first // lane.width_bytes, -(-last // lane.width_bytes)
        content = self._body.read(record.storage, *lanes)
        moved = replace(record, kind=FURTHER_VIEW, offset=record.offset - first // size)
        return restore_tensor(moved, content, self._header.version > 1)


def _array(tensor: Tensor, name: str) -> NDArray[Any]:
    try:
        return np.ascontiguousarray(tensor.numpy()).reshape(tensor.shape)
    except (TypeError, RuntimeError):
        raise UnknownDtypeError(
            f"tensor {name!r} has dtype {str(tensor.dtype).removeprefix('torch.')}, "
            "which numpy has not; open the file with framework='pt'"
        ) from None


def _quantized_array(value: QuantizedTensor, name: str) -> QuantizedArray:
    parts = (_array(part, name) for part in (value.values, value.scale, value.zero_point))
    values, scale, zero_point = parts
    return QuantizedArray(values, value.bits, scale, zero_point)


def open_state(
    path: StrPath,
    *,
    framework: Framework = "pt",
    max_bytes: int | None = DEFAULT.max_bytes,
    max_tensors: int = DEFAULT.max_tensors,
    max_header_bytes: int = DEFAULT.max_header_bytes,
) -> StateFile:
    """Open a state file to read single tensors, or rows of them: `with codec.open(path) as f`.

    `framework` is pt for torch tensors or np for numpy arrays. The limits are those of `load`;
    `max_bytes` holds for each tensor that is asked for. Raises as `load` does.
    """
    return StateFile(path, framework, Limits(max_bytes, max_tensors, max_header_bytes))
