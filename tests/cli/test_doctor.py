import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from gnnperf.cli import doctor, main


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch):
    monkeypatch.setattr("gnnperf.meters.base.Meter.window_seconds", 0.02)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_every_meter_is_tried(capsys):
    assert main(["doctor", "--seconds", "0.3"]) == 0
    out = capsys.readouterr().out
    for what in ("processor", "threads", "allocator", "governor", "other load", "noise"):
        assert f"\n{what} " in out
    for meter in ("cost: macs", "cpu: inference_cpu_seconds", "energy: energy_joules"):
        assert f"\n{meter} " in out
    assert "smallest detectable effect" in out


def test_what_is_missing_comes_with_reason_and_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "memray", None)
    found = {f.what: f for f in doctor.tried()}
    memory = found["memory: peak_heap_bytes"]
    assert memory.state == "unavailable"
    assert "pip install 'gnnperf[memory]'" in memory.detail
    assert "--gnnperf-energy estimate" in found["energy: estimate"].detail


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seconds", "0"], "--seconds 0: choose 0.1 to 3600"),
        (["--seconds", "nan"], "--seconds nan: choose 0.1 to 3600"),
        (["--threads", "0"], "--threads 0: name at least one thread"),
    ],
)
def test_options_out_of_range_are_refused(capsys, options, sentence):
    assert main(["doctor", *options]) == 2
    assert capsys.readouterr().err == f"gnnperf: error: {sentence}\n"


@pytest.mark.parametrize(
    ("governors", "state", "detail"),
    [
        ([], "note", "not shown here"),
        (["performance"] * 2, "ok", "performance"),
        (["powersave", "performance"], "note", "performance, powersave: the frequency follows"),
    ],
)
def test_governor(tmp_path, governors, state, detail):
    for number, name in enumerate(governors):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    finding = doctor.governor(tmp_path)
    assert finding.state == state
    assert finding.detail.startswith(detail)


class Clocks(SimpleNamespace):
    _fields = ("user", "system", "idle", "steal")


@pytest.mark.parametrize(
    ("busy", "steal", "states"),
    [(0.0, 0.0, ["ok"]), (5.0, 0.0, ["note"]), (5.0, 1.0, ["note", "note"])],
)
def test_other_load(monkeypatch, busy, steal, states):
    looks = iter([Clocks(user=1, system=1, idle=5, steal=0)])
    last = Clocks(user=1 + busy, system=1, idle=9, steal=steal)
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(looks, last))
    assert [f.state for f in doctor.load(seconds=0.05)] == states


def test_no_mallopt():
    found = {f.what: f for f in doctor.settings({})}
    assert found["allocator"].state == "note"
    assert found["threads"].detail.startswith("torch computes with")
