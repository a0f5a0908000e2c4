"""Numbers out of text files: every line is what it should be, or it is named."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnperf.datasets.base import DataError

_BLANK = rb"[ \t]*"
# So few digits that no number overflows, whatever it is counted or added up with.
_WHOLE = _BLANK + rb"-?[0-9]{1,9}" + _BLANK
_DECIMAL = _BLANK + rb"-?[0-9]{1,9}(?:\.[0-9]{1,9})?(?:[eE][-+]?[0-9]{1,2})?" + _BLANK


def whole_numbers(name: str, content: bytes, columns: int = 1) -> NDArray[np.int64]:
    """The table [rows, columns] in the file `name`, one row a line, separated by commas.

    Raises DataError for an empty file, and for the first line that is anything else, a blank one
    too.
    """
    kind = "one whole number" if columns == 1 else f"{columns} whole numbers"
    return _table(name, content, _WHOLE, columns, kind).astype(np.int64).reshape(-1, columns)


def decimals(name: str, content: bytes) -> NDArray[np.float32]:
    """The column [rows] in the file `name`; raises DataError as `whole_numbers` does."""
    return _table(name, content, _DECIMAL, 1, "one number below 1e9").astype(np.float32)


def _table(name: str, content: bytes, cell: bytes, columns: int, kind: str) -> NDArray[Any]:
    row = re.compile(b",".join([cell] * columns))
    lines = content.splitlines()
    if not lines:
        raise DataError(f"the file {name} is empty")
    for number, line in enumerate(lines, start=1):
        if not row.fullmatch(line):
            shown = ascii(line[:40].decode("latin1"))
            raise DataError(f"line {number} of the file {name} is {shown} and not {kind}")
    values = np.array(content.replace(b",", b" ").split(), dtype="S32").astype(np.float64)
    if not (abs(values) < 1e9).all():
        raise DataError(f"the file {name} holds a number of 1e9 or more")
    return values
