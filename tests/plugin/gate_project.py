"""A project that has accepted its one case, from a single measurement taken five times over."""

import json

from gnnperf.gates.acceptance import accepted
from gnnperf.gates.baselines import write_cases
from gnnperf.records import from_json

TEST = "test_project.py::test_pruning[cora_node~synthetic-spline-global@0.5-seed0]"
_taken = {}


def taken():
    """The measured record."""
    return from_json(_taken[TEST])


def accept(project, pytester, **changed):
    """Writes baselines/; `changed` readings are accepted with other values than measured."""
    if not _taken:
        # In the order of tests only the first measures.
        project("--gnnperf-json=taken.json")
        _taken.update(json.loads((pytester.path / "taken.json").read_text())["records"])
    content = json.loads(json.dumps(_taken[TEST]))
    for name, value in {"cpu_ratio": 1.0, **changed}.items():
        content["readings"][name]["value"] = value
    case = accepted(TEST, [from_json(content)] * 5, None, "smoke")
    write_cases(pytester.path / "baselines", {TEST: case})
    return case
