import pytest

from gnnperf.gates.verdicts import confirmed, gone, judge, judge_scores, seed_group

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


def test_unavailable_readings_are_not_gated_and_said_to_be():
    result = verdict(record(ratio=9.0, missing=["cpu_ratio", "energy_ratio"]))
    assert result.verdict == "ok"
    assert "cpu_ratio is not gated: it is unavailable (no counter here)" in result.notes


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


def seeds(*scores, before=0.9):
    tests = [TEST.replace("seed0", f"seed{n}") for n in range(len(scores))]
    records = {t: record(seed=n, accuracy=scores[n]) for n, t in enumerate(tests)}
    return records, dict.fromkeys(tests, baseline(accuracy=before))


@pytest.mark.parametrize(
    ("score", "expected"), [(0.89, "ok"), (0.8899, "regressed"), (0.91, "ok"), (0.92, "improved")]
)
def test_with_one_seed_the_tolerance_decides(score, expected):
    assert judge_scores(*seeds(score), {}).verdict == expected


def test_with_several_seeds_the_mean_must_leave_their_spread_as_well():
    steady = judge_scores(*seeds(0.88, 0.881, 0.879), {})
    assert steady.verdict == "regressed"
    assert "accuracy fell from 0.9000 to 0.8800, by 0.0200 over 3 seeds" in steady.sentence
    assert judge_scores(*seeds(0.84, 0.92, 0.88), {}).verdict == "ok"


def test_a_score_elsewhere_has_more_play_and_nothing_to_compare_with_is_nothing():
    records, baselines = seeds(0.87)
    elsewhere = {t: record(accuracy=0.87, machine=OTHER) for t in records}
    assert judge_scores(elsewhere, baselines, {}).verdict == "ok"
    assert judge_scores(records, {}, {}) is None


def test_ids_that_differ_in_the_seed_alone_are_one_group():
    assert seed_group("a::t[w-global@0.5-seed12]") == seed_group("a::t[w-global@0.5-seed0]")
    assert seed_group("a::t[x-seed1-y]") != seed_group("a::t[x-seed1-z]")
    assert seed_group("a::test_seed1") == "a::test_seed1"
