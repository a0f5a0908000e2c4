"""Are there winning tickets in graph neural networks? (paper, section 1 and its conclusion: no)."""

import statistics

import pytest

from gnnperf.compression.pruning.lottery import CONTROLS
from gnnperf.gates.tickets import judge_tickets
from gnnperf.recipes import compress
from gnnperf.study.measure import score_readings
from gnnperf.workloads import PRUNING_WORKLOADS

# The rule: a ticket that is not worth keeping loses more than this, on the mean of the seeds.
MEAN_DROP_AT_MOST = {"cora_node-spline": 0.02, "cora_link-ness": 0.06}
OTHERS_DROP_AT_MOST = 0.10
# A verdict needs a deviation over seeds.
SEEDS_AT_LEAST = 3


def workloads(preset):
    return preset.select(
        smoke=["cora_node-spline"],
        quick=["cora_node-spline", "cora_link-ness"],
        default=PRUNING_WORKLOADS,
    )


def tickets(preset):
    return preset.select(
        smoke=["lottery@0.8"],
        quick=["lottery@0.8:rounds=3"],
        default=[
            f"lottery@{sparsity}:rounds=3{rewind}"
            for sparsity in (0.5, 0.8, 0.9)
            for rewind in ("", ",rewind=2")
        ],
    )


def controls(recipe):
    return [f"{recipe}{',' if ':' in recipe else ':'}{name}" for name in CONTROLS]


@pytest.mark.gnnperf_cases(
    workloads=workloads,
    recipes=lambda preset: [
        text for ticket in tickets(preset) for text in (ticket, *controls(ticket))
    ],
)
def test_ticket(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe), ("scores", "size"))

    floor = record.value("majority") if record.metric == "accuracy" else 0.5
    assert record.value(record.metric) > floor


@pytest.mark.gnnperf_cases(
    workloads=workloads, recipes=tickets, over_seeds=SEEDS_AT_LEAST, beside=controls
)
def test_verdict(case, trained, closing_row):
    bases = [trained(case.workload, seed) for seed in case.seeds]
    metric = bases[0].task.metric
    dense = [base.test_scores()[metric] for base in bases]
    ticket, *others = (
        [score_readings(compress(base, recipe))[metric].value for base in bases]
        for recipe in (case.recipe, *case.beside)
    )
    scores_of = dict(zip(CONTROLS, others, strict=True))
    verdict = judge_tickets(dense, ticket, scores_of)
    closing_row(
        "lottery tickets, mean over seeds",
        workload=bases[0].workload,
        recipe=case.recipe,
        seeds=len(bases),
        of=metric,
        dense=f"{statistics.fmean(dense):.4f}",
        ticket=f"{statistics.fmean(ticket):.4f}",
        **{name: f"{statistics.fmean(s):.4f}" for name, s in scores_of.items()},
        verdict=verdict,
    )
    drop = statistics.fmean(dense) - statistics.fmean(ticket)
    assert drop <= MEAN_DROP_AT_MOST.get(case.workload, OTHERS_DROP_AT_MOST)
