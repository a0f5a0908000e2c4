import json
import math
import threading
import time
from dataclasses import replace

import pytest
import torch

from gnnperf.compression import Compressed
from gnnperf.meters.registry import MeterOptions
from gnnperf.recipes import compress
from gnnperf.records import Record, measured
from gnnperf.study import results
from gnnperf.study.results import Result, finished, record_decides
from gnnperf.system.files import FileError
from gnnperf.system.machine import describe_machine
from gnnperf.system.store import read_checked, write_checked

DECIDES = {
    "workload": "a-b",
    "recipe": "global@0.5/x",
    "seed": 0,
    "meters": ["scores"],
    "gnnperf's sources": "0" * 64,
    "versions": {"torch": "2.6"},
}


def result(value=0.5):
    readings = {"accuracy": measured(value, "fraction", "test")}
    return Result(
        Record("a-b", "global@0.5/x", 0, "accuracy", readings, {}, {}, {}, {}, "a", "real"),
        (0.1, 0.2),
    )


def ask(folder, decides=DECIDES, measure=result, resume=True, announced=None, notes=None):
    return finished(
        folder,
        decides,
        measure,
        resume=resume,
        announce=([] if announced is None else announced).append,
        note=([] if notes is None else notes).append,
    )


def test_what_was_stored_comes_back(tmp_path):
    assert ask(tmp_path) == (result(), False)
    assert ask(tmp_path, measure=lambda: pytest.fail("measured")) == (result(), True)


def test_without_resume_it_is_measured_and_replaced(tmp_path):
    ask(tmp_path)
    assert ask(tmp_path, measure=lambda: result(0.7), resume=False) == (result(0.7), False)
    assert ask(tmp_path) == (result(0.7), True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"versions": {"torch": "2.7"}}, "torch 2.6 -> 2.7"),
        ({"gnnperf's sources": "1" * 64}, "gnnperf's sources changed"),
        ({"versions": {"torch": "2.6", "numpy": "2"}}, "numpy none -> 2"),
    ],
)
def test_another_key_gives_its_reason(tmp_path, change, reason):
    notes = []
    ask(tmp_path)
    assert ask(tmp_path, DECIDES | change, lambda: result(0.7), notes=notes)[0] == result(0.7)
    assert notes == [f"not resumed, measured again, as {reason}"]
    assert ask(tmp_path) == (result(), True)


@pytest.mark.parametrize("change", [{"seed": 1}, {"recipe": "global@0.6"}, {"meters": []}])
def test_another_case_is_no_reason(tmp_path, change):
    notes = []
    ask(tmp_path)
    ask(tmp_path, DECIDES | change, notes=notes)
    assert notes == []


def test_an_interrupted_measurement_leaves_nothing(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, measure=interrupted)
    assert not list(tmp_path.rglob("*.result"))
    assert ask(tmp_path) == (result(), False)


@pytest.mark.parametrize("content", [b"", b"garbage", b"0\n{}"])
def test_a_damaged_file_is_measured_again(tmp_path, content):
    ask(tmp_path)
    (path,) = tmp_path.rglob("*.result")
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged and is measured again"):
        assert ask(tmp_path) == (result(), False)
    assert json.loads(bytes(read_checked(path)))["record"]["recipe"] == "global@0.5/x"


@pytest.mark.parametrize(
    "lie",
    [
        {"round_seconds": []},
        {"round_seconds": ["x"]},
        {"round_seconds": [-1.0]},
        {"round_seconds": [math.inf]},
        {"round_seconds": 3},
        {"decides": {}},
        {"decides": 5},
        {"record": {}},
    ],
    ids=str,
)
def test_a_sealed_lie_is_measured_again(tmp_path, lie):
    ask(tmp_path)
    (path,) = tmp_path.rglob("*.result")
    content = json.loads(bytes(read_checked(path)))
    write_checked(path, json.dumps(content | lie).encode())
    with pytest.warns(UserWarning, match="is damaged and is measured again"):
        assert ask(tmp_path) == (result(), False)


def test_another_recipes_record_is_not_taken(tmp_path):
    ask(tmp_path)
    (path,) = tmp_path.rglob("*.result")
    content = json.loads(bytes(read_checked(path)))
    content["record"]["recipe"] = "global@0.9"
    write_checked(path, json.dumps(content).encode())
    with pytest.warns(UserWarning, match="is damaged and is measured again"):
        assert ask(tmp_path) == (result(), False)


def test_what_cannot_be_kept_is_a_result_all_the_same(tmp_path, monkeypatch):
    def full(path, content):
        raise FileError("No space left on device")

    notes = []
    monkeypatch.setattr(results, "write_checked", full)
    assert ask(tmp_path, notes=notes) == (result(), False)
    assert "No space left on device" in notes[0]


def test_two_runs_measure_one_at_a_time_and_say_what_they_wait_for(tmp_path):
    measuring, announced, most = [], [], []

    def measure():
        measuring.append(1)
        most.append(len(measuring))
        time.sleep(0.3)
        measuring.pop()
        return result()

    runs = [
        threading.Thread(
            target=ask, args=(tmp_path, DECIDES | {"seed": seed}, measure, False, announced)
        )
        for seed in (0, 1)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert most == [1, 1]
    assert announced == ["waits for another run that measures on this machine"]
    assert len(list(tmp_path.rglob("*.result"))) == 2


def test_what_decides_is_plain_and_follows_the_model(spline_base):
    def decides(compressed):
        return record_decides(compressed, ["scores"], MeterOptions(gpus=()), {})

    compressed = compress(spline_base, "global@0.5")
    assert decides(compressed) == decides(compress(spline_base, "global@0.5"))
    assert json.loads(json.dumps(decides(compressed))) == decides(compressed)
    assert decides(compressed)["machine"] == describe_machine(torch.device("cpu"))
    changed: Compressed = compress(spline_base, "global@0.5")
    with torch.no_grad():
        changed.model.conv1.bias.add_(1e-6)
    other = [changed, replace(compressed, readings={"x": measured(1, "count", "recipe")})]
    for one in other:
        differences = {k for k, v in decides(one).items() if v != decides(compressed)[k]}
        assert differences == {"the compressed model"}
