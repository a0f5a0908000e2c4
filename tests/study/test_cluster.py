"""Trainings on real workers of a Dask scheduler, which die, differ or lack something."""

import os
import signal

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

from .fleet import fleet_in, said, until

pytestmark = pytest.mark.long


@pytest.fixture
def fleet(tmp_path):
    with fleet_in(tmp_path) as fleet:
        yield fleet


def output(driver):
    text, _ = driver.communicate(timeout=400)
    assert driver.returncode == 0, text
    return text


def test_bases_and_recipes_come_back_and_are_there_the_next_time(fleet):
    fleet.start_worker()
    text = output(fleet.drive(2, "global@0.5", "layer@0.9+finetune"))
    assert f"2 bases are missing, {fleet.address} is asked to train them" in text
    assert f"2 trainings after recipes are missing, {fleet.address} is asked" in text
    assert len(text.splitlines()) == 2
    assert len(fleet.checkpoints()) == len(fleet.trained()) == 4
    assert output(fleet.drive(2, "global@0.5", "layer@0.9+finetune")) == ""
    assert len(fleet.trained()) == 4
    # A machine finds what another one trained, by name and to the bit.
    alone = fleet.folder / "cache" / "checkpoints"
    assert not list(alone.glob(".*.tmp"))


def test_a_worker_that_is_killed_in_the_middle_costs_its_training_alone(fleet):
    workers = [fleet.start_worker(FLEET_SECONDS="0.5") for _ in range(2)]
    driver = fleet.drive(6, "global@0.5")
    said(driver, "6 bases are missing")
    until(lambda: len(fleet.trained()) >= 3, driver)
    workers[0].send_signal(signal.SIGKILL)
    assert output(driver) == ""
    assert len(fleet.checkpoints()) == 6
    assert 6 <= len(fleet.trained()) <= 8


def test_a_scheduler_that_is_gone_is_named_and_what_came_back_is_kept(fleet):
    fleet.start_worker(FLEET_SECONDS="0.5")
    driver = fleet.drive(20, "global@0.5")
    said(driver, "20 bases are missing")
    until(lambda: len(fleet.checkpoints()) >= 2, driver)
    fleet.scheduler.send_signal(signal.SIGKILL)
    text = output(driver)
    assert f"error: the Dask scheduler at {fleet.address} is gone" in text
    assert len(text.splitlines()) == 1
    assert 2 <= len(fleet.checkpoints()) < 20


def test_a_run_that_was_killed_goes_on_with_what_is_missing(fleet):
    fleet.start_worker(FLEET_SECONDS="0.3")
    driver = fleet.drive(6, "global@0.5")
    said(driver, "6 bases are missing")
    until(lambda: len(fleet.checkpoints()) >= 2, driver)
    driver.kill()
    driver.wait()
    kept = fleet.checkpoints()
    assert f"{6 - len(kept)} bases are missing" in output(fleet.drive(6, "global@0.5"))
    assert len(fleet.checkpoints()) == 6
    # What the worker did when the run was killed came back to nobody; what had come is not redone.
    trained = [line.split()[0] for line in fleet.trained()]
    assert all(trained.count(name.partition("-seed")[2].split("-")[0]) == 1 for name in kept)


def test_another_instruction_set_is_named_and_nothing_is_trained_with_it(fleet):
    fleet.start_worker(ATEN_CPU_CAPABILITY="default")
    text = output(fleet.drive(3, "global@0.5"))
    (line,) = [line for line in text.splitlines() if "workers" in line]
    assert line.startswith("workers have instruction set DEFAULT, this machine ")
    assert "their trainings could not be used here; set the same ATEN_CPU_CAPABILITY" in line
    assert fleet.trained() == []


def test_workers_that_differ_leave_the_trainings_to_those_that_do_not(fleet):
    fleet.start_worker(ATEN_CPU_CAPABILITY="default")
    fleet.start_worker()
    text = output(fleet.drive(6, "global@0.5"))
    assert "instruction set" not in text
    assert len(fleet.checkpoints()) == len(fleet.trained()) == 6


def test_a_project_that_is_not_on_the_worker_is_named(fleet):
    fleet.start_worker(PYTHONPATH=os.environ.get("PYTHONPATH", ""))
    text = output(fleet.drive(3, "global@0.5"))
    (line,) = [line for line in text.splitlines() if "workers" in line]
    assert line == (
        "workers cannot import 'fleet_net': install it there, or put the folder that it lies in "
        "on their PYTHONPATH"
    )
    assert fleet.trained() == []


def test_gnnperf_missing_on_the_worker_is_named(fleet):
    hide = fleet.folder / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text("import sys\nsys.modules['gnnperf'] = None\n")
    fleet.start_worker(PYTHONPATH=str(hide))
    text = output(fleet.drive(2, "global@0.5"))
    assert "workers cannot import 'gnnperf': install it there" in text


def test_code_that_changed_under_a_worker_is_named_and_not_trained_with(fleet):
    fleet.start_worker()
    output(fleet.drive(1, "global@0.5"))
    net = fleet.folder / "project" / "fleet_net.py"
    net.write_text(net.read_text().replace("lr=0.05", "lr=0.005"))
    text = output(fleet.drive(1, "global@0.5"))
    assert "workers run fleet_net as it was before it was changed; restart them" in text
    assert len(fleet.trained()) == 1


def test_a_training_that_fails_says_why_once(fleet):
    fleet.start_worker()
    net = fleet.folder / "project" / "fleet_net.py"
    net.write_text(net.read_text().replace("nn.Linear(16, 2)", "nn.Linear(17, 2)"))
    text = output(fleet.drive(3, "global@0.5"))
    (line,) = [line for line in text.splitlines() if "failed" in line]
    assert "fleet-net, seed 0 (so did 2 more): RuntimeError: mat1 and mat2" in line
