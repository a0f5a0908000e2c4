"""RAPL against a fake powercap tree, read directly and through pyRAPL."""

import builtins
import logging
import os
import sys
from types import SimpleNamespace

import pytest

from gnnperf.meters.energy import rapl
from gnnperf.meters.energy.rapl import RaplMeter

RANGE = 262_143_328_850


class Tree:
    """A powercap tree under a folder; `energies` holds every counter's file by the domain."""

    def __init__(self, root):
        self.root, self.files, self.packages = root, {}, 0

    def package(self, name, *, dram=None, energy=0):
        folder = self.root / "intel-rapl" / f"intel-rapl:{self.packages}"
        self._domain(folder, name, name, energy)
        self._domain(folder / f"intel-rapl:{self.packages}:0", "core", f"{name}-core", 5)
        if dram is not None:
            part = folder / f"intel-rapl:{self.packages}:1"
            self._domain(part, "dram", f"{name}-dram", dram)
        self.packages += 1
        return self

    def _domain(self, folder, name, key, energy):
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
        self.files[key] = folder / "energy_uj"
        self.files[key].write_text(f"{energy}\n")

    def spend(self, **microjoules):
        for name, amount in microjoules.items():
            file = self.files[name.replace("_", "-")]
            file.write_text(f"{(int(file.read_text()) + amount) % RANGE}\n")


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture(params=["files", "pyRAPL"])
def reader(request, tree, monkeypatch):
    """Without pyRAPL, or with pyRAPL looking at the tree and as many sockets."""
    if request.param == "files":
        monkeypatch.setitem(sys.modules, "pyRAPL", None)
        return request.param
    pyrapl = pytest.importorskip("pyRAPL")

    def there(path):
        return path.replace("/sys/class/powercap", str(tree.root))

    def sockets():
        names = [f.read_text() for f in tree.root.glob("intel-rapl/intel-rapl:*/name")]
        return sorted({int(n.split("-")[1]) for n in names if n.startswith("package")})

    api = pyrapl.device_api
    exists = SimpleNamespace(exists=lambda path: os.path.exists(there(path)))
    monkeypatch.setattr(api, "open", lambda p, *m: builtins.open(there(p), *m), raising=False)  # noqa: SIM115
    monkeypatch.setattr(api, "os", SimpleNamespace(path=exists))
    monkeypatch.setattr(api, "get_socket_ids", sockets)
    return request.param


def measure(tree, calls=1, **microjoules):
    """One window in which the domains spend so much; idle power is none."""
    meter = RaplMeter(tree.root, idle_seconds=0)
    with meter:
        meter._calls = calls
        tree.spend(**microjoules)
    return meter.readings


def test_package_and_dram_to_the_microjoule(tree, reader):
    tree.package("package-0", energy=17, dram=23)
    readings = measure(tree, package_0=1_234_567, package_0_dram=7_654_321)
    assert readings["energy_joules"].value == pytest.approx(8.888888, abs=1e-9)
    assert readings["energy_package-0_joules"].value == pytest.approx(1.234567, abs=1e-9)
    assert readings["energy_package-0-dram_joules"].value == pytest.approx(7.654321, abs=1e-9)
    assert readings["energy_joules"].status == "measured"
    by = "pyRAPL" if reader == "pyRAPL" else "powercap files"
    assert readings["energy_joules"].source == f"RAPL through {by}, package-0 + package-0-dram"


def test_joules_are_for_one_call(tree, reader):
    tree.package("package-0")
    reading = measure(tree, calls=4, package_0=10_000_000)["energy_joules"]
    assert (reading.value, reading.calls) == (2.5, 4)


def test_a_counter_that_wraps(tree, reader):
    tree.package("package-0", energy=RANGE - 500_000)
    assert measure(tree, package_0=2_000_000)["energy_joules"].value == pytest.approx(2)


def test_two_sockets_that_wrap(tree, reader):
    tree.package("package-0", energy=RANGE - 1, dram=RANGE - 1)
    tree.package("package-1", energy=RANGE - 2, dram=0)
    spent = {"package_0": 1_000_000, "package_1": 2_000_000}
    spent |= {"package_0_dram": 300_000, "package_1_dram": 400_000}
    readings = measure(tree, **spent)
    assert readings["energy_joules"].value == pytest.approx(3.7, abs=1e-6)
    for name, microjoules in spent.items():
        domain = name.replace("_", "-")
        joules = readings[f"energy_{domain}_joules"].value
        assert joules == pytest.approx(microjoules / 1e6, abs=1e-6)


