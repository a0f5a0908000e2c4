from dataclasses import replace

import pytest

from gnnperf.records import Reading, Record, measured, unavailable
from gnnperf.reports.closing import closing_report
from gnnperf.reports.table import (
    case_table,
    comparison_table,
    coverage_warnings,
    footnotes,
    human_bytes,
    human_seconds,
    kept_epoch,
    meter_rows,
    with_interval,
)

RECORD = Record(
    "cora_node-spline", "global@0.9", 0, "accuracy",
    {
        "accuracy": measured(0.892, "fraction", ""),
        "accuracy_drop": measured(-0.002, "fraction", ""),
        "majority": measured(0.328, "fraction", ""),
        "covered": measured(0.9, "fraction", ""),
        "stored_bytes": measured(24_480, "bytes", ""),
        "size_ratio": measured(11.41, "ratio", ""),
        "cpu_ratio": unavailable("ratio", "", "measuring is switched off"),
        "cpu_seconds": unavailable("seconds", "", "measuring is switched off"),
    },
    {}, {}, {}, {}, "cora_node", "real",
)  # fmt: skip


def test_a_row_a_case():
    row = case_table([RECORD]).splitlines()[-1].split()
    assert row == [
        "cora_node-spline-global@0.9-seed0", "0.892", "accuracy", "-0.002", "0.328",
        "0.900", "24.5", "kB", "11.41x", "unavailable",
    ]  # fmt: skip


def test_the_epoch_that_a_training_kept_stands_in_the_table():
    def trained(best, **finetune):
        epochs = {
            "training_best_epoch": measured(best, "count", ""),
            "training_epochs": measured(50, "count", ""),
        }
        return replace(RECORD, readings={**RECORD.readings, **epochs}, finetune=finetune)

    records = [
        RECORD,
        trained(12),
        trained(0, kept="start"),
        trained(0, kept="calibration sufficed"),
    ]
    head, _, *rows = case_table(records).splitlines()
    assert head.rstrip().endswith("epoch kept")
    assert [row[head.index("epoch kept") :].strip() for row in rows] == [
        "-", "12 of 50", "0 of 50, start", "0 of 50, calibration sufficed",
    ]  # fmt: skip
    assert "epoch kept" not in case_table([RECORD])


def test_of_numbers_the_training_mean_has_a_column_of_its_own():
    readings = dict(RECORD.readings)
    del readings["majority"]
    readings["train_mean"] = measured(1.25, "target", "")
    head, _, classes, numbers = case_table(
        [RECORD, replace(RECORD, readings=readings)]
    ).splitlines()
    place, end = head.index("majority"), head.index("covered")
    assert (classes[place:end].strip(), numbers[place:end].strip()) == ("0.328", "-")
    place = head.index("train mean")
    assert (classes[place:].strip(), numbers[place:].strip()) == ("-", "1.25")
    assert "train mean" not in case_table([RECORD])


def covering(share, **left):
    covered = {"covered": measured(share, "fraction", "")}
    return replace(RECORD, readings={**RECORD.readings, **covered}, uncovered=left)


@pytest.mark.parametrize(("share", "lines"), [(0.8999, 1), (0.9, 0), (1.0, 0)])
def test_a_case_that_covers_too_little_is_warned_of_once(share, lines):
    report = closing_report([covering(share), replace(covering(1.0), seed=1)], {}, {})
    warnings = [line for line in report.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == lines


def test_a_warning_names_what_was_left_out_and_why():
    left = {f"{name}.weight": "is used past its forward" for name in "abcde"}
    assert coverage_warnings([covering(0.25, **left, emb="is looked up")]) == [
        "warning: cora_node-spline-global@0.9-seed0 covers 0.250 of its weights; left out: "
        "a.weight, b.weight, c.weight, d.weight and 1 more (is used past its forward); "
        "emb (is looked up)"
    ]
    assert coverage_warnings([RECORD, replace(RECORD, readings={})]) == []


def test_each_reason_once():
    assert footnotes([RECORD.readings, RECORD.readings]) == [
        "unavailable: measuring is switched off (cpu_ratio, cpu_seconds)"
    ]


def test_nothing_to_show():
    assert case_table([]) == comparison_table({}) == ""


def test_each_training_of_a_chain_names_the_epoch_that_it_kept():
    steps = [
        {"training": {"best_epoch": 12, "epochs": 50}, "kept": "epoch 12"},
        {"training": None, "kept": ""},
        {"training": {"best_epoch": 0, "epochs": 15}, "kept": "calibration sufficed"},
    ]
    chain = replace(RECORD, steps=tuple(steps))
    assert kept_epoch(chain) == "12 of 50, then 0 of 15 (calibration sufficed)"


def test_resources_have_columns_only_where_some_record_has_them():
    energy = {
        "energy_joules": measured(0.00125, "joules", ""),
        "energy_estimate_joules": Reading(2.0, "joules", "estimated", "", "as asked for"),
        "macs": measured(1_250_000, "count", ""),
        "peak_heap_bytes": unavailable("bytes", "", "no memray"),
    }
    metered = replace(RECORD, readings={**RECORD.readings, **energy})
    head, _, first, second = case_table([RECORD, metered]).splitlines()
    assert head.split("twin")[1].split() == ["MACs", "heap", "energy", "energy,", "estimated"]
    assert first.split()[-4:] == ["-", "-", "-", "-"]
    assert second.split()[-7:] == ["1.25", "M", "unavailable", "1.25", "mJ", "2", "J"]
    assert "estimated: as asked for (energy_estimate_joules)" in footnotes([metered.readings])


def test_readings_of_a_tests_own_callables():
    readings = {
        "energy_joules": measured(-0.002, "joules", "RAPL"),
        "peak_heap_bytes": unavailable("bytes", "memray", "no memray"),
    }
    first, second = meter_rows("test_it", readings)
    assert list(first.values()) == ["test_it", "energy_joules", "-2 mJ", "RAPL"]
    assert list(second.values())[2:] == ["unavailable", "no memray"]


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999 B"), (1000, "1.0 kB"), (2.5e6, "2.5 MB"), (3e10, "30.0 GB")]
)
def test_bytes_for_people(value, text):
    assert human_bytes(measured(value, "bytes", "")) == text


@pytest.mark.parametrize(("value", "text"), [(2.0, "2 s"), (0.00125, "1.25 ms"), (4e-7, "400 ns")])
def test_seconds_for_people(value, text):
    assert human_seconds(measured(value, "seconds", "")) == text


def test_the_interval_stands_beside_the_ratio():
    assert with_interval(measured(1.0, "ratio", "", 0.98, 1.03)) == "1.000 [0.980, 1.030]"
