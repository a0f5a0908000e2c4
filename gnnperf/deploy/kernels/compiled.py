"""The kernels, compiled by numba: vectors for it over LLVM's types, and what is built of them.

One file, since numba keeps compiled code by its file and does not see when an imported helper
changes. Vectors are of float32 whatever an array holds: loading and storing convert, by the array's
dtype, float32, bfloat16 (as uint16) and codes (uint8, halves rounded to even, cut off at both ends,
NaN to 0). LLVM splits a vector into the registers that there are.

Arrays are C-contiguous and not checked: callers do. No indices are negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

F32, I16, I32, I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)
ELEMENTS = {"float32": F32, "uint16": I16, "uint8": ir.IntType(8)}
BYTES = {"float32": 4, "uint16": 2, "uint8": 1}
SUFFIXES = {"float32": "f32", "uint16": "i16", "uint8": "i8"}


class Vector(types.Type):
    """numba's type of a vector of `lanes` float32."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Vector{lanes}")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """How it lies in LLVM."""

    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(F32, kind.lanes))


def _same(element: Any, value: float, lanes: int) -> Any:
    return ir.Constant(ir.VectorType(element, lanes), [value] * lanes)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    kind = ir.VectorType(value.type, lanes)
    empty = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(empty, value, I32(0))
    return builder.shuffle_vector(first, empty, _same(I32, 0, lanes))


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, to: Any) -> Any:
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _to_float(builder: Any, raw: Any, dtype: str, lanes: int) -> Any:
    if dtype == "float32":
        return raw
    wide = builder.zext(raw, ir.VectorType(I32, lanes))
    floats = ir.VectorType(F32, lanes)
    if dtype == "uint8":
        return builder.uitofp(wide, floats)
    return builder.bitcast(builder.shl(wide, _same(I32, 16, lanes)), floats)


def _from_float(builder: Any, value: Any, dtype: str, lanes: int) -> Any:
    if dtype == "float32":
        return value
    whole, element = ir.VectorType(I32, lanes), ir.VectorType(ELEMENTS[dtype], lanes)
    if dtype == "uint16":
        bits = builder.bitcast(value, whole)
        odd = builder.and_(builder.lshr(bits, _same(I32, 16, lanes)), _same(I32, 1, lanes))
        up = builder.add(builder.add(bits, odd), _same(I32, 0x7FFF, lanes))
        # Rounding up would make an infinity, or a zero, of some NaNs.
        nan = builder.fcmp_unordered("uno", value, value)
        bits = builder.select(nan, _same(I32, 0x7FC00000, lanes), up)
        return builder.trunc(builder.lshr(bits, _same(I32, 16, lanes)), element)
    low, high = _same(F32, 0.0, lanes), _same(F32, 255.0, lanes)
    value = builder.select(builder.fcmp_ordered(">", value, low), value, low)
    value = builder.select(builder.fcmp_ordered("<", value, high), value, high)
    value = _call(builder, f"llvm.rint.v{lanes}f32", value.type, [value])
    return builder.trunc(builder.fptosi(value, whole), element)


def _mask(builder: Any, left: Any, lanes: int) -> Any:
    numbers = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, _splat(builder, builder.trunc(left, I32), lanes))


@intrinsic(prefer_literal=True)
def at(typing: Any, array: Any, index: Any) -> Any:
    """array[index] without a look at negative indices; whole numbers widened to 64 bits."""
    whole = isinstance(array.dtype, types.Integer)
    result = types.intp if whole else array.dtype

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(array)(context, builder, value=given[0]).data
        value = builder.load(builder.gep(data, [given[1]]))
        return builder.sext(value, I64) if whole and array.dtype.bitwidth < 64 else value

    return result(array, types.intp), generate


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """array[index : index + lanes]; lanes is a constant."""
    count, dtype = lanes.literal_value, array.dtype.name

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = ir.VectorType(ELEMENTS[dtype], count)
        place = _pointer(context, builder, array, given[0], given[1], kind)
        return _to_float(builder, builder.load(place, align=BYTES[dtype]), dtype, count)

    return Vector(count)(array, types.intp, lanes), generate


@intrinsic(prefer_literal=True)
def load_some(typing: Any, array: Any, index: Any, lanes: Any, left: Any) -> Any:
    """The first `left` of them, the others 0."""
    count, dtype = lanes.literal_value, array.dtype.name

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = ir.VectorType(ELEMENTS[dtype], count)
        place = _pointer(context, builder, array, given[0], given[1], kind)
        mask, zero = _mask(builder, given[3], count), ir.Constant(kind, None)
        name = f"llvm.masked.load.v{count}{SUFFIXES[dtype]}.p0"
        raw = _call(builder, name, kind, [place, I32(BYTES[dtype]), mask, zero])
        return _to_float(builder, raw, dtype, count)

    return Vector(count)(array, types.intp, lanes, types.intp), generate


