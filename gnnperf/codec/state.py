"""A state as storages and views of them, and back (FORMAT.md, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from gnnperf.codec.dtypes import U8, Dtype, dtype_of
from gnnperf.codec.errors import CodecError, LimitError, UnsupportedValueError
from gnnperf.codec.header import (
    CODES,
    FIRST_VIEW,
    FURTHER_VIEW,
    MAX_DIMENSIONS,
    MAX_NAME_BYTES,
    PLAIN,
    Storage,
    TensorRecord,
)
from gnnperf.codec.parse import ALIGNMENT_BYTES

BITS_OF_SIZE = {
    1: torch.uint8,
    2: torch.int16,
    4: torch.int32,
    8: torch.int64,
    16: torch.complex128,
}


@dataclass(frozen=True)
class QuantizedTensor:
    """Integer codes of `bits` bits, 2 to 8, that stand for (values - zero_point) * scale.

    `values` is int8 or uint8 of any shape; scale and zero point are tensors that broadcast to it.
    Raises UnsupportedValueError if a code does not fit the bits, TypeError for other than tensors.
    """

    values: Tensor
    bits: int
    scale: Tensor
    zero_point: Tensor

    def dequantized(self) -> Tensor:
        """(values - zero_point) * scale, in the scale's dtype and the shape of `values`."""
        dtype = self.scale.dtype
        return (self.values.to(dtype) - self.zero_point.to(dtype)) * self.scale

    def __post_init__(self) -> None:
        for name in ("values", "scale", "zero_point"):
            if not isinstance(getattr(self, name), Tensor):
                raise TypeError(f"{name} is a tensor, not a {type(getattr(self, name)).__name__}")
        if self.values.dtype not in (torch.int8, torch.uint8) or not 2 <= self.bits <= 8:
            raise UnsupportedValueError(
                f"codes of {self.bits} bits in {self.values.dtype}; use 2 to 8 in int8 or uint8"
            )
        signed = self.values.dtype == torch.int8
        low = -(1 << self.bits - 1) if signed else 0
        high = low + (1 << self.bits) - 1
        if self.values.numel():
            # numpy has no threads to wake: on a busy machine that costs more than the search.
            codes = self.values.detach().cpu().numpy()
            least, most = int(codes.min()), int(codes.max())
            if least < low or most > high:
                raise UnsupportedValueError(
                    f"codes from {least} to {most} do not fit {self.bits} bits ({low} to {high})"
                )


Value = Tensor | QuantizedTensor
State = dict[str, Value]


@dataclass
class Collected:
    """Records, storages (group still 0) and each storage's bytes as a flat uint8 tensor.

    `shapes` has the shape of each storage that is one tensor laid out, by the storage's number.
    """

    tensors: list[TensorRecord] = field(default_factory=list)
    storages: list[Storage] = field(default_factory=list)
    contents: list[Tensor] = field(default_factory=list)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shared:
    number: int
    start: int


def collect(state: Mapping[str, Value]) -> Collected:
    """Take a state apart; raises UnsupportedValueError or LimitError naming the tensor."""
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a mapping of names to tensors, not a {type(state).__name__}")
    flat: list[tuple[str, Tensor, int]] = []
    for name, value in state.items():
        _check_name(name)
        try:
            if isinstance(value, QuantizedTensor):
                flat.append((name, plain_tensor(value.values), value.bits))
                flat += [("", plain_tensor(part), 0) for part in (value.scale, value.zero_point)]
            else:
                flat.append((name, _checked_bools(plain_tensor(value)), 0))
        except CodecError as error:
            raise type(error)(f"tensor {name!r}: {error}") from None
    ranges = _shared_ranges(flat)
    out = Collected()
    shared: dict[int, _Shared] = {}
    for name, tensor, bits in flat:
        key = _storage_key(tensor)
        # An empty tensor sees nothing, and shares nothing.
        if key in ranges and name and not bits and tensor.numel():
            _add_view(out, shared, name, tensor, ranges[key])
        else:
            kind = CODES if bits else PLAIN
            _add_storage(out, element_bytes(tensor), dtype_of(tensor), bits)
            shape, number = tuple(tensor.shape), len(out.storages) - 1
            # A complex number is two lanes.
            lanes = out.storages[number].lane_count // max(1, tensor.numel())
            out.shapes[number] = (*shape[:-1], shape[-1] * lanes) if shape else ()
            out.tensors.append(TensorRecord(kind, name, dtype_of(tensor), shape, number, bits=bits))
    return out


def _checked_bools(tensor: Tensor) -> Tensor:
    """The tensor; raises UnsupportedValueError if a bool is neither 0 nor 1."""
    if tensor.dtype == torch.bool and (most := largest_byte(tensor)) > 1:
        raise UnsupportedValueError(
            f"a bool is stored as {most}, neither 0 nor 1; use tensor.view(torch.uint8) != 0"
        )
    return tensor


