import json
from dataclasses import replace

import pytest

from gnnperf.records import (
    Layer,
    Reading,
    Record,
    RecordError,
    from_json,
    measured,
    to_json,
    unavailable,
)


@pytest.fixture
def record():
    return Record(
        workload="cora_node~synthetic-spline",
        recipe="global@0.5",
        seed=3,
        metric="accuracy",
        readings={
            "accuracy": measured(0.87, "fraction", "test part"),
            "cpu_ratio": measured(1.0, "ratio", "paired", 0.9, 1.1),
            "energy_joules": unavailable("joules", "RAPL", "no such file"),
            "cpu": measured(0.1, "seconds", "clock", window_seconds=1.0, calls=10),
        },
        layers={"conv1.weight": Layer(10, 5)},
        coverage={"conv1.weight": (5, 10)},
        uncovered={"conv2.weight": "reads raw features"},
        finetune={},
        provenance={"versions": {"torch": "2.13"}},
        dataset="cora_node",
        source="synthetic",
    )


def test_comes_back_from_json(record):
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


def test_readings_from_before_windows_and_calls_are_still_read(record):
    content = to_json(record)
    for reading in content["readings"].values():
        del reading["window_seconds"], reading["calls"]
    assert from_json(content).readings["cpu"].calls is None


def test_the_case_is_named_as_the_test_is(record):
    assert record.case == to_json(record)["case"] == "cora_node~synthetic-spline-global@0.5-seed3"


def test_values_are_looked_up_or_explained(record):
    assert record.value("accuracy") == 0.87
    with pytest.raises(RecordError, match="energy_joules is unavailable: no such file"):
        record.value("energy_joules")
    with pytest.raises(RecordError, match=r"no reading 'speed'; there are \['accuracy'"):
        record.value("speed")


READING = {"value": 1.0, "unit": "s", "status": "measured", "source": "clock"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 99}, "schema 99, and this gnnperf reads 2"),
        ({"schema": 1}, "schema 1, and this gnnperf reads 2"),
        ({"schema": None}, "schema None, and"),
        ({"schema": 2.0}, "schema 2.0, and"),
        ({"workload": 5}, "(workload is 5, not text)"),
        ({"workload": None}, "(workload is None, not text)"),
        ({"seed": "seven"}, "(seed is 'seven', not a whole number)"),
        ({"seed": True}, "(seed is True, not a whole number)"),
        ({"seed": 1.0}, "(seed is 1.0, not a whole number)"),
        ({"seed": 10**400}, "not a whole number)"),
        ({"higher_is_better": 1}, "(higher_is_better is 1, not true or false)"),
        ({"readings": None}, "(readings is None, not an object with names)"),
        ({"readings": [READING]}, "not an object with names)"),
        ({"readings": {"a": 5}}, "(readings['a'] is 5, not an object with names)"),
        ({"readings": {"a": {"value": 1}}}, "(readings['a'] has no 'unit')"),
        ({"readings": {"a": {**READING, "x": 1}}}, "(readings['a'] has the unknown 'x')"),
        (
            {"readings": {"a": {**READING, "status": "banana"}}},
            "(readings['a'].status is 'banana', not measured or estimated or unavailable)",
        ),
        ({"readings": {"a": {**READING, "value": "1"}}}, "value is '1', not a number)"),
        ({"readings": {"a": {**READING, "value": True}}}, "value is True, not a number)"),
        ({"readings": {"a": {**READING, "value": float("nan")}}}, "value is nan, not a number)"),
        ({"readings": {"a": {**READING, "high": float("inf")}}}, "high is inf, not a number)"),
        ({"readings": {"a": {**READING, "value": 10**400}}}, "00..., not a number)"),
        ({"readings": {"a": {**READING, "value": None}}}, "cannot have the value None)"),
        ({"readings": {"a": {**READING, "status": "estimated"}}}, "needs its reason)"),
        ({"readings": {"a": {**READING, "switched_off": True}}}, "was not switched off)"),
        ({"layers": {"a": {"parameters": 1}}}, "(layers['a'] has no 'nonzeros')"),
        ({"coverage": {"a": [1]}}, "(coverage['a'] is [1], not a list of 2)"),
        ({"uncovered": {"a": 1}}, "(uncovered['a'] is 1, not text)"),
        ({"coverage": {"a": "12"}}, "(coverage['a'] is '12', not a list)"),
        ({"coverage": {"a": [1, "b"]}}, "(coverage['a'] is 'b', not a whole number)"),
        ({"finetune": []}, "(finetune is [], not an object with names)"),
        ({"provenance": {"cpu": "\ud800"}}, r"(it holds '\ud800', which is no character)"),
        ({"unknown": 1}, "(has the unknown 'unknown')"),
    ],
)
def test_what_is_no_record_is_refused_in_a_sentence_that_names_the_field(record, change, sentence):
    with pytest.raises(RecordError) as caught:
        from_json({**to_json(record), **change})
    assert sentence in str(caught.value)
    assert str(caught.value).endswith("; measure the case again")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("field", ["workload", "seed", "readings", "dataset", "source"])
def test_a_record_without_one_of_its_fields_is_refused(record, field):
    content = to_json(record)
    del content[field]
    with pytest.raises(RecordError, match=rf"a damaged record \(has no '{field}'\)"):
        from_json(content)


@pytest.mark.parametrize("content", [None, 5, "a", []])
def test_what_is_no_object_is_no_record(content):
    with pytest.raises(RecordError, match="is no record; measure the case again"):
        from_json(content)


def test_whole_numbers_stay_such(record):
    content = to_json(replace(record, readings={"n": measured(7, "count", "counted")}))
    assert json.dumps(from_json(content).readings["n"].value) == "7"


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        (None, "measured", ""),
        (1.0, "unavailable", "broken"),
        (None, "unavailable", ""),
        (1.0, "estimated", ""),
        (float("nan"), "measured", ""),
        (float("inf"), "measured", ""),
    ],
)
def test_a_reading_is_measured_or_says_why_not(value, status, reason):
    with pytest.raises(ValueError, match="reading"):
        Reading(value, "seconds", status, "clock", reason)
