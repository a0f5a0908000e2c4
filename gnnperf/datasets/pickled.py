"""Arrays, sparse matrices and containers out of a pickle, of which nothing is executed.

Python's own reader calls whatever a pickle names, and with NumPy's and SciPy's own functions a
damaged file makes arrays that point outside their memory. This one knows the few instructions that
hold data, names nothing but what is listed here, and makes arrays itself once their sizes fit.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_DTYPES = frozenset(("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"))
# A damaged shape must not ask for more memory than any file of ours needs.
_MOST_ENTRIES = 1 << 25

# By what they make; modules were renamed over the years, and files keep the old names.
_NAMES = {
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "array",
    "numpy dtype": "dtype",
    "scipy.sparse.csr csr_matrix": "sparse",
    "scipy.sparse._csr csr_matrix": "sparse",
    "collections defaultdict": "dict",
    "__builtin__ list": "list",
    "builtins list": "list",
    "_codecs encode": "bytes",
}
_VALUES = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINBYTES", "SHORT_BINBYTES"),
    )
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


@dataclass
class _Named:
    """What a pickle names, and may only build."""

    makes: str


@dataclass
class _Dtype:
    code: str
    order: str = "="

    def build(self, state: Any) -> None:
        """Take the byte order out of NumPy's state."""
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """NumPy's own; raises ValueError for any but plain numbers."""
        if self.code not in _DTYPES or self.order not in ("<", ">", "=", "|"):
            raise ValueError("an array holds something else than numbers")
        return np.dtype(self.order + self.code)


@dataclass
class _Array:
    array: NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        """Make the array out of NumPy's state, if its bytes are as many as its shape says."""
        _, shape, dtype, is_fortran, content = state
        raw = content.encode("latin1") if isinstance(content, str) else content
        kind = dtype.numpy()
        if len(shape) > 2 or not all(type(size) is int and size > 0 for size in shape):
            raise ValueError("an array is no column and no table")
        if math.prod(shape) * kind.itemsize != len(raw):
            raise ValueError("an array is not as large as it says")
        self.array = np.frombuffer(raw, kind).reshape(shape, order="F" if is_fortran else "C")


@dataclass
class _Sparse:
    matrix: Any = None

    @property
    def array(self) -> NDArray[Any]:
        """The matrix with its zeros."""
        dense: NDArray[Any] = self.matrix.toarray()
        return dense

    def build(self, state: Any) -> None:
        """Make the matrix out of SciPy's state, if pointers and columns lie inside."""
        rows, columns = (_typed(int, size) for size in state["_shape"])
        start, column, value = (state[name].array for name in ("indptr", "indices", "data"))
        fits = (
            0 < rows * columns <= _MOST_ENTRIES
            and start.ndim == column.ndim == value.ndim == 1
            and start.dtype.kind == column.dtype.kind == "i"
            and len(start) == rows + 1
            and len(column) == len(value) == start[-1]
            and start[0] == 0
            and bool((start[1:] >= start[:-1]).all())
            and 0 <= column.min() <= column.max() < columns
        )
        if not fits:
            raise ValueError("a sparse matrix has entries outside itself")
        self.matrix = csr_matrix((value, column, start), shape=(rows, columns))


def unpickled(content: bytes) -> Any:
    """What the pickle holds: numbers, strings, tuples, lists, dicts and NumPy arrays.

    A sparse matrix becomes a dense array. Raises whatever a damaged pickle leads to, ValueError
    for an instruction or a name that is not known here.
    """
    reader = _Reader()
    for instruction, argument, _ in pickletools.genops(content):
        reader.obey(instruction.name, argument)
    (value,) = reader.stack
    return value.array if isinstance(value, (_Array, _Sparse)) else value


class _Reader:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def obey(self, name: str, argument: Any) -> None:
        """Follow one instruction, as the module pickletools describes it."""
        stack, memo = self.stack, self._memo
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _ if name in _VALUES:
                stack.append(argument)
            case _ if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                self._marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._last(int(name[-1]))))
            case "APPEND" | "APPENDS":
                items = self._marked() if name == "APPENDS" else self._last(1)
                _typed(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._marked() if name == "SETITEMS" else self._last(2)
                pairs = zip(items[::2], items[1::2], strict=True)
                _typed(dict, stack[-1]).update({_key(key): value for key, value in pairs})
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL" | "STACK_GLOBAL":
                path = " ".join(self._last(2)) if argument is None else argument
                stack.append(_Named(_NAMES[path]))
            case "NEWOBJ" | "REDUCE":
                named, arguments = self._last(2)
                stack.append(_made(_typed(_Named, named).makes, arguments))
            case "BUILD":
                target, state = self._last(2)
                target.build(state)
                stack.append(target)
            case _:
                raise ValueError(f"it has an instruction {name}, which no data needs")

    def _last(self, count: int) -> list[Any]:
        least = self._marks[-1] if self._marks else 0
        if len(self.stack) - count < least:
            raise ValueError("it takes more than it holds")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _marked(self) -> list[Any]:
        start = self._marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


def _typed(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"it takes a {type(value).__name__} for a {kind.__name__}")
    return value


def _key(key: Any) -> Any:
    # Hashing a tuple goes down as deep as a file nests them, past the end of C's stack.
    return key if isinstance(key, (str, int)) else _typed(int, key)


def _made(what: str, arguments: Any) -> Any:
    match what:
        case "array":
            return _Array()
        case "dtype":
            return _Dtype(_typed(str, arguments[0]))
        case "sparse":
            return _Sparse()
        case "dict":
            return {}
        case "bytes":
            return _typed(str, arguments[0]).encode("latin1")
    raise ValueError(f"it calls a {what}, which no data needs")
