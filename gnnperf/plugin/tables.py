"""The tables at the end of a run: what the tests add to them, and their printing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gnnperf.plugin.results import notes_on_results

if TYPE_CHECKING:
    from gnnperf.records import Reading, Record

RECORDS: pytest.StashKey[dict[str, Record]] = pytest.StashKey()
COMPARISONS: pytest.StashKey[dict[str, dict[str, Reading]]] = pytest.StashKey()
TABLES: pytest.StashKey[dict[str, list[dict[str, object]]]] = pytest.StashKey()
"""Of the run: its cases and pairs of callables by test, and rows of further tables by title."""


def pytest_configure(config: pytest.Config) -> None:
    """Begin the tables."""
    config.stash[RECORDS], config.stash[COMPARISONS], config.stash[TABLES] = {}, {}, {}


@pytest.fixture
def closing_row(pytestconfig: pytest.Config) -> Callable[..., None]:
    """`closing_row(title, **cells)`: a row of a table that is printed at the end of the run.

    Rows of one title form one table; a cell is anything that has a `str`.
    """

    def add(title: str, **cells: object) -> None:
        pytestconfig.stash[TABLES].setdefault(title, []).append(cells)

    return add


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Close the run with the table of cases."""
    records, tables = config.stash[RECORDS], config.stash[TABLES]
    comparisons = config.stash[COMPARISONS]
    if not (records or comparisons or tables):
        return
    from gnnperf.reports.table import closing_report

    terminalreporter.section("gnnperf")
    closing = closing_report(list(records.values()), comparisons, tables).splitlines()
    for line in (*closing, *notes_on_results(config)):
        terminalreporter.write_line(line)