@intrinsic(prefer_literal=True)
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index + lanes] = vector."""
    dtype, lanes = array.dtype.name, vector.lanes

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = ir.VectorType(ELEMENTS[dtype], lanes)
        place = _pointer(context, builder, array, given[0], given[1], kind)
        builder.store(_from_float(builder, given[2], dtype, lanes), place, align=BYTES[dtype])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic(prefer_literal=True)
def store_some(typing: Any, array: Any, index: Any, vector: Any, left: Any) -> Any:
    """The first `left` of them."""
    dtype, lanes = array.dtype.name, vector.lanes

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = ir.VectorType(ELEMENTS[dtype], lanes)
        place = _pointer(context, builder, array, given[0], given[1], kind)
        value = _from_float(builder, given[2], dtype, lanes)
        name = f"llvm.masked.store.v{lanes}{SUFFIXES[dtype]}.p0"
        mask = _mask(builder, given[3], lanes)
        _call(builder, name, ir.VoidType(), [value, place, I32(BYTES[dtype]), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


@intrinsic(prefer_literal=True)
def every(typing: Any, value: Any, lanes: Any) -> Any:
    """A vector whose lanes are all `value`."""
    count = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _splat(builder, given[0], count)

    return Vector(count)(types.float32, lanes), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _call(builder, f"llvm.fma.v{a.lanes}f32", given[0].type, list(given))

    return a(a, a, a), generate


@intrinsic
def add(typing: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return a(a, a), lambda context, builder, signature, given: builder.fadd(*given)


@intrinsic
def largest(typing: Any, a: Any, b: Any) -> Any:
    """The larger of both, NaN where one of them is."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        left, right = given
        larger = builder.select(builder.fcmp_ordered(">", left, right), left, right)
        return builder.select(builder.fcmp_unordered("uno", left, left), left, larger)

    return a(a, a), generate


