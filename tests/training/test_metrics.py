import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.errors import GnnperfError
from gnnperf.training.metrics import METRICS, metric_named, require_metric, score

# Few different scores: ties are the rule.
rankings = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
    lambda pairs: len({positive for _, positive in pairs}) == 2
)


def of_labels(name, pairs):
    output, target = zip(*pairs, strict=True)
    return score(METRICS[name], "labels", *(np.array([c], float).T for c in (target, output)))


@given(rankings)
def test_auc_is_the_share_of_pairs_in_order(pairs):
    wins = [
        (p > n) + (p == n) / 2 for p, is_p in pairs if is_p for n, is_other in pairs if not is_other
    ]
    assert of_labels("auc", pairs) == pytest.approx(sum(wins) / len(wins))


@given(rankings)
def test_average_precision_is_the_sum_over_thresholds(pairs):
    total, area, recall_before = sum(p for _, p in pairs), 0.0, 0.0
    for level in sorted({s for s, _ in pairs}, reverse=True):
        chosen = [p for s, p in pairs if s >= level]
        recall = sum(chosen) / total
        area += (recall - recall_before) * sum(chosen) / len(chosen)
        recall_before = recall
    assert of_labels("average_precision", pairs) == pytest.approx(area)


TARGET = np.array([0, 0, 0, 1, 1, 2])
LOGITS = np.log(
    [
        [0.7, 0.2, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.7, 0.1],
        [0.1, 0.8, 0.1],
        [0.5, 0.4, 0.1],
        [0.1, 0.1, 0.8],
    ]
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 4 / 6),
        ("balanced_accuracy", (2 / 3 + 1 / 2 + 1) / 3),
        ("micro_f1", 4 / 6),
        ("macro_f1", (2 / 3 + 1 / 2 + 1) / 3),
        ("log_loss", -math.log(0.7 * 0.6 * 0.2 * 0.8 * 0.4 * 0.8) / 6),
        # Against the rest: 8 of 9 pairs and 7 of 8; the third class is told from all others.
        ("auc", (8 / 9 + 7 / 8 + 1) / 3),
    ],
)
def test_scores_of_classes(name, expected):
    assert score(METRICS[name], "classes", TARGET, LOGITS) == pytest.approx(expected)


def test_two_classes_are_one_question():
    target, logits = np.array([0, 1, 1]), np.array([[0.0, 0.2], [3.0, 3.1], [1.0, 2.0]])
    one = score(METRICS["auc"], "labels", target[:, None] * 1.0, logits[:, 1:] - logits[:, :1])
    assert score(METRICS["auc"], "classes", target, logits) == one == 0.5


@pytest.mark.parametrize("name", ["auc", "average_precision", "macro_f1", "balanced_accuracy"])
def test_unknown_labels_and_labels_of_one_kind_do_not_count(name):
    target = np.array([[1, 1, np.nan], [0, 1, np.nan], [np.nan, 1, 0], [0, 1, 1]])
    logits = np.array([[1, 1, 1], [-1, 1, 1], [9, 1, -1], [-2, -1, 1.0]])
    assert score(METRICS[name], "labels", target, logits) == 1.0


def test_pooled_scores_of_labels():
    target = np.array([[1, np.nan], [0, 1], [1, 0]])
    logits = np.array([[1, 1], [1, 1], [-1, -1.0]])
    # Right: 1, and of the second 1 and 0; wrong: 0 called 1, 1 called 0.
    assert score(METRICS["accuracy"], "labels", target, logits) == pytest.approx(3 / 5)
    assert score(METRICS["micro_f1"], "labels", target, logits) == pytest.approx(4 / 6)


def test_scores_of_values():
    target = np.array([[1.0, 0.0], [3.0, np.nan], [5.0, 2.0]])
    output = np.array([[1.0, 1.0], [3.0, 9.0], [2.0, 2.0]])
    found = {n: score(METRICS[n], "values", target, output) for n in ("mae", "rmse", "r2")}
    assert found["mae"] == pytest.approx(4 / 5)
    assert found["rmse"] == pytest.approx(math.sqrt(10 / 5))
    assert found["r2"] == pytest.approx(((1 - 9 / 8) + (1 - 1 / 2)) / 2)


@pytest.mark.parametrize(
    ("name", "kind", "target", "output"),
    [
        ("auc", "labels", [[1.0], [1.0]], [[1.0], [2.0]]),
        ("accuracy", "classes", [0, 1], [[math.nan, 0], [0, 1.0]]),
        ("mae", "values", [[math.nan]], [[1.0]]),
        ("r2", "values", [[1.0]], [[1.0]]),
    ],
)
def test_what_is_not_defined_is_nan(name, kind, target, output):
    assert math.isnan(score(METRICS[name], kind, np.array(target), np.array(output)))


def test_every_metric_says_its_direction_unit_and_range():
    falling = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert falling == {"log_loss", "mae", "rmse", "loss"}
    assert METRICS["mae"].worse_by(0.5, 0.7) == pytest.approx(0.2)
    assert METRICS["auc"].worse_by(0.5, 0.7) == pytest.approx(-0.2)
    assert (METRICS["mae"].unit, METRICS["auc"].unit, METRICS["log_loss"].unit) == (
        "target",
        "fraction",
        "nats",
    )
    assert METRICS["r2"].range == (-math.inf, 1.0)
    assert metric_named("closeness").higher_is_better


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("f1", "classes", "unknown metric 'f1'; for classes there are accuracy, .*macro_f1"),
        ("mae", "classes", "no metric of classes is 'mae'; for classes there are accuracy"),
        ("auc", "values", "no metric of numbers is 'auc'; .* there are mae, rmse, r2 and loss"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_list(name, kind, words):
    with pytest.raises(GnnperfError, match=words):
        require_metric(name, kind)
