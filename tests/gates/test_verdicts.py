from dataclasses import replace

import pytest

from gnnperf.gates.limits import parse_limits
from gnnperf.gates.verdicts import confirmed, gone, judge, judge_coverage
from gnnperf.records import measured

from .records import CLASS, TEST, baseline, record

OTHER = {**CLASS, "device_name": "CPU Y"}


def verdict(now, limits=(), base=None, **options):
    return judge(TEST, now, base or baseline(), dict(limits), **options)


def finding(result, metric):
    return next(f for f in result.findings if f.metric == metric)


def test_the_same_again_is_ok():
    result = verdict(record())
    assert result.verdict == "ok"
    assert result.failures(strict=True) == []


@pytest.mark.parametrize("metric", ["parameters", "nonzeros", "operations", "macs", "stored_bytes"])
def test_any_growth_of_an_exact_reading_fails_and_any_shrink_is_an_improvement(metric):
    before = record().value(metric)
    grown = verdict(record(**{metric: before + 1}))
    assert grown.verdict == "regressed"
    (sentence,) = grown.failures(strict=False)
    assert sentence.startswith(f"{TEST}: {metric} grew from {before:g} to {before + 1:g}, by 1 (")
    assert sentence.endswith("it is exact and may not grow")
    shrunk = verdict(record(**{metric: before - 1}))
    assert shrunk.verdict == "improved"
    assert not shrunk.failures(strict=True)
    assert "accept it" in finding(shrunk, metric).sentence


@pytest.mark.parametrize(
    ("peak", "expected"),
    [(10_100, "ok"), (10_101, "regressed"), (9_900, "ok"), (9_899, "improved")],
)
def test_memory_holds_within_one_per_cent(peak, expected):
    assert verdict(record(peak_heap_bytes=peak)).verdict == expected


def test_growth_from_nothing_fails():
    result = verdict(record(nonzeros=1), base=baseline(nonzeros=0))
    assert result.verdict == "regressed"


@pytest.mark.parametrize(
    ("ratio", "limits", "expected"),
    [
        (1.0499, {}, "ok"),
        (1.0501, {}, "regressed"),
        (0.9525, {}, "ok"),
        (0.9520, {}, "improved"),
        (1.0999, {"latency": 0.1, "energy": 0.1}, "ok"),
        (1.1001, {"latency": 0.1, "energy": 0.1}, "regressed"),
    ],
)
def test_a_ratio_may_rise_by_its_limit(ratio, limits, expected):
    result = verdict(record(ratio=ratio), limits)
    assert finding(result, "cpu_ratio").verdict == expected
    assert finding(result, "energy_ratio").verdict == expected
    assert finding(result, "cpu_ratio").suspected == (expected == "regressed")


def test_a_baseline_that_scattered_widens_the_limit():
    noisy = baseline(ratios=(0.95, 0.98, 1.0, 1.02, 1.05))
    result = verdict(record(ratio=1.10), base=noisy)
    assert finding(result, "cpu_ratio").verdict == "ok"
    assert "from the baseline's spread of" in finding(result, "cpu_ratio").sentence


def test_a_suspicion_fails_only_when_a_fresh_process_confirms_it():
    suspected = verdict(record(ratio=1.2))
    again = confirmed(suspected, lambda: record(ratio=1.15))
    assert again.verdict == "regressed"
    assert "by 20.0%; the limit is 5.0%, as set, and a fresh process measured 1.150" in str(again)
    cleared = confirmed(suspected, lambda: record(ratio=1.01))
    assert cleared.verdict == "ok"
    assert "measured 1.010, so it counts as noise" in finding(cleared, "cpu_ratio").sentence
    lost = confirmed(suspected, lambda: "it crashed")
    assert lost.verdict == "regressed"
    assert "could not measure it again: it crashed" in finding(lost, "cpu_ratio").sentence


def test_what_is_not_suspected_is_not_measured_again():
    assert confirmed(verdict(record()), lambda: 1 / 0).verdict == "ok"


def test_a_reading_that_the_baseline_never_had_is_not_gated_and_said_to_be():
    old = baseline(missing=["energy_ratio"])
    result = verdict(record(missing=["energy_ratio"]), base=old, strict=True)
    assert result.verdict == "ok"
    assert "energy_ratio is not gated: it is unavailable (no counter here)" in result.notes


@pytest.mark.parametrize("metric", ["accuracy", "nonzeros", "peak_heap_bytes", "cpu_ratio"])
def test_a_baselined_reading_that_cannot_be_had_any_more_is_a_regression(metric):
    result = verdict(record(missing=[metric]))
    assert result.verdict == "regressed"
    assert result.failures(strict=False) == [
        f"{TEST}: {metric} was measured for the baseline, and now it is unavailable "
        "(no counter here)"
    ]


def test_a_score_that_was_accepted_on_another_machine_must_be_there_too():
    assert verdict(record(missing=["accuracy"], machine=OTHER)).verdict == "regressed"
    # What only that class could read says nothing about this one.
    assert verdict(record(missing=["peak_heap_bytes"], machine=OTHER)).verdict == "ok"


def test_what_the_user_switched_off_fails_only_strictly():
    off = record(off=["cpu_ratio", "energy_ratio"])
    result = verdict(off)
    assert result.verdict == "ok"
    assert "cpu_ratio is not gated: it is unavailable (no counter here)" in result.notes
    strictly = verdict(off, strict=True)
    assert strictly.verdict == "gone"
    assert len(strictly.failures(strict=True)) == 2


