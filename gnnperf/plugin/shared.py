"""What several files share: a test's record and its case, and a line while the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gnnperf.records import Record
    from gnnperf.study.cases import Case, CaseOverSeeds

RECORD: pytest.StashKey[Record] = pytest.StashKey()
"""Of a test's node: the record that it measured."""


def announce(config: pytest.Config, text: str) -> None:
    """A line while the run goes on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(f"gnnperf: {text}")


def case_of(item: pytest.Item) -> Case | CaseOverSeeds | None:
    """The case of a test that will run, or None."""
    from gnnperf.study.cases import Case, CaseOverSeeds

    callspec = getattr(item, "callspec", None)
    case = None if callspec is None else callspec.params.get("case")
    runs = isinstance(case, (Case, CaseOverSeeds)) and item.get_closest_marker("skip") is None
    return case if runs else None
