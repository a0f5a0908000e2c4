"""pytest's side: a file for each thing, under the name that it has in the room it comes from.

Every pytest run of an environment imports these modules, so torch and all that needs it are
imported inside the functions, when a test asks for them.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from gnnperf.errors import GnnperfError

pytest_plugins = [
    f"gnnperf.plugin.{name}"
    # Each behind those that it imports, or pytest 8 warns.
    for name in (
        *("paths", "workbench", "cases", "selection", "shard", "ahead", "results", "tables"),
        *("rounds", "measure", "durations", "properties", "limits", "gate", "report"),
    )
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """Show an error of ours as its one sentence."""
    return (yield from _one_sentence())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Show an error of ours as its one sentence."""
    return (yield from _one_sentence())


def _one_sentence() -> Generator[None]:
    try:
        return (yield)
    except GnnperfError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
