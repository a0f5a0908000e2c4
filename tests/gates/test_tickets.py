import pytest

from gnnperf.errors import GnnperfError
from gnnperf.gates.tickets import judge_tickets

DENSE = [0.89, 0.90, 0.91]  # Mean 0.90, deviation 0.01, standard error 0.00577.


def judged(ticket, mask=(0.5, 0.5, 0.5), init=(0.5, 0.5, 0.5)):
    return judge_tickets(DENSE, ticket, {"random-mask": mask, "random-init": init})


@pytest.mark.parametrize(
    ("score", "found"), [(0.95, True), (0.8943, True), (0.8942, False), (0.5, False)]
)
def test_a_ticket_wins_down_to_one_standard_error_below_the_dense_mean(score, found):
    verdict = judged([score] * 3)
    assert verdict.found is found
    text = "winning ticket found" if found else "no winning ticket: below dense less 1 SE (0.8942)"
    assert str(verdict).startswith(text)


def test_each_control_must_be_beaten_and_not_merely_met():
    assert judged([0.9] * 3, mask=[0.899] * 3, init=[0.899] * 3).found
    for equal in ({"mask": [0.9] * 3}, {"init": [0.9] * 3}):
        verdict = judged([0.9] * 3, **equal)
        assert not verdict.found
        assert str(verdict) == f"no winning ticket: not above random-{next(iter(equal))}"


def test_a_single_bad_seed_may_be_made_good_by_others():
    assert judged([0.87, 0.91, 0.92]).found


@pytest.mark.parametrize("ticket", [[0.9], [0.9, 0.9], [0.9] * 4])
def test_other_numbers_of_seeds_are_refused(ticket):
    with pytest.raises(GnnperfError, match="at least two seeds"):
        judged(ticket)


def test_one_seed_is_no_verdict():
    with pytest.raises(GnnperfError, match="at least two seeds"):
        judge_tickets([0.9], [0.9], {})
