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


def error(mae, twin=2.0):
    values = {"mae": mae, "twin_mae": twin, "mae_drop": mae - twin}
    readings = {name: measured(value, "target", "test") for name, value in values.items()}
    return replace(record(), metric="mae", readings=readings, higher_is_better=False)


def test_of_an_error_a_drop_is_a_rise():
    assert require_drop_at_most(error(1.5), 0.1) is None
    assert require_drop_at_most(error(2.125), 0.125) is None
    with pytest.raises(GateError, match=r"mae rose from 2\.000 .* to 2\.250, by 0\.250; .* 0\.125"):
        require_drop_at_most(error(2.25), 0.125)


@pytest.mark.parametrize(("mae", "passes"), [(2.24, True), (2.25, True), (2.26, False)])
@pytest.mark.parametrize("limit", ["12.5%", " 12.5 % "])
def test_a_limit_may_be_relative_to_the_twins_score(mae, passes, limit):
    if passes:
        assert require_drop_at_most(error(mae), limit) is None
        return
    with pytest.raises(GateError, match=r"allows 12\.5%|allows  12\.5 %"):
        require_drop_at_most(error(mae), limit)


@pytest.mark.parametrize("limit", ["much", "%", ""])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(GateError, match=f"at most {limit!r} is no limit; write 0.03, or a share"):
        require_drop_at_most(error(2.0), limit)


@pytest.mark.parametrize("ratio", [1.83, 1.84, 10.0])
def test_a_ratio_from_the_limit_on_passes(ratio):
    assert require_size_ratio_at_least(record(ratio=ratio), 1.83) is None


def test_a_ratio_just_under_fails_with_one_sentence():
    with pytest.raises(GateError, match=r"has 549 bytes, 1\.82 times smaller than the dense 1000"):
        require_size_ratio_at_least(record(ratio=1.8229), 1.83)
