import pytest

from gnnperf.gates.limits import parse_limits
from gnnperf.gates.scores import judge_scores, seed_group

from .records import CLASS, TEST, baseline, record

OTHER = {**CLASS, "device_name": "CPU Y"}


def seeds(*scores, before=0.9, **changed):
    tests = [TEST.replace("seed0", f"seed{n}") for n in range(len(scores))]
    records = {t: record(seed=n, accuracy=scores[n], **changed) for n, t in enumerate(tests)}
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


def test_the_sentence_says_where_the_limit_comes_from():
    assert "the limit is 0.0100, the tolerance" in judge_scores(*seeds(0.9, 0.9), {}).sentence
    scattered = judge_scores(*seeds(0.84, 0.92, 0.88), {})
    assert "the limit is 0.0462, twice the 3 seeds' standard error" in scattered.sentence


@pytest.mark.parametrize(
    ("loss", "expected"), [(6.9, "regressed"), (1.0, "ok"), (1.02, "regressed"), (0.5, "improved")]
)
def test_of_a_loss_a_rise_is_a_regression(loss, expected):
    found = judge_scores(*seeds(loss, before=1.0, higher_is_better=False), {})
    assert found.verdict == expected
    assert ("rose" if loss >= 1 else "fell") in found.sentence
    assert found.change == pytest.approx(loss - 1.0)


@pytest.mark.parametrize(
    ("error", "expected"), [(209.9, "ok"), (210.1, "regressed"), (190.1, "ok"), (189, "improved")]
)
def test_a_limit_may_be_a_share_of_the_score(error, expected):
    limits = parse_limits({"score": "5%"}, "here")
    found = judge_scores(*seeds(error, before=200.0, higher_is_better=False), limits)
    assert found.verdict == expected
    assert found.limit == pytest.approx(10.0)


def test_a_share_counts_from_the_baseline_and_points_do_not():
    records, baselines = seeds(0.375, before=0.5)
    assert judge_scores(records, baselines, parse_limits({"score": "25%"}, "")).verdict == "ok"
    assert judge_scores(records, baselines, parse_limits({"score": "20%"}, "")).verdict != "ok"
    assert judge_scores(records, baselines, parse_limits({"score": 0.125}, "")).verdict == "ok"


def test_seeds_on_other_data_or_without_a_score_are_left_out():
    assert judge_scores(*seeds(0.1, data="e" * 64), {}) is None
    assert judge_scores(*seeds(0.1, missing=["accuracy"]), {}) is None