@intrinsic(prefer_literal=True)
def fetch(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Ask for the cache lines of array[index : index + lanes] ahead."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        place = _pointer(context, builder, array, given[0], given[1], ir.IntType(8))
        for offset in range(0, lanes.literal_value * BYTES[array.dtype.name], 64):
            line = builder.gep(place, [I64(offset)], source_etype=ir.IntType(8))
            flags = [I32(0), I32(3), I32(1)]
            _call(builder, "llvm.prefetch.p0", ir.VoidType(), [line, *flags])
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


TILE = 8


@intrinsic
def transpose(
    typing: Any, source: Any, i: Any, source_step: Any, target: Any, j: Any, target_step: Any
) -> Any:
    """target[j + c * target_step + r] = source[i + r * source_step + c]; r, c below TILE."""
    kind = ir.VectorType(F32, TILE)
    places = ir.VectorType(I32, TILE)
    halves = [
        ir.Constant(places, [lane + n for n in range(begin, begin + TILE // 2) for lane in (0, 8)])
        for begin in (0, TILE // 2)
    ]

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        def place(array: Any, where: Any, number: int) -> Any:
            value, start, step = where
            index = builder.add(start, builder.mul(step, I64(number)))
            return _pointer(context, builder, array, value, index, kind)

        rows = [builder.load(place(source, given[:3], r), align=4) for r in range(TILE)]
        # Rows from both halves interleaved, as often as 2 goes into TILE.
        for _ in range(TILE.bit_length() - 1):
            pairs = zip(rows[: TILE // 2], rows[TILE // 2 :], strict=True)
            rows = [builder.shuffle_vector(a, b, half) for a, b in pairs for half in halves]
        for c, row in enumerate(rows):
            builder.store(row, place(target, given[3:], c), align=4)
        return context.get_dummy_value()

    index = types.intp
    return types.void(source, index, index, target, index, index), generate


OPTIONS = {"boundscheck": False, "error_model": "numpy", "nogil": True}
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)
AHEAD = 16
LANES = 16
ROWS = 32


def _columns(lanes: int, some: bool) -> Callable[..., None]:
    """The product for columns f to f + lanes of all rows, or to the last column."""

    @njit(**OPTIONS, inline="never")
    def run(x, start, column, value, row_sum, bias, relu, grid, y, f):  # type: ignore[no-untyped-def]
        width = x.shape[1]
        end = at(start, y.shape[0])
        left = width - f
        scale, by, to = every(grid[0], lanes), every(grid[2], lanes), every(grid[3], lanes)
        added = load_some(bias, f, lanes, left) if some else load(bias, f, lanes)
        for r in range(y.shape[0]):
            total = every(ZERO, lanes)
            for e in range(at(start, r), at(start, r + 1)):
                if e + AHEAD < end:
                    fetch(x, at(column, e + AHEAD) * width + f, lanes)
                place = at(column, e) * width + f
                sent = load_some(x, place, lanes, left) if some else load(x, place, lanes)
                total = fma(every(at(value, e), lanes), sent, total)
            total = add(total, every(-grid[1] * at(row_sum, r), lanes))
            total = fma(total, scale, added)
            if relu:
                total = largest(total, every(ZERO, lanes))
            total = fma(total, by, to)
            if some:
                store_some(y, r * width + f, total, left)
            else:
                store(y, r * width + f, total)

    result: Callable[..., None] = run
    return result


_some16 = _columns(LANES, True)
_all16, _all64 = _columns(LANES, False), _columns(64, False)


@njit(**OPTIONS, cache=True)
def spmm(x, start, column, value, row_sum, bias, relu, grid, y):  # type: ignore[no-untyped-def]
    """y = f(scale (A x - zero A 1) + b) * by + to, converted; grid is (scale, zero, by, to)."""
    width = x.shape[1]
    f = 0
    if width < LANES:
        _some16(x, start, column, value, row_sum, bias, relu, grid, y, f)
        return
    while f + 64 <= width:
        _all64(x, start, column, value, row_sum, bias, relu, grid, y, f)
        f += 64
    while f < width:
        # The last columns are computed again rather than masked.
        f = min(f, width - LANES)
        _all16(x, start, column, value, row_sum, bias, relu, grid, y, f)
        f += LANES


@njit(**OPTIONS, cache=True)
def convert(x, by, to, y):  # type: ignore[no-untyped-def]
    """y = x * by + to, converted, of any shape."""
    i, size = 0, x.size
    while i + 64 <= size:
        store(y, i, fma(load(x, i, 64), every(by, 64), every(to, 64)))
        i += 64
    while i < size:
        left = min(LANES, size - i)
        some = fma(load_some(x, i, LANES, left), every(by, LANES), every(to, LANES))
        store_some(y, i, some, left)
        i += LANES


@njit(**OPTIONS, cache=True)
def segment_max(x, start, scale, zero, y):  # type: ignore[no-untyped-def]
    """y[r] = scale * (maximum of rows start[r] to start[r + 1] of x - zero); 0 of no rows."""
    width = x.shape[1]
    for r in range(y.shape[0]):
        first, end = at(start, r), at(start, r + 1)
        for f in range(0, width, LANES):
            left = min(LANES, width - f)
            best = every(LOWEST if first < end else zero, LANES)
            for i in range(first, end):
                best = largest(best, load_some(x, i * width + f, LANES, left))
            best = fma(add(best, every(-zero, LANES)), every(scale, LANES), every(ZERO, LANES))
            store_some(y, r * width + f, best, left)


@njit(**OPTIONS)
def _turn(source, i, source_step, rows, columns, target, j, target_step):  # type: ignore[no-untyped-def]
    """`transpose` of rows times columns: tiles, and the rest one by one."""
    tiled = columns - columns % TILE
    for r in range(0, rows - rows % TILE, TILE):
        for c in range(0, tiled, TILE):
            from_, to = i + r * source_step + c, j + c * target_step + r
            transpose(source, from_, source_step, target, to, target_step)
    for r in range(rows):
        for c in range(tiled if r < rows - rows % TILE else 0, columns):
            store(target, j + c * target_step + r, load(source, i + r * source_step + c, 1))


@njit(**OPTIONS, cache=True)
def sparse_linear(x, start, column, value, bias, relu, y):  # type: ignore[no-untyped-def]
    """y = f(x W^T + b), W in compressed rows by output; ROWS rows at a time, turned."""
    rows, inputs = x.shape
    outputs = y.shape[1]
    turned = np.empty(inputs * ROWS, np.float32)
    out = np.empty(outputs * ROWS, np.float32)
    for i in range(0, rows, ROWS):
        some = min(ROWS, rows - i)
        _turn(x, i * inputs, inputs, some, inputs, turned, 0, ROWS)
        for o in range(outputs):
            total = every(ZERO, ROWS)
            for e in range(at(start, o), at(start, o + 1)):
                sent = load(turned, at(column, e) * ROWS, ROWS)
                total = fma(every(at(value, e), ROWS), sent, total)
            total = add(total, every(at(bias, o), ROWS))
            if relu:
                total = largest(total, every(ZERO, ROWS))
            store(out, o * ROWS, total)
        _turn(out, 0, ROWS, outputs, some, y, i * outputs, outputs)
