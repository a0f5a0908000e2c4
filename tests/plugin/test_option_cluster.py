"""`--gnnperf-cluster`."""

import socket

import pytest

from gnnperf.system import cluster

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


@pytest.mark.parametrize("address", ["", "host:8786", "local:0", "tcp://host:99999", "9" * 5000])
def test_what_is_no_address_is_refused(project, address):
    result = project(f"--gnnperf-cluster={address}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --gnnperf-cluster '*': name a Dask scheduler, tcp://*"])
    assert len(str(result.stderr)) < 250


def test_without_the_extra_a_sentence_says_how_to_install_it(project, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = project("--gnnperf-cluster=local:2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *pip install 'gnnperf?cluster?'"])


def test_an_address_where_nobody_listens_ends_the_run(project, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    result = project(f"--gnnperf-cluster={address}", f"--gnnperf-cache={tmp_path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --gnnperf-cluster {address}: no Dask scheduler answers *"]
    )


@pytest.mark.long
def test_processes_of_this_machine_train_all_that_the_cases_need(project, tmp_path):
    options = ("--gnnperf-cluster=local:1", f"--gnnperf-cache={tmp_path}", "--gnnperf-seeds=0,1")
    result = project(*options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["gnnperf: 2 bases are missing, local:1 is asked to train them"])
    result.stdout.no_fnmatch_line("*workers*")