def test_another_headline_score_is_not_the_one_that_was_accepted():
    result = verdict(replace(record(f1=0.9), metric="f1"))
    assert result.verdict == "gone"
    assert "accuracy is in the baseline and the case no longer takes it" in str(result)


def test_other_data_is_named_and_nothing_is_compared():
    result = verdict(record(data="e" * 64, stored_bytes=9999, ratio=9.0, missing=["accuracy"]))
    assert result.verdict == "new data"
    assert not result.failures(strict=False)
    assert result.failures(strict=True) == [
        f"{TEST}: the data is another, so that nothing is compared: real w has the fingerprint "
        f"{'e' * 16}, and the baseline's has {'f' * 16}; bring that back, or accept this with "
        "--gnnperf-accept"
    ]


@pytest.mark.parametrize(("ratio", "expected"), [(1.5, "ok"), (1.5000001, "regressed")])
def test_a_ratio_may_rise_by_its_limit_itself(ratio, expected):
    flat = baseline(ratios=[1.0] * 5)
    result = verdict(record(ratio=ratio), {"latency": 0.5, "energy": 0.5}, base=flat)
    assert finding(result, "cpu_ratio").verdict == expected
    assert "the limit is 50.0%, as set" in finding(result, "cpu_ratio").sentence


def test_a_limit_that_became_wide_is_pointed_at():
    assert not verdict(record()).notes
    wide = verdict(record(), base=baseline(ratios=(0.9, 0.95, 1.0, 1.05, 1.1)))
    assert "cpu_ratio may rise by more than twice its limit, as the baseline" in wide.notes[0]


@pytest.mark.parametrize(("ratio", "expected"), [(1.08, "unconfirmed"), (1.3, "regressed")])
def test_without_a_fresh_process_only_what_is_beyond_doubt_is_a_regression(ratio, expected):
    noisy = baseline(ratios=(0.98, 0.99, 1.0, 1.01, 1.02))
    result = confirmed(verdict(record(ratio=ratio), base=noisy), lambda: "it has no plugin x")
    assert result.verdict == expected
    assert "could not measure it again: it has no plugin x" in finding(result, "cpu_ratio").sentence
    assert bool(result.failures(strict=False)) == (expected == "regressed")
    assert result.failures(strict=True)


def test_another_class_of_machine_compares_what_holds_there():
    result = verdict(record(ratio=9.0, stored_bytes=509, machine=OTHER))
    assert result.verdict == "ok"
    assert result.failures(strict=False) == []
    assert any("no baseline for this machine class (CPU Y, AVX2" in note for note in result.notes)
    assert verdict(record(stored_bytes=511, machine=OTHER)).verdict == "regressed"
    assert verdict(record(operations=8, machine=OTHER)).verdict == "regressed"
    strictly = verdict(record(machine=OTHER), strict=True)
    assert strictly.verdict == "new"
    assert len(strictly.failures(strict=True)) == 2


def test_a_case_without_a_baseline_is_new():
    result = judge(TEST, record(), None, {})
    assert result.verdict == "new"
    assert not result.failures(strict=False)
    assert result.failures(strict=True) == [
        f"{TEST}: there is no baseline; accept one with --gnnperf-accept"
    ]


def test_a_reading_that_is_no_longer_taken_is_gone():
    result = verdict(record(without=["macs"]))
    assert result.verdict == "gone"
    assert "macs is in the baseline and the case no longer takes it" in result.failures(strict=0)[0]


def test_a_case_that_did_not_run_is_gone():
    assert (
        gone(TEST, "it was skipped")
        .failures(strict=False)[0]
        .startswith(
            f"{TEST}: the case is gone: it has a baseline, and it was skipped; bring it back"
        )
    )


def covering(share, **left):
    readings = {} if share is None else {"covered": measured(share, "fraction", "")}
    return replace(record(), readings={**record().readings, **readings}, uncovered=left)


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(1.0, "ok"), (0.951, "ok"), (0.95, "ok"), (0.9499, "regressed"), (0.0, "regressed")],
)
@pytest.mark.parametrize("written", [0.95, "95%", "95.0 %"])
def test_the_least_coverage_needs_no_baseline(share, verdict, written):
    limits = parse_limits({"coverage": written}, "")
    assert judge_coverage(TEST, covering(share), limits).verdict == verdict
    assert judge_coverage(TEST, covering(share), {}) is None


def test_all_of_the_weights_may_be_asked_for():
    assert judge_coverage(TEST, covering(119 / 119), {"coverage": 1.0}).verdict == "ok"
    assert judge_coverage(TEST, covering(118 / 119), {"coverage": 1.0}).verdict == "regressed"


def test_too_little_coverage_is_one_sentence():
    case = covering(0.5, **{"a.weight": "why", "b.weight": "why"})
    assert judge_coverage(TEST, case, {"coverage": 0.95}).sentence == (
        f"{TEST}: global@0.5 covers 0.5000 of the weights, and 0.9500 is the least; "
        "left out: a.weight, b.weight"
    )
    unknown = judge_coverage(TEST, covering(None), {"coverage": 0.95})
    assert unknown.verdict == "regressed"
    assert "is unavailable: it was not counted" in unknown.sentence
