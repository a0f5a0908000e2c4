"""pytest's own plugins: each can be switched off."""

import pytest
from _pytest.config import default_plugins, essential_plugins

from gnnperf.workloads import WORKLOADS

from .own_project import CONFTEST, SIZES

# Without it there are no tests.
OFF = [name for name in default_plugins if name not in (*essential_plugins, "python")]


@pytest.fixture
def run(pytester, shared_cache):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_sizes=SIZES)
    own = (f"--gnnperf-cache={shared_cache}", "--gnnperf-preset=smoke", "--benchmark-disable")
    yield lambda *options: pytester.inline_run(*own, *options)
    WORKLOADS.pop("mine-net")


@pytest.mark.parametrize(
    "names",
    # A few at a time, as each run takes half a second.
    [["terminal"], ["capture"], *(OFF[n::6] for n in range(6)), OFF],
    ids=",".join,
)
def test_switched_off(run, names):
    run(*(f"-pno:{name}" for name in names)).assertoutcome(passed=1)


def test_output_that_is_not_captured(run):
    run("-s").assertoutcome(passed=1)
