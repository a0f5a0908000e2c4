"""Readings and verdicts in JUnit XML."""

from xml.etree import ElementTree

import pytest

from gnnperf.plugin.properties import reading_properties
from gnnperf.records import Reading, Record, measured, unavailable

from .gate_project import accept


def properties(pytester):
    (case,) = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    return {p.get("name"): p.get("value") for p in case.iter("property")}


def test_readings_stand_there_by_name(project, pytester):
    source = (pytester.path / "test_project.py").read_text()
    called = source.replace("trained, measure)", "trained, measure, record_property)")
    body = "    record_property('accuracy', 'mine')\n    record_property('x', 1)\n    record ="
    pytester.makepyfile(test_project=called.replace("    record =", body))
    project("--junitxml=junit.xml", "--benchmark-disable").assert_outcomes(passed=1)
    found = properties(pytester)
    assert (found["nonzeros"], found["x"]) == ("34583", "1")
    assert float(found["size_ratio"]) > 2
    assert found["cpu_ratio"].startswith("unavailable: measuring is switched off")
    assert "verdict" not in found
    assert 'name="accuracy" value="mine"' in (pytester.path / "junit.xml").read_text()


def test_so_do_verdicts(project, pytester):
    # What a loaded machine does to a single run is no matter here.
    (pytester.path / "pyproject.toml").write_text("[tool.gnnperf]\nlatency = '100%'\n")
    accept(project, pytester, nonzeros=34_582)
    project("--gnnperf-gate", "--junitxml=junit.xml").assert_outcomes(failed=1)
    found = properties(pytester)
    assert found["verdict"] == "regressed"
    assert "nonzeros grew from 34582 to 34583" in found["verdict_nonzeros"]
    assert "verdict_parameters" not in found


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        (measured(0.5, "ratio", "s"), 0.5),
        (Reading(0.5, "joules", "estimated", "s", "from watts"), "0.5 estimated: from watts"),
        (unavailable("joules", "s", "no counter"), "unavailable: no counter"),
    ],
)
def test_what_is_not_measured_has_its_reason(reading, value):
    record = Record("w", "r", 0, "accuracy", {"name": reading}, {}, {}, {}, {}, "w", "real")
    assert list(reading_properties(record)) == [("name", value)]
