"""The figures of *Pruning and Quantization Impact on Graph Neural Networks*, for comparison."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Figure:
    """Mean and, where the paper gives it, standard deviation."""

    mean: float
    std: float | None

    def __str__(self) -> str:
        return f"{self.mean:g}" if self.std is None else f"{self.mean:g} +- {self.std:g}"


@functools.cache
def paper_rows() -> tuple[Mapping[str, str], ...]:
    """Every figure of the paper's tables, a row each: where it stands, `mean`, `std`, `unit`."""
    text = resources.files("gnnperf.reports").joinpath("paper.csv").read_text()
    return tuple(csv.DictReader(text.splitlines()))


def paper_figure(**cell: str | int) -> Figure | None:
    """The one figure whose columns are as named, or None where the paper has none.

    Columns: table, dataset, model, method, finetune, level, metric. Raises ValueError when the
    named ones leave several figures.
    """
    found = [row for row in paper_rows() if all(row[name] == str(cell[name]) for name in cell)]
    if len(found) > 1:
        raise ValueError(f"{cell} is in {len(found)} places of the paper's tables; name more")
    if not found:
        return None
    return Figure(float(found[0]["mean"]), float(found[0]["std"]) if found[0]["std"] else None)
