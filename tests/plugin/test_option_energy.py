"""`--gnnperf-energy`, `--gnnperf-core-watts`, and the fixtures `energy`, `cpu`, `memory`."""

import signal
import sys

import pytest

from gnnperf.meters.energy.rapl import RaplMeter

TEST = """
def work():
    return [0] * 100_000

def test_energy(energy):
    print({name: reading.status for name, reading in energy(work, work).items()})
"""


@pytest.fixture(autouse=True)
def _no_counters(monkeypatch, tmp_path):
    """No machine's own counters, and windows shorter than real ones."""
    monkeypatch.setattr(RaplMeter.__init__, "__defaults__", (tmp_path, 0.0))
    monkeypatch.setattr("gnnperf.meters.base.Meter.window_seconds", 0.05)
    from gnnperf.meters.registry import meters

    meters.cache_clear()
    yield
    meters.cache_clear()


@pytest.fixture
def run(pytester):
    pytester.makepyfile(TEST)
    return lambda *options: pytester.runpytest("-s", "--gnnperf-device=cpu", *options)


def test_auto_estimates_nothing(run):
    result = run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*'energy_joules': 'unavailable'*'twin_energy_joules': 'unavailable'*",
            "test_energy *energy_joules *unavailable *no RAPL counters under *; run on bare *",
        ]
    )
    result.stdout.no_fnmatch_line("*estimated*")


def test_an_estimate_stands_beside_and_is_labelled(run):
    result = run("--gnnperf-energy=estimate", "--gnnperf-core-watts=7")
    result.stdout.fnmatch_lines(
        [
            "*'energy_joules': 'unavailable'*'energy_estimate_joules': 'estimated'*",
            "test_energy *energy_estimate_joules *J *an estimate as asked for, from a stated 7 W *",
        ]
    )


def test_off(run):
    result = run("--gnnperf-energy=off")
    result.stdout.fnmatch_lines(["*unavailable *energy is switched off; leave out *"])


@pytest.mark.parametrize(
    "watts", ["0", "-3", "inf", "nan", "1000.1", "1e308", "ten", "", "\u0663", "9" * 5000]
)
def test_no_power_is_refused(run, watts):
    result = run(f"--gnnperf-core-watts={watts}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    sentence = "ERROR: --gnnperf-core-watts '*': name a power above zero, 1000 watts at most"
    result.stderr.fnmatch_lines([sentence])


@pytest.mark.parametrize("watts", ["1e-9", "1000"])
def test_a_power_is_taken(run, watts):
    assert run(f"--gnnperf-core-watts={watts}", "--collect-only").ret == pytest.ExitCode.OK


def test_an_unknown_mode_is_refused(run):
    result = run("--gnnperf-energy=guess")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--gnnperf-energy: invalid choice: 'guess'*"])


ALL_METERS = """
from gnnperf.recipes import compress

def test_it(trained, measure):
    record = measure(compress(trained("cora_node-spline"), "global@0.5"), {meters})
    print(sorted(record.readings))
"""


def test_measure_takes_the_meters_asked_for_beside_the_twin(project, pytester):
    meters = ("memory", "cpu", "energy")
    pytester.makepyfile(test_all=ALL_METERS.format(meters=meters))
    result = project("test_all.py", "-s", "-v", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    names = ["inference_cpu_ratio", "inference_cpu_seconds", "load_peak_heap_bytes"]
    names += ["peak_heap_bytes", "peak_heap_ratio", "twin_cpu_utilisation", "twin_peak_heap_bytes"]
    result.stdout.fnmatch_lines(["*" + "*".join(f"'{name}'" for name in names) + "*"])
    result.stdout.fnmatch_lines(["case *heap *heap / twin *load heap *CPU *cores *energy *"])
    assert '"peak_heap_bytes"' in (pytester.path / "out.json").read_text()


def test_unknown_meters_are_refused(project, pytester):
    pytester.makepyfile(test_all=ALL_METERS.format(meters=("speed",)))
    result = project("test_all.py")
    result.stdout.fnmatch_lines(["unknown meters ?'speed'?; there are *latency*"])


def test_a_meter_that_fails_in_the_middle_and_the_case_goes_on(project, pytester, monkeypatch):
    def stop(self, calls, window_seconds):
        raise OSError("the clock fell down")

    monkeypatch.setattr("gnnperf.meters.cpu.CpuMeter.stop", stop)
    pytester.makepyfile(test_all=ALL_METERS.format(meters=("cpu", "cost")))
    result = project("test_all.py", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*'macs'*",
            "unavailable: OSError: the clock fell down (inference_cpu_seconds, *",
        ]
    )


FIXTURES = """
def test_it(cpu, memory):
    assert 0 < cpu(lambda: sum(range(1000)))["inference_cpu_seconds"].value < 0.01
    readings = memory(lambda: bytearray(10_000_000), lambda: bytearray(5_000_000))
    assert abs(readings["peak_heap_ratio"].value - 2) < 0.02
"""


def test_cpu_and_memory_of_any_callable(pytester):
    pytest.importorskip("memray")
    pytester.makepyfile(FIXTURES)
    result = pytester.runpytest("--gnnperf-device=cpu")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_it *peak_heap_bytes *10.0 MB *memray peak heap"])


def test_under_xdist_they_are_refused(pytester):
    pytester.makepyfile(FIXTURES)
    result = pytester.runpytest("-n1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["measuring under pytest-xdist is refused: *"])


INTERRUPTED = """
import os, signal

calls = []

def work():
    calls.append(bytearray(1_000_000))
    if len(calls) == 2:
        open("tracking", "w").write(" ".join(os.listdir("temporary")))
        os.kill(os.getpid(), signal.SIGINT)

def test_memory(memory):
    memory(work)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_an_interrupt_leaves_nothing(pytester, monkeypatch):
    pytest.importorskip("memray")
    pytester.makepyfile(INTERRUPTED)
    folder = pytester.mkdir("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    # A shell script's background jobs are born deaf to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = pytester.inline_run("--gnnperf-device=cpu", no_reraise_ctrlc=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "gnnperf-memray-" in (pytester.path / "tracking").read_text()
    assert not list(folder.glob("gnnperf-memray-*"))
