"""The dtypes of the format and the lanes as which their bytes are coded (FORMAT.md, section 6)."""

from dataclasses import dataclass

import torch

from gnnperf.codec.errors import UnknownDtypeError


@dataclass(frozen=True)
class Lane:
    """How bytes are read as numbers: bytes a number, pcodec's type if any, float or not."""

    name: str
    width_bytes: int
    number: str | None
    is_float: bool = False

    @property
    def unsigned(self) -> str:
        """The numpy dtype that holds the lane's bits."""
        return f"<u{self.width_bytes}"

    @property
    def numpy(self) -> str:
        """The numpy dtype of its numbers, that of its bits if numpy has none."""
        return self.number or self.unsigned


U8 = Lane("u8", 1, "<u1")
LANES = {
    lane.name: lane
    for lane in (
        U8,
        Lane("i8", 1, "<i1"),
        Lane("u16", 2, "<u2"),
        Lane("i16", 2, "<i2"),
        Lane("u32", 4, "<u4"),
        Lane("i32", 4, "<i4"),
        Lane("u64", 8, "<u8"),
        Lane("i64", 8, "<i8"),
        Lane("f16", 2, "<f2", is_float=True),
        Lane("bf16", 2, None, is_float=True),
        Lane("f32", 4, "<f4", is_float=True),
        Lane("f64", 8, "<f8", is_float=True),
    )
}


@dataclass(frozen=True)
class Dtype:
    """A torch dtype by name, its code in files, its lane and its size in bytes."""

    code: int
    name: str
    lane: Lane
    itemsize_bytes: int

    def torch(self) -> torch.dtype:
        """The torch dtype; raises UnknownDtypeError if this torch does not have it."""
        found = getattr(torch, self.name, None)
        if not isinstance(found, torch.dtype):
            raise UnknownDtypeError(
                f"dtype {self.name} is not known to torch {torch.__version__}; use a newer torch"
            )
        return found


# The position is the code in files: append, never reorder.
_NAMES_AND_LANES = (
    ("bool", "u8"),
    ("uint8", "u8"),
    ("int8", "i8"),
    ("uint16", "u16"),
    ("int16", "i16"),
    ("uint32", "u32"),
    ("int32", "i32"),
    ("uint64", "u64"),
    ("int64", "i64"),
    ("float16", "f16"),
    ("bfloat16", "bf16"),
    ("float32", "f32"),
    ("float64", "f64"),
    ("complex32", "f16"),
    ("complex64", "f32"),
    ("complex128", "f64"),
    ("float8_e4m3fn", "u8"),
    ("float8_e4m3fnuz", "u8"),
    ("float8_e5m2", "u8"),
    ("float8_e5m2fnuz", "u8"),
    ("float8_e8m0fnu", "u8"),
    ("float4_e2m1fn_x2", "u8"),
    *((f"uint{bits}", "u8") for bits in range(1, 8)),
    *((f"int{bits}", "u8") for bits in range(1, 8)),
)
DTYPES = tuple(
    Dtype(code, name, LANES[lane], LANES[lane].width_bytes * (2 if "complex" in name else 1))
    for code, (name, lane) in enumerate(_NAMES_AND_LANES)
)
_BY_NAME = {dtype.name: dtype for dtype in DTYPES}


def dtype_of(tensor: torch.Tensor) -> Dtype:
    """The format's entry for a tensor's dtype; raises UnknownDtypeError if it has none."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in _BY_NAME:
        raise UnknownDtypeError(f"dtype {name} has no place in the format")
    return _BY_NAME[name]


def dtype_with_code(code: int) -> Dtype:
    """The entry with this code; raises UnknownDtypeError if there is none."""
    if code >= len(DTYPES):
        raise UnknownDtypeError(f"dtype code {code} is unknown; the highest is {len(DTYPES) - 1}")
    return DTYPES[code]
