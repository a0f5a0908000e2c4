"""The tables at the end of a run: what the tests add to them, and their printing."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

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


_Groups = list[tuple[str | None, list[dict[str, Any]]]]


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_benchmark_group_stats(config: pytest.Config) -> Generator[None, _Groups, _Groups]:
    """Leave our cases out of pytest-benchmark's table, unless it is asked for; its JSON has them.

    Where it compares runs all stay in, as it judges what is in its table.
    """
    groups = yield
    asked = (*config.invocation_params.args, *config.getini("addopts"))
    named = any(str(argument).startswith(_ITS_TABLE) for argument in asked)
    if named or config.getoption("verbose") > 0:
        return groups
    others = [
        (name, [one for one in group if "gnnperf" not in one.get("extra_info", {})])
        for name, group in groups
    ]
    return [(name, group) for name, group in others if group]


_ITS_TABLE = ("--benchmark-columns", "--benchmark-compare")


def _has_width(terminalreporter: pytest.TerminalReporter) -> bool:
    return bool(terminalreporter.isatty) or "COLUMNS" in os.environ


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Close the run with the table of cases."""
    records, tables = config.stash[RECORDS], config.stash[TABLES]
    comparisons = config.stash[COMPARISONS]
    if not (records or comparisons or tables):
        return
    from gnnperf.reports.closing import closing_report

    terminalreporter.section("gnnperf")
    closing = closing_report(
        list(records.values()),
        comparisons,
        tables,
        # What is no terminal, a log say, has room for every column.
        width=terminalreporter._tw.fullwidth if _has_width(terminalreporter) else None,
        colours=terminalreporter.hasmarkup,
        all_rows=config.getoption("verbose") > 0,
    ).splitlines()
    for line in (*closing, *notes_on_results(config)):
        terminalreporter.write_line(line)
