"""Other plugins that people have, all at once."""

import json

import pytest

from gnnperf.workloads import WORKLOADS

from .own_project import CONFTEST, SIZES

# Imported now: coverage's extension cannot be imported again once a pytester has dropped it.
for module in (
    *("coverage", "pytest_cov", "pytest_html", "pytest_randomly", "pytest_repeat"),
    *("pytest_rerunfailures", "pytest_subtests", "pytest_timeout"),
):
    pytest.importorskip(module)

# The first test fails, and is run again.
RERUN = """
    runs.append(case)
    with subtests.test("a part"):
        assert record.value("size_ratio") > 0
    assert len(runs) != 1

runs = []
"""


@pytest.fixture(autouse=True)
def _registry():
    yield
    WORKLOADS.pop("mine-net", None)


def test_all_at_once(pytester, monkeypatch):
    # Here alone they are not switched off.
    monkeypatch.delenv("PYTEST_ADDOPTS")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_mine=SIZES.replace("measure)", "measure, subtests)").rstrip() + RERUN)
    result = pytester.runpytest(
        *("--gnnperf-cache=cache", "--gnnperf-preset=smoke", "--gnnperf-json=gnnperf.json"),
        *("--benchmark-json=benchmark.json", "--junitxml=junit.xml", "--html=report.html"),
        *("--count=2", "--reruns=1", "--timeout=300", "--cov=test_mine"),
    )
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["Using --randomly-seed=*", "*2 passed*1 rerun*"])
    rows = [line for line in result.outlines if line.startswith("mine-net ")]
    assert len(rows) == 1  # The same case.
    names = {f"mine-net-global@0.5-seed0-{n}-2" for n in (1, 2)}
    records = json.loads((pytester.path / "gnnperf.json").read_text())["records"]
    assert set(records) == {f"test_mine.py::test_sizes[{name}]" for name in names}
    benchmarks = json.loads((pytester.path / "benchmark.json").read_text())["benchmarks"]
    assert {bench["param"] for bench in benchmarks} == names
    assert 'name="stored_bytes"' in (pytester.path / "junit.xml").read_text()
    assert (pytester.path / "report.html").exists()
