"""What several files share: a test's record and case, lines as the run goes on, numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gnnperf.records import Record
    from gnnperf.study.cases import Case, CaseOverSeeds

RECORD: pytest.StashKey[Record] = pytest.StashKey()
"""Of a test's node: the record that it measured."""

_LONGEST_SHOWN = 40


def case_of(item: pytest.Item) -> Case | CaseOverSeeds | None:
    """The case that a test is parametrized with; None for a test without."""
    case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
    if case is None:
        return None
    from gnnperf.study.cases import Case, CaseOverSeeds

    return case if isinstance(case, (Case, CaseOverSeeds)) else None


def announce(config: pytest.Config, text: str) -> None:
    """A line while the run goes on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(f"gnnperf: {text}")


def shown(text: str) -> str:
    """What a person typed, quoted and cut so that a sentence can hold it."""
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
    return repr(cut)


def count(option: str, what: str, most: int) -> Callable[[str], int]:
    """An option's type: a whole number from 1 to `most`, in plain digits; else a UsageError."""

    def read(text: str) -> int:
        # Longer than any that is let through; int() itself refuses thousands of digits.
        plain = text.isascii() and text.isdigit() and len(text) <= 2 * len(str(most))
        if not plain or not 1 <= int(text) <= most:
            raise pytest.UsageError(f"{option} {shown(text)}: name 1 to {most} {what}")
        return int(text)

    return read


def positive(option: str, what: str, unit: str, most: float) -> Callable[[str], float]:
    """An option's type: a number above 0, `most` at most, in ASCII; else a UsageError."""

    def read(text: str) -> float:
        try:
            number = float(text) if text.isascii() else math.nan
        except ValueError:
            number = math.nan
        if not 0 < number <= most:
            raise pytest.UsageError(
                f"{option} {shown(text)}: name a {what} above zero, {most:g} {unit} at most"
            )
        return number

    return read
