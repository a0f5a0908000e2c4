import pytest

from gnnperf.study.ahead import _expected_seconds as expected_seconds
from gnnperf.study.durations import keep_durations, training_key


@pytest.mark.parametrize(
    ("missing", "seconds"),
    [
        ([("w", 1, None)], 60),
        ([("w", 1, "l2@1")], 300),
        ([("w", 1, None), ("w", 2, "l2@0.1")], 360),
        # As long as those that are known, where those are half of them.
        ([("w", 1, None), ("v", 1, None)], 120),
        ([("w", 1, None), ("v", 1, None), ("v", 2, None)], None),
    ],
)
def test_the_time_of_trainings_is_told_by_those_before(tmp_path, missing, seconds):
    keep_durations(
        tmp_path, {training_key("w", 0, None): 60.0, training_key("w", 0, "l2@1"): 300.0}
    )
    assert expected_seconds(tmp_path, missing) == seconds


def test_nothing_is_told_of_the_first(tmp_path):
    assert expected_seconds(tmp_path, [("w", 0, None)]) is None
