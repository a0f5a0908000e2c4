import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.records import Record, RecordError, measured, unavailable
from gnnperf.reports.pareto import dominates, front, trade_off

POINTS = st.dictionaries(
    st.text(max_size=3), st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=8
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((1, 1), (1, 2), True),
        ((1, 1), (2, 2), True),
        ((1, 1), (1, 1), False),
        ((1, 3), (2, 2), False),
        ((2, 2), (1, 1), False),
    ],
)
def test_dominance(one, other, expected):
    assert dominates(one, other) is expected


@given(POINTS)
def test_the_front_covers_the_rest_and_no_one_in_it(points):
    best = front(points)
    assert best
    for name, point in points.items():
        beaten = [other for other in best if dominates(points[other], point)]
        assert bool(beaten) is (name not in best)


def record(**readings):
    return Record("w", "r", 0, "f1", readings, {}, {}, {}, {}, "d", "real")


def test_what_a_case_costs():
    known = record(
        stored_bytes=measured(100, "bytes", ""),
        f1_drop=measured(-0.01, "fraction", ""),
        cpu_ratio=measured(0.5, "ratio", ""),
    )
    assert list(trade_off(known)) == [100, -0.01, 0.5]
    assert list(trade_off(known, time=False)) == [100, -0.01]


def test_what_is_unavailable_is_no_point():
    with pytest.raises(RecordError, match="cpu_ratio is unavailable: off"):
        trade_off(
            record(
                stored_bytes=measured(100, "bytes", ""),
                f1_drop=measured(0, "fraction", ""),
                cpu_ratio=unavailable("ratio", "", "off"),
            )
        )


@pytest.mark.parametrize("costs", [1, 2, 3, 4])
def test_the_front_is_what_no_other_point_dominates(costs):
    draw = random.Random(costs)
    for count in (0, 1, 2, 40):
        # Few values, so that there are ties and equal points.
        points = {str(n): [draw.randint(0, 4) for _ in range(costs)] for n in range(count)}
        expected = [
            name
            for name, point in points.items()
            if not any(dominates(other, point) for other in points.values())
        ]
        assert front(points) == expected
