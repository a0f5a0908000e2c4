import re
from dataclasses import replace

import pytest

from gnnperf.records import measured, unavailable
from gnnperf.reports.closing import closing_report, study_of

from .study.made_up import case

READINGS = {
    "accuracy": [0.88, 0.89, 0.90],
    "accuracy_drop": [0.02, 0.02, 0.02],
    "stored_bytes": [measured(value, "bytes", "test") for value in (900, 1000, 1100)],
    "size_ratio": 2.0,
    "cpu_ratio": 1.0,
}


@pytest.mark.parametrize(
    ("recipe", "study"),
    [
        ("global@0", "dense"), ("layer@0.5+finetune", "pruning"), ("gradual@0.5", "pruning"),
        ("l2@0.1", "L2"), ("width@0.5+finetune", "width"), ("a2q@4", "quantization"),
        ("lottery@0.8:rounds=3", "lottery tickets"), ("mine@3", "others"),
        ("global@0.9+qat@int8", "pruning and quantization"), ("qat@int8+deploy=int8", "deployed"),
    ],
)  # fmt: skip
def test_studies(recipe, study):
    assert study_of(recipe) == study


def test_seeds_are_one_row_and_studies_have_their_own_columns():
    records = [
        *case("w-a", "global@0.5", READINGS),
        *case("w-a", "qat@int8", accuracy=0.7, mean_bits=8.0),
    ]
    pruning, quantization = closing_report(records, {}, {}).split("\n\n")
    title, head, _, row = pruning.splitlines()
    assert title == "pruning"
    cells = re.split(r" {2,}", row.strip())
    assert cells == [
        "w-a", "global@0.5", "3", "0.890 +- 0.010", "+0.020 +- 0.000", "2.00x +- 0.00x",
        "1.000 +- 0.000", "1.0 kB +- 100 B",
    ]  # fmt: skip
    assert "mean bits" not in head
    assert "mean bits" in quantization
    assert "stored" not in quantization


def test_what_several_tests_measured_is_one_row():
    records = case("w-a", "global@0.5", accuracy=0.9, seeds=[0])
    again = case("w-a", "global@0.5", accuracy=0.9, cpu_ratio=1.0, seeds=[0])
    report = closing_report([*records, *again], {}, {})
    assert len(report.splitlines()) == 4
    assert "CPU time / twin" in report


def test_no_line_is_wider_than_the_terminal():
    records = case("w-a", "global@0.5", READINGS)
    full = closing_report(records, {}, {})
    width = max(map(len, full.splitlines()))
    assert closing_report(records, {}, {}, width=width) == full
    narrow = closing_report(records, {}, {}, width=width - 1)
    assert "(left out for want of width: stored; -v shows all)" in narrow
    assert max(map(len, narrow.splitlines()[:-1])) < width
    assert "left out for want of width: recipe, n, score" in closing_report(
        records, {}, {}, width=1
    )


def test_all_rows():
    report = closing_report(case("w-a", "global@0.5", READINGS), {}, {}, width=10, all_rows=True)
    assert sum(line.startswith("w-a-global@0.5-seed") for line in report.splitlines()) == 3


@pytest.mark.parametrize(
    ("drop", "colour"), [(0.0101, "\x1b[31m"), (0.01, ""), (-0.01, ""), (-0.0101, "\x1b[32m")]
)
def test_worse_and_better_are_coloured_where_the_terminal_has_colours(drop, colour):
    records = case("w-a", "global@0.5", accuracy_drop=drop)
    assert "\x1b" not in closing_report(records, {}, {})
    report = closing_report(records, {}, {}, colours=True)
    assert f"{colour}{drop:+.3f} +- 0.000" in report
    assert ("\x1b" in report) == bool(colour)


def test_colours_take_no_width():
    records = case("w-a", "global@0.5", READINGS)
    plain = closing_report(records, {}, {}, width=70)
    coloured = closing_report(records, {}, {}, width=70, colours=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_what_is_unavailable_and_what_was_taken_from_before():
    records = case("w-a", "global@0.5", cpu_ratio=unavailable("ratio", "t", "switched off"))
    records = [replace(r, provenance={**r.provenance, "resumed": r.seed > 0}) for r in records]
    report = closing_report(records, {}, {})
    cells = re.split(r" {2,}", report.splitlines()[3].strip())
    assert cells[3:] == ["before, unknown when; 1 now", "unavailable"]
    assert report.endswith("unavailable: switched off (cpu_ratio)")


def test_other_tables_come_last():
    report = closing_report([], {}, {"layers": [{"layer": "a", "zeros": 3}]})
    assert [line.split()[0] for line in report.splitlines()] == ["layers", "layer", "-------", "a"]
