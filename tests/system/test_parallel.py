import os

import psutil
import pytest
from joblib import parallel_config

from gnnperf.system.parallel import WorkersDiedError, default_jobs, side_by_side, workers_end


@pytest.mark.parametrize("jobs", [1, 2])
def test_everything_is_done_once_and_no_process_stays(jobs):
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with workers_end(jobs):
        assert sorted(side_by_side(abs, [(-n,) for n in range(5)], jobs)) == [0, 1, 2, 3, 4]
        pids = set(side_by_side(os.getpid, [()] * 6, jobs))
        assert (os.getpid() in pids) == (jobs == 1)
        assert len(pids) <= jobs
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not [p for p in left if "resource_tracker" not in " ".join(p.cmdline())]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_comes_through(jobs):
    with workers_end(jobs), pytest.raises(ValueError, match="invalid literal"):
        list(side_by_side(int, [("1",), ("one",), ("2",)], jobs))


def test_a_process_that_dies_is_told():
    with workers_end(2), pytest.raises(WorkersDiedError, match="what was finished is kept"):
        list(side_by_side(os._exit, [(3,), (3,)], 2))


def test_as_many_as_cores_have_room_for(monkeypatch):
    monkeypatch.setattr("gnnperf.system.parallel.cpu_count", lambda: 5)
    assert [default_jobs(threads) for threads in (1, 2, 3, 9)] == [5, 2, 1, 1]


def test_the_backend_and_the_jobs_of_joblibs_parallel_config_are_heard():
    with parallel_config(backend="threading", n_jobs=3):
        assert default_jobs(1) == 3
        assert set(side_by_side(os.getpid, [()] * 3, 2)) == {os.getpid()}
    with parallel_config(n_jobs=1):
        assert default_jobs(1) == 1
