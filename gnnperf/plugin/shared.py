"""What several files share: the record of a test, and a line while the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gnnperf.records import Record

RECORD: pytest.StashKey[Record] = pytest.StashKey()
"""Of a test's node: the record that it measured."""


def announce(config: pytest.Config, text: str) -> None:
    """A line while the run goes on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(f"gnnperf: {text}")
