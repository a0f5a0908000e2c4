"""Which tables close a run, and how wide they are."""

import pytest

PROJECT = """
from gnnperf.plugin.tables import RECORDS
from gnnperf.records import Record, measured

def test_ours(benchmark, pytestconfig):
    benchmark.pedantic(lambda: None, rounds=3)
    benchmark.extra_info["gnnperf"] = {"schema": 2}
    names = ("accuracy", "accuracy_drop", "majority", "size_ratio", "cpu_ratio", "stored_bytes")
    readings = {name: measured(1.0, "bytes", "test") for name in names}
    for seed in (0, 1):
        pytestconfig.stash[RECORDS][f"a{seed}"] = Record(
            "cora_node-spline", "global@0.5", seed, "accuracy", readings, {}, {}, {}, {},
            "cora_node", "real")

def test_other(benchmark):
    benchmark.pedantic(lambda: None, rounds=3)
"""


@pytest.mark.parametrize(
    ("options", "both"),
    [((), False), (("-v",), True), (("--benchmark-columns=min,max",), True)],
)
def test_our_cases_are_in_pytest_benchmarks_table_where_asked(pytester, options, both):
    pytester.makepyfile(PROJECT)
    lines = pytester.runpytest(*options).outlines
    head = next(index for index, line in enumerate(lines) if line.startswith("Name (time in "))
    names = {line.split()[0] for line in lines[head + 2 : head + 4]}
    assert ("test_ours" in names) is both
    assert "test_other" in names


def test_with_our_cases_alone_there_is_no_such_table_and_the_json_has_them(pytester):
    pytester.makepyfile(PROJECT.partition("def test_other")[0])
    result = pytester.runpytest("--benchmark-json=out.json")
    result.stdout.no_fnmatch_line("Name (time in *")
    assert '"test_ours"' in (pytester.path / "out.json").read_text()


def test_a_row_a_recipe_no_wider_than_the_terminal(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    pytester.makepyfile(PROJECT)
    lines = pytester.runpytest().outlines
    start = lines.index("pruning")
    assert lines[start + 1].split()[:3] == ["workload", "recipe", "n"]
    assert lines[start + 3].split()[:3] == ["cora_node-spline", "global@0.5", "2"]
    assert max(map(len, lines[start : start + 4])) <= 70
    assert lines[start + 4].startswith("(left out for want of width: ")


def test_every_case_with_v(pytester):
    pytester.makepyfile(PROJECT)
    lines = pytester.runpytest("-v").outlines
    assert sum(line.startswith("cora_node-spline-global@0.5-seed") for line in lines) == 2
