import math

import numpy as np
import pytest
from scipy.stats import binomtest

from gnnperf.errors import GnnperfError
from gnnperf.gates.tickets import (
    LEVEL,
    TicketScores,
    comparisons,
    holm,
    judge_tickets,
    p_above,
)

DEVIATION = 0.02
SEEDS = np.array([0.00, 0.03, -0.02, 0.01, -0.01])
NOISE = np.array([0.001, -0.001, 0.0005, 0.0, -0.0005])


def scores(ticket, mask=0.5, init=0.5, dense=0.9, seeds=5):
    """Scores that go up and down with the seed alone, but for a little noise of the ticket's."""
    return TicketScores(
        *((value + SEEDS)[:seeds] for value in (dense, ticket + NOISE)),
        {"random-mask": (mask + SEEDS)[:seeds], "random-init": (init + SEEDS)[:seeds]},
    )


def judged(*args, **options):
    return judge_tickets({"ticket": scores(*args, **options)})["ticket"]


@pytest.mark.parametrize(
    ("ticket", "found"), [(0.95, True), (0.9, True), (0.892, True), (0.89, False), (0.8, False)]
)
def test_a_ticket_is_no_more_than_the_margin_worse_than_dense(ticket, found):
    verdict = judged(ticket)
    assert verdict.found is found
    assert str(verdict).startswith(
        "winning ticket found (p " if found else "no winning ticket: not within 0.01 of dense (p "
    )


def test_each_control_must_be_beaten_and_not_merely_met():
    assert judged(0.9, mask=0.898, init=0.898).found
    for name, equal in (("random-mask", {"mask": 0.9}), ("random-init", {"init": 0.9})):
        verdict = judged(0.9, **equal)
        assert str(verdict) == f"no winning ticket: not above {name} (p 0.5)"


def test_seeds_are_paired():
    """What all models of a seed have in common does not hide a gain of a fifth of its spread."""
    assert judged(0.9, mask=0.896, init=0.896).found
    shuffled = scores(0.9)
    apart = dict.fromkeys(shuffled.controls, 0.896 + SEEDS[::-1])
    apart = TicketScores(shuffled.dense, shuffled.ticket, apart)
    assert not judge_tickets({"ticket": apart})["ticket"].found


def test_a_ticket_among_several_has_to_be_better():
    # A gain with p of about 0.03.
    one = scores(0.9, mask=0.8989, init=0.8989)
    alone = judge_tickets({"a": one})["a"]
    assert 0.02 < alone.p_value < LEVEL
    both = judge_tickets({"a": one, "b": scores(0.5)})
    assert str(both["a"]).startswith("no winning ticket: too likely by chance among 2 tickets (p ")
    assert both["a"].p_value == pytest.approx(2 * alone.p_value)


@pytest.mark.parametrize(
    ("seeds", "text"),
    [(1, "1 seed, and it takes 5"), (4, "4 seeds, and it takes 5"), (5, "")],
)
def test_fewer_than_five_seeds_cannot_be_judged(seeds, text):
    verdict = judged(0.95, seeds=seeds)
    assert verdict.unjudged == text
    assert verdict.found is not text
    assert str(verdict).startswith("cannot be judged: " + text if text else "winning ticket found")


def test_a_seed_without_a_score_cannot_be_judged_and_spoils_no_other_ticket():
    broken = scores(0.95)
    broken.ticket[1] = broken.controls["random-init"][3] = math.nan
    verdicts = judge_tickets({"broken": broken, "fine": scores(0.95)})
    assert str(verdicts["broken"]) == "cannot be judged: 2 of 5 seeds gave no score"
    assert not verdicts["broken"].found
    assert verdicts["fine"].found


def test_different_numbers_of_seeds_are_refused():
    mixed = TicketScores([0.9] * 5, [0.9] * 5, {"random-mask": [0.5] * 4})
    with pytest.raises(GnnperfError, match=r"same seeds .* and there are 4, 5"):
        judge_tickets({"ticket": mixed})


def test_seeds_that_all_differ_by_the_same():
    same, above = [0.9] * 5, [0.91] * 5
    assert p_above(same, same) == 1
    assert p_above(same, above, 0.01) == 1
    assert p_above(above, same) == p_above(same, same, 0.01) == 0
    assert p_above(same, above) == 1


def test_holm():
    """By hand: 3 times the least, 2 times the next, and never less than one before."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([[0.02], [0.6]]).tolist() == [[0.02], [0.6]]


def simulated(seeds, ticket, mask, init, *, tickets=3, studies=20_000, shared=0.5, places=None):
    """In how many of the studies a ticket is found.

    Args:
        ticket, mask, init: by how many deviations of a score they are better than dense models.
        shared: of a score's variance, the share that all models of a seed have in common.
        places: scores are quotients with this denominator; None: any number.
    """
    random = np.random.default_rng(seeds)
    common = math.sqrt(shared) * random.normal(size=(studies, 1, seeds))

    def drawn(gain, count=tickets):
        own = math.sqrt(1 - shared) * random.normal(size=(studies, count, seeds))
        score = 0.8 + DEVIATION * (gain + common + own)
        return score if places is None else np.round(score * places) / places

    controls = {"random-mask": drawn(mask), "random-init": drawn(init)}
    parts = comparisons(drawn(0, 1), drawn(ticket), controls)
    p_values = holm(np.max(list(parts.values()), axis=0))
    return int((p_values <= LEVEL).any(-1).sum()), studies


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("tickets", [1, 3])
@pytest.mark.parametrize(
    ("ticket", "mask", "init"),
    [(0, 0, 0), (2, 2, 2), (9, 9, 0), (9, 0, 9), (-5, -9, -9)],
    ids=["all alike", "dense alone worse", "one control only", "the other only", "dense better"],
)
def test_at_most_one_false_ticket_in_twenty(seeds, tickets, ticket, mask, init):
    found, studies = simulated(seeds, ticket, mask, init, tickets=tickets)
    # More than 5 % of these studies may be chance; so many more are not.
    assert binomtest(found, studies, LEVEL, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("places", [100, 1000])
def test_scores_that_are_quotients_of_counts_give_no_more(seeds, places):
    for gains in ((0, 0, 0), (9, 9, 0)):
        found, studies = simulated(seeds, *gains, places=places)
        assert binomtest(found, studies, LEVEL, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("others", [0, 2, 5])
def test_a_gain_of_two_deviations_over_ten_seeds_is_found(others):
    """Of one ticket beside others that gain nothing, and of models with nothing in common."""
    gains = np.array([[2.0]] + [[0.0]] * others)
    found, studies = simulated(10, gains, 0, 0, tickets=1 + others, shared=0.0)
    assert found / studies >= 0.8


def test_a_verdict_is_what_was_simulated():
    random = np.random.default_rng(0)
    dense, *others = random.normal(0.8, DEVIATION, (4, 3, 5))
    cases = {
        str(index): TicketScores(dense[index], ticket, {"mask": mask, "init": init})
        for index, (ticket, mask, init) in enumerate(zip(*others, strict=True))
    }
    parts = comparisons(dense, others[0], {"mask": others[1], "init": others[2]})
    expected = holm(np.max(list(parts.values()), axis=0))
    assert [v.p_value for v in judge_tickets(cases).values()] == pytest.approx(expected.tolist())
