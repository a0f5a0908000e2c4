import pytest

from gnnperf.reports.study.series import CannotBeJudgedError, Series, all_above, mean_of


def series(*values):
    return Series(dict(enumerate(values)))


def test_the_interval_is_students():
    part = series(0.0, 1.0, 2.0)
    # 4.303 is t's 97.5 % of two degrees of freedom.
    assert part.high == pytest.approx(1 + 4.3027 / 3**0.5, abs=1e-4)
    assert part.low == pytest.approx(1 - 4.3027 / 3**0.5, abs=1e-4)


def test_two_seeds_have_no_interval_and_three_have():
    with pytest.raises(CannotBeJudgedError, match="2 seeds, and it takes 3"):
        _ = series(1.0, 1.0).low
    assert series(1.0, 1.0, 1.0).low == 1.0


def test_a_figure_of_the_paper_stands_as_it_is():
    part = Series({0: 0.5}, exact=True)
    assert (part.low, part.high) == (0.5, 0.5)
    assert part.p_above(0.4) == 0.0
    assert part.p_above(0.5) == 1.0


def test_pairs_are_of_the_seeds_that_both_have():
    difference = Series({0: 1.0, 1: 2.0}) - Series({1: 0.5, 2: 9.0})
    assert difference.values == {1: 1.5}
    with pytest.raises(CannotBeJudgedError, match="no seed"):
        _ = Series({0: 1.0}) - Series({1: 1.0})


def test_dividing_by_zero_cannot_be_judged():
    with pytest.raises(CannotBeJudgedError, match="zero"):
        _ = Series({0: 1.0}) / Series({0: 0.0})


def test_holm_makes_several_harder_than_one():
    # Alone each is significant (p 0.03), and two are still, and three are not.
    part = series(1.0, 2.5, 2.0)
    assert 0.02 < part.p_above() < 0.05 / 1
    assert all_above([part])
    assert not all_above([part, part, part])


def test_a_mean_is_taken_seed_by_seed():
    assert mean_of([series(0.0, 2.0), series(1.0, 4.0)]).values == {0: 0.5, 1: 3.0}
