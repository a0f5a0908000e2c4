"""Codes of mixed bit-widths packed to their own widths."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnperf.compression.quantization.errors import QuantizationError


def pack_rows(codes: Tensor, bits: Tensor) -> Tensor:
    """Pack each row of codes to as many bits as its own width asks for.

    Rows lie in order of their widths, each width begins a new byte; unsigned codes are the lower
    bits of what they are.

    Args:
        codes: whole numbers [rows, width] that fit their row's bits, signed or not.
        bits: whole numbers [rows], 1 to 8.

    Returns:
        uint8 [bytes].
    """
    low = (codes.cpu().to(torch.int64) & 0xFF).to(torch.uint8)
    parts = []
    for width in bits.unique().tolist():
        rows = low[(bits == width).cpu()].numpy().reshape(-1, 1)
        parts.append(np.packbits(np.unpackbits(rows, axis=1)[:, 8 - int(width) :]))
    return torch.from_numpy(np.concatenate(parts)) if parts else torch.empty(0, dtype=torch.uint8)


def unpack_rows(packed: Tensor, bits: Tensor, width: int, *, signed: bool) -> Tensor:
    """The codes int16 [rows, width] that `pack_rows` packed.

    Args:
        packed: uint8 [bytes].
        bits: [rows], as when it was packed.
        width: codes in a row.
        signed: whether codes may be negative.

    Raises QuantizationError when there are more or fewer bytes than the widths ask for.
    """
    codes = torch.zeros(len(bits), width, dtype=torch.int16)
    start, content = 0, packed.numpy()
    for size in [int(size) for size in bits.unique().tolist()]:
        rows = bits == size
        count = int(rows.sum()) * width
        end = start + -(-count * size // 8)
        if end > len(content):
            break
        found = np.unpackbits(content[start:end])[: count * size].reshape(-1, size)
        number = found.astype(np.int16) @ (1 << np.arange(size - 1, -1, -1, dtype=np.int16))
        if signed:
            number -= (number >> (size - 1)) << size
        codes[rows] = torch.from_numpy(number).view(-1, width)
        start = end
    else:
        if start == len(content):
            return codes
    asked = sum(-(-int((bits == size).sum()) * width * int(size) // 8) for size in bits.unique())
    raise QuantizationError(
        f"{len(content)} bytes of packed codes, and rows of these widths take {asked}; give the "
        "bits that they were packed with"
    )
