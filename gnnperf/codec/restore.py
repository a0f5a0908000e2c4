"""A state from its records and the bytes of its storages (FORMAT.md, section 3)."""

import warnings

import torch
from torch import Tensor

from gnnperf.codec.dtypes import Dtype
from gnnperf.codec.errors import HeaderError, StreamError, UnsupportedValueError
from gnnperf.codec.header import CODES, PLAIN, TensorRecord
from gnnperf.codec.state import QuantizedTensor, State, largest_byte


def restore(
    tensors: tuple[TensorRecord, ...], contents: list[Tensor], *, bools_are_bits: bool = True
) -> State:
    """The state from its records and each storage's bytes.

    `bools_are_bits` refuses bools above 1, which version 1 allowed. Raises HeaderError for codes
    that do not fit their bits, StreamError for such bools.
    """
    state: State = {}
    found = iter(tensors)
    for record in found:
        value = restore_tensor(record, contents[record.storage], bools_are_bits)
        if record.kind != CODES:
            state[record.name] = value
            continue
        parts = [next(found) for _ in range(2)]
        scale, zero_point = (
            restore_tensor(part, contents[part.storage], bools_are_bits) for part in parts
        )
        state[record.name] = restore_quantized(record, value, scale, zero_point)
    return state


def restore_quantized(
    record: TensorRecord, values: Tensor, scale: Tensor, zero_point: Tensor
) -> QuantizedTensor:
    """The quantized tensor of a record; raises HeaderError if a code does not fit its bits."""
    try:
        return QuantizedTensor(values, record.bits, scale, zero_point)
    except UnsupportedValueError as error:
        raise HeaderError(f"tensor {record.name!r}: {error}") from None


def restore_tensor(record: TensorRecord, content: Tensor, bools_are_bits: bool = True) -> Tensor:
    """The tensor of a record from the bytes of its storage; raises StreamError for bad bools."""
    if record.kind in (PLAIN, CODES):
        steps = row_major(record.shape)
    else:
        steps = _with_steps(record.shape, record.strides)
    tensor = _nothing(record.dtype)
    tensor.set_(content.untyped_storage(), record.offset, record.shape, steps)
    if bools_are_bits and tensor.dtype == torch.bool and largest_byte(tensor) > 1:
        raise StreamError(f"tensor {record.name!r}: a bool is neither 0 nor 1")
    return tensor


def _nothing(dtype: Dtype) -> Tensor:
    if dtype.name != "complex32":
        return torch.empty(0, dtype=dtype.torch())
    with warnings.catch_warnings():
        # torch calls it experimental; the bits are kept all the same.
        warnings.filterwarnings("ignore", "ComplexHalf")
        return torch.empty(0, dtype=dtype.torch())


def _with_steps(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """Strides with a step for dimensions of one element, as torch lays such tensors out."""
    steps = list(strides)
    for axis in reversed(range(len(steps))):
        if shape[axis] == 1 and not steps[axis]:
            inner = axis + 1
            steps[axis] = shape[inner] * steps[inner] if inner < len(steps) else 1
    return tuple(steps)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of a tensor that is laid out row by row."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))
