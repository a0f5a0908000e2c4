"""`--gnnperf-jobs`."""

import pytest

from gnnperf.study import ahead as study
from gnnperf.study.durations import read_durations
from gnnperf.system.parallel import WorkersDiedError
from gnnperf.workloads import WORKLOADS

from .own_project import CONFTEST

AHEAD = """
from contextlib import nullcontext

import pytest
from gnnperf.recipes import compress
from gnnperf.training.checkpoints import only_cached

DONE = []

@pytest.mark.gnnperf_cases(
    workloads={workloads}, recipes=["global@0.5", "layer@0.9+finetune"], seeds=[0, 1]
)
def test_it(case, trained):
    # The run's first trains for itself, before the others' trainings are begun.
    with only_cached() if DONE else nullcontext():
        compress(trained(case.workload, case.seed), case.recipe)
    DONE.append(case)
"""


@pytest.fixture(autouse=True)
def _registry():
    yield
    WORKLOADS.pop("mine-net", None)


@pytest.fixture
def ahead(pytester, project, tmp_path):
    """A project whose tests pass only if all is trained before them."""
    pytester.makepyfile(test_ahead=AHEAD.format(workloads=["cora_node-spline"]))
    return lambda *options: project("test_ahead.py", f"--gnnperf-cache={tmp_path}", *options)


@pytest.fixture
def in_turn(monkeypatch):
    """Do the processes' work in this one; gives a list of how much."""
    done = []

    def side_by_side(work, tasks, jobs):
        done.append(len(tasks))
        return (work(*task) for task in tasks)

    monkeypatch.setattr(study, "side_by_side", side_by_side)
    return done


def test_bases_and_trainings_after_recipes_are_done_in_processes(pytester, project, tmp_path):
    pytester.makeconftest(CONFTEST)
    names = ["cora_node-spline", "mine-net"]
    pytester.makepyfile(test_ahead=AHEAD.format(workloads=names))
    result = project("test_ahead.py", f"--gnnperf-cache={tmp_path}", "--gnnperf-jobs=2")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: 3 bases are missing, 2 are trained at a time",
            "gnnperf: 4 trainings after recipes are missing, 2 are trained at a time",
        ]
    )


def test_each_file_waits_for_its_own_alone(pytester, project, monkeypatch):
    asked = []
    monkeypatch.setattr(study, "train_ahead", lambda bench, trainings, *_: asked.append(trainings))
    marked = """
        import pytest

        @pytest.mark.gnnperf_cases(workloads=["bbbp-gin"], recipes=["layer@0"], seeds={seeds})
        def test_it(case, trained): ...
        """
    seeds = {"first": [0, 1, 2], "then": [2, 3]}
    pytester.makepyfile(**{f"test_{n}": marked.format(seeds=some) for n, some in seeds.items()})
    project("test_first.py", "test_then.py", "--gnnperf-jobs=2").assert_outcomes(passed=5)
    # The run's first case waits for nothing but its own.
    assert [[seed for _, seed, _ in trainings] for trainings in asked] == [[0], [1, 2], [2, 3]]


def test_what_is_cached_is_not_done_again(ahead, in_turn, tmp_path):
    ahead("--gnnperf-jobs=2").assert_outcomes(passed=4)
    assert in_turn == [2]
    assert sum(key[0].startswith("training") for key in read_durations(tmp_path)) == 2
    result = ahead("--gnnperf-jobs=2")
    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*at a time")
    assert in_turn == [2]


@pytest.mark.parametrize(
    "options",
    [
        ["--gnnperf-jobs=1"],
        ["--gnnperf-jobs=2", "--collect-only"],
        ["--gnnperf-jobs=2", "-k", "global and seed0"],
    ],
    ids=["one job", "nothing runs", "one training"],
)
def test_nothing_is_trained_ahead(ahead, in_turn, options):
    ahead(*options)
    assert in_turn == []


def test_an_error_is_reported_by_the_case_that_needs_the_training(
    pytester, project, tmp_path, in_turn
):
    pytester.makeconftest(CONFTEST.replace("nn.Linear(16, 2)", "nn.Linear(17, 2)"))
    pytester.makepyfile(
        test_ahead="""
        import pytest

        @pytest.mark.gnnperf_cases(
            workloads=["mine-net", "cora_node-spline"], recipes=["layer@0"], seeds=[0, 1, 2]
        )
        def test_it(case, trained):
            trained(case.workload, case.seed)
        """
    )
    result = project("test_ahead.py", f"--gnnperf-cache={tmp_path}", "--gnnperf-jobs=2")
    assert in_turn == [5]
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: a training ahead failed: mine-net, seed 1 (so did 1 more): "
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied*",
            "*mat1 and mat2 shapes cannot be multiplied*",
        ]
    )


def test_a_workload_that_cannot_be_pickled_says_so(pytester, project, tmp_path, in_turn):
    pytester.makeconftest(
        f"LOCK = __import__('threading').Lock()\n{CONFTEST}".replace("Net()", "(LOCK, Net())[1]")
    )
    pytester.makepyfile(
        test_ahead="""
        import pytest

        @pytest.mark.gnnperf_cases(workloads=["mine-net"], recipes=["layer@0"], seeds=[0, 1, 2])
        def test_it(case, trained):
            trained(case.workload, case.seed)
        """
    )
    result = project("test_ahead.py", f"--gnnperf-cache={tmp_path}", "--gnnperf-jobs=2")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: a training ahead failed: mine-net, seed 1 (so did 1 more): the workload "
            "cannot be sent to another process: TypeError: cannot pickle *"
        ]
    )


def test_processes_that_die_leave_the_work_to_the_cases(project, monkeypatch):
    def side_by_side(work, tasks, jobs):
        raise WorkersDiedError("a process died")
        yield

    monkeypatch.setattr(study, "side_by_side", side_by_side)
    result = project("--gnnperf-jobs=2", "--gnnperf-seeds=5,6,7")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["gnnperf: a process died; the rest is trained case by case"])


@pytest.mark.parametrize(
    "jobs", ["0", "-2", "1025", "many", "", "1.5", "1_0", "\u0663", "nan", "9" * 5000]
)
def test_what_is_no_number_of_processes_is_refused(project, jobs):
    result = project(f"--gnnperf-jobs={jobs}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --gnnperf-jobs '*': name 1 to 1024 processes"])
    assert len(str(result.stderr)) < 200


def test_the_most_processes_are_taken(project):
    assert project("--gnnperf-jobs=1024", "--collect-only").ret == pytest.ExitCode.OK
