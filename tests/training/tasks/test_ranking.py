import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.training.tasks.ranking import area_under_roc, average_precision, best_threshold

# Few different scores: ties are the rule.
rankings = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
    lambda pairs: len({positive for _, positive in pairs}) == 2
)


def _tensors(pairs):
    score, positive = zip(*pairs, strict=True)
    return torch.tensor(score, dtype=torch.float), torch.tensor(positive)


@given(rankings)
def test_auc_is_the_share_of_pairs_in_order(pairs):
    wins = [
        (p > n) + (p == n) / 2 for p, is_p in pairs if is_p for n, is_other in pairs if not is_other
    ]
    assert area_under_roc(*_tensors(pairs)) == pytest.approx(sum(wins) / len(wins))


@given(rankings)
def test_average_precision_is_the_sum_over_thresholds(pairs):
    total, area, recall_before = sum(p for _, p in pairs), 0.0, 0.0
    for level in sorted({s for s, _ in pairs}, reverse=True):
        chosen = [p for s, p in pairs if s >= level]
        recall = sum(chosen) / total
        area += (recall - recall_before) * sum(chosen) / len(chosen)
        recall_before = recall
    assert average_precision(*_tensors(pairs)) == pytest.approx(area)


@given(rankings)
def test_no_threshold_is_more_accurate(pairs):
    score, positive = _tensors(pairs)

    def right(threshold):
        return int(((score > threshold) == positive).sum())

    best = max(right(level - 0.5) for level in range(-4, 6))
    assert right(best_threshold(score, positive)) == best