def test_two_dies_are_two_domains(tree, reader):
    tree.package("package-0-die-0").package("package-0-die-1")
    reading = measure(tree, package_0_die_0=1_000_000, package_0_die_1=500_000)["energy_joules"]
    assert reading.value == pytest.approx(1.5)
    assert reading.source == "RAPL through powercap files, package-0-die-0 + package-0-die-1"


def test_dram_on_one_socket_alone(tree, reader):
    tree.package("package-0", dram=0).package("package-1")
    spent = {"package_0": 1_000_000, "package_1": 1_000_000, "package_0_dram": 500_000}
    assert measure(tree, **spent)["energy_joules"].value == pytest.approx(2.5)


def test_no_dram(tree, reader):
    tree.package("package-0")
    readings = measure(tree, package_0=1_000_000)
    assert readings["energy_joules"].source.endswith(", package-0")
    assert set(readings) == {"energy_joules", "energy_above_idle_joules"}


def test_the_whole_board_is_no_package(tree, reader):
    tree.package("package-0").package("psys")
    assert measure(tree, package_0=1_000_000, psys=9_000_000)["energy_joules"].value == 1


def test_idle_power_is_subtracted_as_a_second_value(tree, monkeypatch):
    tree.package("package-0")
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds
        tree.spend(package_0=int(3e6 * seconds))

    clock = SimpleNamespace(perf_counter=lambda: now[0], sleep=sleep)
    monkeypatch.setattr("gnnperf.meters.energy.counter.time", clock)
    meter = RaplMeter(tree.root)
    with meter:
        now[0] += 2
        tree.spend(package_0=10_000_000)
    assert meter.readings["energy_joules"].value == pytest.approx(10)
    assert meter.readings["energy_above_idle_joules"].value == pytest.approx(10 - 2 * 3)
    assert "less 3 W of idle power" in meter.readings["energy_above_idle_joules"].source


def reason(readings):
    assert {r.status for r in readings.values()} == {"unavailable"}
    return readings["energy_joules"].reason


def test_no_tree(tmp_path):
    meter = RaplMeter(tmp_path / "nowhere")
    called = []
    assert meter.measure(lambda: called.append(1)).status == "unavailable"
    assert len(called) == 1
    assert "no RAPL counters under" in reason(meter.readings)
    assert "modprobe intel_rapl_msr" in reason(meter.readings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tree, reader):
    tree.package("package-0").files["package-0"].chmod(0)
    assert "chmod a+r" in reason(measure(tree))


def test_a_file_that_may_not_be_read(tree, monkeypatch):
    tree.package("package-0")
    read = rapl.Path.read_text

    def guarded(path):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(rapl.Path, "read_text", guarded)
    assert "energy_uj may not be read by this user" in reason(measure(tree))
    assert "as root: chmod a+r" in reason(measure(tree))


def test_a_missing_file(tree, reader):
    tree.package("package-0")
    tree.files["package-0"].unlink()
    assert "energy_uj cannot be read (No such file or directory)" in reason(measure(tree))


def test_a_file_without_a_number(tree, reader):
    tree.package("package-0").files["package-0"].write_text("<unsupported>\n")
    assert "holds '<unsupported>', no number" in reason(measure(tree))


def test_a_counter_that_stands_still(tree, reader):
    tree.package("package-0", dram=4)
    assert "(package-0, package-0-dram) stood still" in reason(measure(tree))


def test_files_that_vanish_in_the_middle(tree, reader):
    tree.package("package-0")
    meter = RaplMeter(tree.root, idle_seconds=0)
    with meter:
        tree.files["package-0"].unlink()
    assert "went away while measuring" in reason(meter.readings)
    tree.files["package-0"].write_text("1\n")
    with meter:
        tree.spend(package_0=1_000_000)
    assert meter.reading.value == pytest.approx(1)


def test_importing_pyrapl_leaves_the_root_logger_alone(tree, reader, monkeypatch):
    tree.package("package-0")
    handlers = logging.root.handlers[:]
    for name in [n for n in sys.modules if n.startswith("pyRAPL.")]:
        monkeypatch.delitem(sys.modules, name)
    if reader == "pyRAPL":
        monkeypatch.delitem(sys.modules, "pyRAPL")
    measure(tree, package_0=1)
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == logging.NOTSET
