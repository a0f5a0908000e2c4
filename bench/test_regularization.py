"""What does L2 regularization cost, and does it make a model smaller? (paper, 3.3, Table 17)."""

import pytest

from gnnperf.compression.l2 import PAPER_RATES
from gnnperf.recipes import compress, parse_recipe
from gnnperf.reports.paper import paper_figure
from gnnperf.reports.table import human, human_bytes
from gnnperf.study.measure import DEFAULT_METERS
from gnnperf.workloads import PRUNING_WORKLOADS, find_workload

PAPER_DATASET = {"cora_node": "cora-node", "cora_link": "cora-link"}
# As the table writes a rate, by the recipe.
LEVEL = {parse_recipe(f"l2@{rate}").text: rate for rate in PAPER_RATES}

# The rule: a rate up to the first loses at most so much of the twin's score, and one from the
# second on at least so much: there the decay outweighs the task, and the paper's models collapse.
MODERATE, MODERATE_DROP_AT_MOST = 1e-3, 0.06
EXTREME, EXTREME_DROP_AT_LEAST = 1e2, 0.05


def workloads(preset):
    return preset.select(
        smoke=["cora_node-spline"],
        quick=["cora_node-spline", "cora_link-ness"],
        default=PRUNING_WORKLOADS,
    )


def rates(preset):
    chosen = preset.select(
        smoke=["1e-3", "1e6"], quick=["0", "1e-3", "0.1", "1", "1e6"], default=PAPER_RATES
    )
    return [f"l2@{rate}" for rate in chosen]


def shown(reading):
    if reading is None:
        return "-"
    return "unavailable" if reading.value is None else f"{reading.value:.3f}"


def meters(preset):
    """What a training takes is told by training twice more: the paper's preset alone does."""
    return preset.select(paper=(*DEFAULT_METERS, "training"), default=("scores", "size"))


@pytest.mark.gnnperf_cases(workloads=workloads, recipes=rates)
def test_l2(case, trained, preset, measure, closing_row):
    compressed = compress(trained(case.workload, case.seed), case.recipe)
    record = measure(compressed, meters(preset))

    workload = find_workload(case.workload)
    dataset = workload.dataset.name
    score = record.readings[record.metric]
    closing_row(
        "Table 17: L2 regularization",
        workload=record.workload,
        rate=LEVEL[case.recipe],
        seed=record.seed,
        score=shown(score),
        of=record.metric,
        twin=shown(record.readings[f"twin_{record.metric}"]),
        majority=shown(record.readings.get("majority")),
        epochs=human(record.readings["training_epochs"]),
        model=human_bytes(record.readings["model_bytes"]),
        twin_model=human_bytes(record.readings["dense_bytes"]),
        paper=paper_figure(
            table=17,
            dataset=PAPER_DATASET.get(dataset, dataset),
            model=workload.architecture,
            level=LEVEL[case.recipe],
            metric="accuracy",
        ),
    )
    # Decay changes how large weights are, and not how many there are.
    assert record.value("parameters") == sum(
        parameter.numel() for parameter in trained(case.workload, case.seed).model.parameters()
    )
    assert record.value("model_bytes") == record.value("dense_bytes")
    if score.status == "unavailable":
        assert "diverged" in score.reason
        return
    rate, drop = float(LEVEL[case.recipe]), record.value(f"{record.metric}_drop")
    if rate <= MODERATE:
        assert drop <= MODERATE_DROP_AT_MOST
    if rate >= EXTREME:
        assert drop >= EXTREME_DROP_AT_LEAST
