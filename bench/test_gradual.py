"""Is pruning little by little better than all at once and fine-tuning afterwards?"""

import pytest

from gnnperf.gates.thresholds import require_drop_at_most
from gnnperf.recipes import compress, parse_recipe
from gnnperf.study.measure import score_readings
from gnnperf.workloads import PRUNING_WORKLOADS, SOON_TRAINED

# The rule: gradual pruning loses at most so much of the twin's score up to this sparsity.
DROP_AT_MOST = {0.5: 0.06, 0.8: 0.10, 0.9: 0.25}


def workloads(preset):
    return preset.select(smoke=["cora_node-spline"], quick=SOON_TRAINED, default=PRUNING_WORKLOADS)


def recipes(preset):
    return [f"gradual@{s}" for s in preset.select(quick=[0.9], default=preset.sparsities)]


def at_once(recipe):
    pruned = f"global@{parse_recipe(recipe).argument}"
    return [pruned, f"{pruned}+finetune"]


@pytest.mark.gnnperf_cases(workloads=workloads, recipes=recipes, beside=at_once)
def test_gradual(case, trained, measure, closing_row):
    base = trained(case.workload, case.seed)
    record = measure(compress(base, case.recipe), ("scores", "size"))

    sparsity = parse_recipe(case.recipe).argument
    metric = record.metric

    def score(recipe):
        return f"{score_readings(compress(base, recipe))[metric].value:.3f}"

    closing_row(
        "gradual pruning beside one-shot",
        workload=record.workload,
        sparsity=f"{sparsity:g}",
        seed=record.seed,
        of=metric,
        dense=f"{record.value(f'twin_{metric}'):.3f}",
        **dict(zip(("one_shot", "finetuned"), map(score, case.beside), strict=True)),
        gradual=f"{record.value(metric):.3f}",
        kept=record.finetune["kept"],
    )
    require_drop_at_most(
        record, next(drop for level, drop in DROP_AT_MOST.items() if sparsity <= level)
    )
