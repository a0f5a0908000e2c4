"""`--gnnperf-shard`, and `gnnperf gather` on what the shards left."""

import json
import re
from itertools import chain

import pytest

from gnnperf.cli import main
from gnnperf.workloads import WORKLOADS

from .own_project import CONFTEST

SUITE = """
import pytest
from gnnperf.recipes import compress

@pytest.mark.gnnperf_cases(
    workloads=["mine-net"], recipes=["layer@0", "layer@0.5"], seeds=[0, 1, 2]
)
def test_sizes(case, trained, measure):
    measure(compress(trained(case.workload, case.seed), case.recipe), meters=("scores",))

@pytest.mark.gnnperf_cases(workloads=["mine-net"], recipes=["layer@0"], over_seeds=2)
def test_over_seeds(case): ...

def test_alone(): ...
"""


@pytest.fixture(autouse=True)
def _registry():
    yield
    WORKLOADS.pop("mine-net", None)


@pytest.fixture
def suite(pytester, project, tmp_path):
    """A project; gives a function of pytest's options."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_suite=SUITE)

    def run(*options):
        WORKLOADS.pop("mine-net", None)
        return project("test_suite.py", "--gnnperf-jobs=1", f"--gnnperf-cache={tmp_path}", *options)

    return run


def collected(result):
    return [line for line in result.outlines if "::" in line and " " not in line]


def test_all_shards_together_are_the_whole_each_once(suite):
    whole = collected(suite("--collect-only", "-q"))
    shards = [collected(suite("--collect-only", "-q", f"--gnnperf-shard={n}/3")) for n in (1, 2, 3)]
    assert len(whole) == 8
    assert sorted(chain(*shards)) == sorted(whole)
    # A workload and a seed stay together, in the order of the whole run.
    assert all(shard == [test for test in whole if test in shard] for shard in shards)
    homes = {
        re.search(r"seed(\d)", test)[1]: n
        for n, s in enumerate(shards)
        for test in s
        if "test_sizes" in test
    }
    assert len(set(homes.values())) == 3


def test_a_shard_is_of_what_other_options_chose(suite):
    chosen = ("--collect-only", "-q", "--gnnperf-recipes=layer@0.5")
    shards = [collected(suite(*chosen, f"--gnnperf-shard={n}/2")) for n in (1, 2)]
    assert sorted(chain(*shards)) == sorted(collected(suite(*chosen)))
    assert {len(shard) for shard in shards} == {1, 2}


def test_a_shard_without_tests_passes(suite):
    result = suite("--gnnperf-shard=8/8", "-k", "alone")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["gnnperf: shard 8/8, 0 of 1 tests"])
    assert suite("--gnnperf-shard=8/8", "-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "1/10001", "a/b", "1" * 5000])
def test_what_is_no_shard_is_refused_in_a_sentence(suite, text):
    result = suite(f"--gnnperf-shard={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --gnnperf-shard '*': name a share and how many there *"])
    assert len(str(result.stderr)) < 250


@pytest.mark.long
def test_each_gone_case_is_judged_by_one_shard_and_other_shards_cases_by_none(suite, pytester):
    folder = pytester.path / "baselines"
    assert suite("--gnnperf-accept", "-k", "sizes").ret == 0
    test_file = pytester.path / "test_suite.py"
    test_file.write_text(test_file.read_text().replace('"layer@0", "layer@0.5"]', '"layer@0"]'))
    gone = []
    for number in (1, 2, 3):
        path = pytester.path / f"{number}.json"
        suite("--gnnperf-gate", f"--gnnperf-shard={number}/3", f"--gnnperf-json={path}")
        cases = json.loads(path.read_text())["cases"]
        gone += [case["test"] for case in cases if case["verdict"] == "gone"]
    assert folder.is_dir()
    assert sorted(gone) == [
        f"test_suite.py::test_sizes[mine-net-layer@0.5-seed{seed}]" for seed in (0, 1, 2)
    ]


TIMES = ("datetime", "measured_at", "stats", "hz_actual", "hz_actual_friendly", "options")


def without_times(value):
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in TIMES}
    if isinstance(value, list):
        return [without_times(part) for part in value]
    return value


@pytest.mark.long
def test_shards_gathered_equal_one_run_but_for_times(suite, pytester, monkeypatch, capsys):
    chosen = ("--gnnperf-recipes=layer@0.5", "-k", "sizes and not seed2")
    assert suite("--gnnperf-accept", *chosen).ret == 0
    # One seed's score is worse than its baseline's.
    (baseline,) = (pytester.path / "baselines").glob("*.json")
    baseline.write_text(
        re.sub(r'("accuracy": )0\.\d+', r"\g<1>0.999", baseline.read_text(), count=1)
    )

    def left(name, *options):
        folder = pytester.path / name
        folder.mkdir()
        reports = (
            f"--benchmark-json={folder}/benchmark.json",
            f"--gnnperf-json={folder}/gate.json",
        )
        suite("--gnnperf-gate", *chosen, *reports, *options)
        return folder

    whole = left("whole")
    shards = [str(left(f"shard{n}", f"--gnnperf-shard={n}/2")) for n in (2, 1)]
    monkeypatch.chdir(pytester.path)
    capsys.readouterr()
    status = main(["gather", *shards, "--into", "gathered"])
    said = capsys.readouterr()
    assert "2 cases gathered; written to gathered: benchmark.json, gate.json, gate.md" in said.out
    for name in ("benchmark.json", "gate.json"):
        one = without_times(json.loads((whole / name).read_text()))
        all_of_them = without_times(json.loads((pytester.path / "gathered" / name).read_text()))
        assert json.dumps(all_of_them) == json.dumps(one)
    verdicts = {case["verdict"] for case in json.loads((whole / "gate.json").read_text())["cases"]}
    assert status == (2 if "regressed" in verdicts else 0)
