from dataclasses import replace

import pytest

from gnnperf.gates.acceptance import accepted, changes, scattered, unsettled
from gnnperf.gates.baselines import BaselineError

from .records import CLASS, TEST, baseline, record

HERE = "CPU X, AVX2, 1 thread, torch 2.13"


def test_what_did_not_change_stays_to_the_letter():
    old = baseline()
    assert not unsettled(record(ratio=1.01), old)
    new = accepted(TEST, [record(ratio=1.01, peak_heap_bytes=10_050)], old, "smoke")
    assert new == old
    assert list(changes(old, new)) == []


def test_a_ratio_that_left_its_baseline_needs_five_processes():
    old = baseline()
    assert unsettled(record(ratio=1.2), old)
    with pytest.raises(BaselineError, match="cpu_ratio was measured in 1 of 5 processes"):
        accepted(TEST, [record(ratio=1.2)], old, "smoke")
    new = accepted(TEST, [record(ratio=1.2)] * 5, old, "quick")
    assert new.machines[HERE].paired["cpu_ratio"].median == 1.2
    assert new.presets == ("quick", "smoke")


def test_other_machines_keep_theirs_until_the_model_is_another():
    old = baseline()
    other = {**CLASS, "device_name": "CPU Y"}
    both = accepted(TEST, [record(machine=other)] * 5, old, "smoke")
    assert len(both.machines) == 2
    one = accepted(TEST, [record(machine=other, nonzeros=49)] * 5, both, "smoke")
    assert list(one.machines) == [HERE.replace("CPU X", "CPU Y")]


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([record(missing=["cpu_ratio"])] * 5, r"cpu_ratio is unavailable \(no counter here\)"),
        ([record(missing=["energy_ratio"])] * 5, "energy_ratio is unavailable"),
        ([record(), record(stored_bytes=501)], "stored_bytes differs from process to process"),
    ],
)
def test_what_is_not_whole_is_not_accepted(records, sentence):
    with pytest.raises(BaselineError, match=sentence):
        accepted(TEST, records, baseline(), "smoke")


def test_what_this_machine_never_could_read_is_left_out():
    new = accepted(TEST, [record(missing=["energy_ratio", "peak_heap_bytes"])] * 5, None, "smoke")
    assert set(new.machines[HERE].paired) == {"cpu_ratio"}


def test_changes_are_put_in_words():
    old = baseline()
    new = replace(baseline(stored_bytes=501), data="x")
    assert list(changes(old, new)) == [f"stored_bytes 500 -> 501 on {HERE}", "other data"]
    assert list(changes(None, old)) == ["new"]
    assert list(changes(old, None)) == ["taken out"]


def test_a_ratio_that_scatters_is_pointed_at():
    assert not list(scattered(TEST, baseline()))
    wide = list(scattered(TEST, baseline(ratios=(1.0, 0.9, 0.95, 1.05, 1.1))))
    assert "cpu_ratio scatters by 7.9% from process to process" in wide[0]


def test_ratios_of_other_data_are_taken_anew():
    other = record(data="e" * 64)
    assert unsettled(other, baseline())
    new = accepted(TEST, [other] * 5, baseline(), "smoke")
    assert new.data == "e" * 16
    assert (new.workload, new.dataset, new.source) == ("w", "w", "real")


def test_a_score_that_differs_from_process_to_process_is_not_accepted():
    with pytest.raises(BaselineError, match="accuracy differs from process to process"):
        accepted(TEST, [record(), record(accuracy=0.5)], baseline(), "smoke")


@pytest.mark.parametrize(("heap_bytes", "kept"), [(10_100, 10_000), (11_000, 11_000)])
def test_a_reading_near_the_old_one_stays_and_another_replaces_it(heap_bytes, kept):
    new = accepted(TEST, [record(peak_heap_bytes=heap_bytes)] * 5, baseline(), "smoke")
    assert new.machines[HERE].exact["peak_heap_bytes"] == kept


@pytest.mark.parametrize(
    ("ratio", "leaves"), [(2.0, False), (2.05, False), (1.0, True), (4.0, True)]
)
def test_a_ratio_is_held_against_its_own_baseline(ratio, leaves):
    old = baseline(record(ratio=2.0), ratios=(1.99, 2.0, 2.0, 2.0, 2.01))
    assert unsettled(record(ratio=ratio), old) == leaves