def largest_byte(tensor: Tensor) -> int:
    """The largest byte of a tensor of a one-byte dtype, 0 if it has none."""
    bits = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    bits.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())
    return int(bits.max()) if bits.numel() else 0


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise UnsupportedValueError(f"a tensor's name is a non-empty string, not {name!r}")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise UnsupportedValueError(f"the name {name!r} has no UTF-8 form") from None
    if size_bytes > MAX_NAME_BYTES:
        raise LimitError(f"a name is {size_bytes} bytes long, at most {MAX_NAME_BYTES} are allowed")


def plain_tensor(value: object) -> Tensor:
    """The tensor without graph and lazy bits; raises UnsupportedValueError if it has no storage."""
    if not isinstance(value, Tensor):
        raise UnsupportedValueError(
            f"a {type(value).__name__} is no tensor; put other things into the metadata"
        )
    if is_lazy(value):
        raise UnsupportedValueError(
            "a lazy parameter has no values yet; run the model once before its state is stored"
        )
    wrapper = hasattr(value, "__tensor_flatten__")
    if wrapper or value.layout != torch.strided or value.is_quantized or value.is_nested:
        raise UnsupportedValueError(
            f"a {type(value).__name__} of layout {value.layout} and dtype {value.dtype} has no "
            "plain storage; use a dense tensor or gnnperf.codec.QuantizedTensor"
        )
    if value.device.type == "meta":
        raise UnsupportedValueError("a meta tensor has no values")
    if value.dim() > MAX_DIMENSIONS:
        raise LimitError(f"{value.dim()} dimensions, at most {MAX_DIMENSIONS} are allowed")
    dtype_of(value)
    return value.detach().resolve_conj().resolve_neg()


def _storage_key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _byte_range(tensor: Tensor) -> tuple[int, int]:
    start = int(tensor.storage_offset()) * tensor.itemsize
    if not tensor.numel():
        return start, start
    last = sum((n - 1) * int(s) for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.itemsize


def _shared_ranges(flat: list[tuple[str, Tensor, int]]) -> dict[int, tuple[int, int]]:
    """The viewed byte range of each storage that more than one tensor, or one element, shares."""
    ranges: dict[int, tuple[int, int]] = {}
    views: dict[int, int] = {}
    for name, tensor, bits in flat:
        if not name or bits or not tensor.numel():
            continue
        key, (start, end) = _storage_key(tensor), _byte_range(tensor)
        low, high = ranges.get(key, (start, end))
        ranges[key] = min(low, start), max(high, end)
        expanded = tensor.numel() * tensor.itemsize > end - start
        views[key] = views.get(key, 0) + (2 if expanded else 1)
    return {key: span for key, span in ranges.items() if views[key] > 1}


def _bytes_of(tensor: Tensor, start: int, end: int) -> Tensor:
    storage = tensor.untyped_storage()
    flat = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    return flat.set_(storage, start, (end - start,), (1,)).cpu()


def element_bytes(tensor: Tensor) -> Tensor:
    """A tensor's elements in row-major order, as flat uint8; no copy if they lie so already."""
    if not tensor.numel():
        return torch.empty(0, dtype=torch.uint8)
    if tensor.is_contiguous():
        return _bytes_of(tensor, *_byte_range(tensor))
    # Same bits under a dtype that torch can copy: some of its dtypes have no kernels at all.
    bits = torch.empty(0, dtype=BITS_OF_SIZE[tensor.itemsize], device=tensor.device)
    bits.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())
    return bits.contiguous().view(-1).view(torch.uint8).cpu()


def _add_storage(out: Collected, content: Tensor, dtype: Dtype, bits: int) -> None:
    lane = U8 if content.numel() % dtype.lane.width_bytes else dtype.lane
    out.storages.append(Storage(lane, bits, content.numel() // lane.width_bytes, 0))
    out.contents.append(content)


def _add_view(
    out: Collected, shared: dict[int, _Shared], name: str, tensor: Tensor, span: tuple[int, int]
) -> None:
    key, kind = _storage_key(tensor), FURTHER_VIEW
    dtype = dtype_of(tensor)
    if key not in shared:
        kind = FIRST_VIEW
        start = span[0] - span[0] % ALIGNMENT_BYTES
        _add_storage(out, _bytes_of(tensor, start, span[1]), dtype, 0)
        shared[key] = _Shared(len(out.storages) - 1, start)
    offset = (tensor.storage_offset() * tensor.itemsize - shared[key].start) // tensor.itemsize
    # From a dimension of one element there is no step, and torch leaves anything there.
    shape = tuple(tensor.shape)
    strides = tuple(s if size > 1 else 0 for s, size in zip(tensor.stride(), shape, strict=True))
    number = shared[key].number
    out.tensors.append(TensorRecord(kind, name, dtype, shape, number, offset, strides))
