"""`--gnnperf-json`."""

import json

from gnnperf.records import from_json

from .gate_project import TEST, accept


def test_verdicts_and_records_for_machines(project, pytester):
    accept(project, pytester, nonzeros=34_582)
    project("--gnnperf-gate", "--gnnperf-json=gate.json").assert_outcomes(failed=1)
    content = json.loads((pytester.path / "gate.json").read_text())
    assert content["mode"] == "gate"
    assert content["counts"] == {"regressed": 1}
    (case,) = content["cases"]
    assert case["test"] == TEST
    (finding,) = [f for f in case["findings"] if f["metric"] == "nonzeros"]
    assert (finding["before"], finding["now"], finding["verdict"]) == (34_582, 34_583, "regressed")
    assert from_json(content["records"][TEST]).value("nonzeros") == 34_583
