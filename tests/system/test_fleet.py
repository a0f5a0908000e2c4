"""Work on real processes of a Dask cluster of this machine."""

import os

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

from gnnperf.system.cluster import connected
from gnnperf.system.fleet import Task, Unfit, sent_out


@pytest.fixture(scope="module")
def client():
    with connected("local:2") as client:
        yield client


def answers(client, *tasks):
    numbered = [
        Task(n, work, args, kind=tuple(kind)) for n, (work, args, *kind) in enumerate(tasks)
    ]
    return {answer.number: answer for answer in sent_out(client, iter(numbered), print)}


def test_values_and_reasons_come_back_for_each_task(client):
    found = answers(client, (pow, (3, 2)), (int, ("one",)), (pow, (2, 3)))
    assert (found[0].value, found[2].value) == (9, 8)
    assert found[1].failure.startswith("ValueError: invalid literal for int()")
    assert not found[1].unfit
    assert found.keys() == {0, 1, 2}


def test_no_task_is_no_answer(client):
    assert answers(client) == {}


def test_more_tasks_than_are_sent_at_a_time_all_come_back(client, monkeypatch):
    monkeypatch.setattr("gnnperf.system.fleet._LEAST_IN_FLIGHT", 1)
    found = answers(client, *[(abs, (-number,)) for number in range(9)])
    assert {number: answer.value for number, answer in found.items()} == {n: n for n in range(9)}


def unfit_where(address):
    from distributed import get_worker

    here = get_worker().address
    return Unfit("this one is not fit") if address in ("all", here) else here


def test_work_goes_to_workers_that_are_fit_for_it(client):
    first, second = client.nthreads()
    found = answers(client, *[(unfit_where, (first,), "kind")] * 5)
    assert {answer.value for answer in found.values()} == {second}


def test_where_no_worker_is_fit_the_reason_comes_back_and_the_rest_is_not_sent(client):
    found = answers(client, *[(unfit_where, ("all",), "kind")] * 3, (abs, (-1,), "other kind"))
    assert [found[number].failure for number in range(3)] == ["this one is not fit"] * 3
    assert all(found[number].unfit for number in range(3))
    assert found[3].value == 1


def test_a_module_that_workers_lack_is_named(client, monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def work(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    found = answers(client, (only_here.work, ()))
    assert found[0].unfit
    assert found[0].failure.startswith("workers cannot import 'only_here': install it there, or")


@pytest.mark.long
def test_work_that_kills_every_worker_says_so_and_the_rest_is_done(client):
    found = answers(client, (os._exit, (3,)), (abs, (-2,)))
    assert found[0].failure == "every worker that did it died, perhaps for want of memory"
    assert not found[0].unfit
    assert found[1].value == 2


def joined(*parts):
    return b"".join(parts)


def test_files_go_along_as_further_arguments(client, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b" * 100)
    files = (tmp_path / "a", tmp_path / "b")
    tasks = [Task(number, joined, (b"%d " % number,), shared=files) for number in range(3)]
    found = {answer.number: answer.value for answer in sent_out(client, iter(tasks), print)}
    assert found == {number: b"%d a" % number + b"b" * 100 for number in range(3)}
