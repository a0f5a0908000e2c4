"""Are there winning tickets in graph neural networks? (paper, section 1 and its conclusion: no)."""

import math
import statistics

import pytest

from gnnperf.compression.pruning.lottery import CONTROLS
from gnnperf.gates.tickets import SEEDS_NEEDED, TicketScores, judge_tickets
from gnnperf.recipes import compress
from gnnperf.study.measure import score_readings
from gnnperf.workloads import PRUNING_WORKLOADS

# The rule: a ticket that is not worth keeping loses more than this, on the mean of the seeds.
MEAN_DROP_AT_MOST = {"cora_node-spline": 0.02, "cora_link-ness": 0.06}
OTHERS_DROP_AT_MOST = 0.10
# By preset; those of a workload are judged together.
TICKETS = {
    "smoke": ["lottery@0.8"],
    "quick": ["lottery@0.8:rounds=3"],
    "paper": [
        f"lottery@{sparsity}:rounds=3{rewind}"
        for sparsity in (0.5, 0.8, 0.9)
        for rewind in ("", ",rewind=2")
    ],
}


def workloads(preset):
    return preset.select(
        smoke=["cora_node-spline"], quick=["cora_node-spline"], default=PRUNING_WORKLOADS
    )


def controls(recipe):
    return [f"{recipe}{',' if ':' in recipe else ':'}{name}" for name in CONTROLS]


def with_controls(tickets):
    return [text for ticket in tickets for text in (ticket, *controls(ticket))]


def judged_with(first):
    """The tickets that are judged together, by the first of them."""
    return next(tickets for tickets in TICKETS.values() if tickets[0] == first)


@pytest.mark.gnnperf_cases(
    workloads=workloads,
    recipes=lambda preset: with_controls(TICKETS[preset.name]),
)
def test_ticket(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe), ("scores", "size"))

    floor = record.value("majority") if record.metric == "accuracy" else 0.5
    assert record.value(record.metric) > floor


@pytest.mark.gnnperf_cases(
    workloads=workloads,
    recipes=lambda preset: TICKETS[preset.name][:1],
    over_seeds=SEEDS_NEEDED,
    beside=lambda first: with_controls(judged_with(first))[1:],
)
def test_verdict(case, trained, closing_row):
    """One case a workload: what a ticket has to reach depends on how many there are."""
    bases = [trained(case.workload, seed) for seed in case.seeds]
    metric = bases[0].task.metric
    note = getattr(bases[0].task, "deviation_note", "")
    dense = [base.test_scores()[metric] for base in bases]

    def scores(recipe):
        readings = (score_readings(compress(base, recipe))[metric] for base in bases)
        return [math.nan if reading.value is None else reading.value for reading in readings]

    found = {
        ticket: TicketScores(
            dense,
            scores(ticket),
            dict(zip(CONTROLS, map(scores, controls(ticket)), strict=True)),
        )
        for ticket in judged_with(case.recipe)
    }
    for ticket, verdict in judge_tickets(found).items():
        mine = found[ticket]
        closing_row(
            "lottery tickets, mean over seeds" + (note and f"; p {note}"),
            workload=bases[0].workload,
            recipe=ticket,
            seeds=len(bases),
            of=metric,
            dense=f"{statistics.fmean(dense):.4f}",
            ticket=f"{statistics.fmean(mine.ticket):.4f}",
            **{name: f"{statistics.fmean(s):.4f}" for name, s in mine.controls.items()},
            verdict=verdict,
        )
    limit = MEAN_DROP_AT_MOST.get(case.workload, OTHERS_DROP_AT_MOST)
    for ticket, mine in found.items():
        assert statistics.fmean(dense) - statistics.fmean(mine.ticket) <= limit, ticket
