from dataclasses import replace

import pytest

from gnnperf.gates.thresholds import (
    GateError,
    require_drop_at_most,
    require_size_ratio_at_least,
)
from gnnperf.records import Record, measured


def record(drop=0.0, ratio=2.0):
    values = {
        "accuracy": 0.9 - drop,
        "twin_accuracy": 0.9,
        "accuracy_drop": drop,
        "size_ratio": ratio,
        "stored_bytes": 1000 / ratio,
        "dense_bytes": 1000.0,
    }
    readings = {name: measured(value, "", "test") for name, value in values.items()}
    return Record("w", "global@0.5", 0, "accuracy", readings, {}, {}, {}, {}, "w", "real")


@pytest.mark.parametrize("drop", [-0.1, 0.0, 0.0299, 0.03])
def test_a_drop_up_to_the_limit_passes(drop):
    assert require_drop_at_most(record(drop), 0.03) is None


def test_a_drop_just_over_fails_with_one_sentence():
    with pytest.raises(GateError) as caught:
        require_drop_at_most(record(0.0301), 0.03)
    assert str(caught.value) == (
        "w-global@0.5-seed0: accuracy fell from 0.900 (dense twin) to 0.870, by 0.030; "
        "the rule for global@0.5 allows 0.03"
    )


def test_of_a_loss_a_rise_counts_and_is_called_so():
    worse = replace(record(0.0301), higher_is_better=False)
    with pytest.raises(GateError, match="accuracy rose from"):
        require_drop_at_most(worse, 0.03)


@pytest.mark.parametrize("ratio", [1.83, 1.84, 10.0])
def test_a_ratio_from_the_limit_on_passes(ratio):
    assert require_size_ratio_at_least(record(ratio=ratio), 1.83) is None


def test_a_ratio_just_under_fails_with_one_sentence():
    with pytest.raises(GateError, match=r"has 549 bytes, 1\.82 times smaller than the dense 1000"):
        require_size_ratio_at_least(record(ratio=1.8229), 1.83)
