"""Which layers does global pruning thin out, and which can bear it? (paper, 3.2.1, Figure 2)."""

from dataclasses import replace

import pytest

from gnnperf.compression import prunable
from gnnperf.compression.pruning.magnitude import layer_masks, prune
from gnnperf.recipes import compress, parse_recipe
from gnnperf.study.measure import measure as take
from gnnperf.study.measure import score_readings
from gnnperf.study.presets import first_seed
from gnnperf.workloads import PRUNING_WORKLOADS

# The rule: any one layer alone can lose half of its weights at this price.
HALF_OF_ONE_LAYER_DROP_AT_MOST = 0.10


def workloads(preset):
    return preset.select(smoke=["cora_node-spline"], default=PRUNING_WORKLOADS)


@pytest.mark.gnnperf_cases(
    workloads=workloads,
    recipes=lambda preset: [f"global@{sparsity}" for sparsity in preset.sparsities],
    seeds=first_seed,
)
def test_sparsity_of_layers(case, trained, closing_row):
    compressed = compress(trained(case.workload, case.seed), case.recipe)
    # No meter: layers are part of every record, and these cases are measured by test_pruning.
    record = take(compressed, run_pair=lambda pair: None, meters=())

    pruned = {name: record.layers[name] for name in record.coverage}
    zeros = {name: layer.parameters - layer.nonzeros for name, layer in pruned.items()}
    sparsity = parse_recipe(case.recipe).argument
    closing_row(
        f"Figure 2: share of zeros in each layer, {record.workload}",
        sparsity=f"{sparsity:g}",
        **{name: f"{zeros[name] / layer.parameters:.3f}" for name, layer in pruned.items()},
    )
    # Weights that were zero before are among the smallest, so that none is counted twice.
    total = sum(layer.parameters for layer in pruned.values())
    assert sum(zeros.values()) >= round(sparsity * total)
    assert sum(zeros.values()) == pytest.approx(sparsity * total, abs=0.01 * total)


def seeds(preset):
    """The claim takes a verdict from several; elsewhere one shows as much."""
    return preset.select(paper=preset.seeds, default=first_seed(preset))


@pytest.mark.gnnperf_cases(workloads=workloads, recipes=["layer@0"], seeds=seeds)
def test_sensitivity_of_layers(case, trained, preset, measure, closing_row):
    base = trained(case.workload, case.seed)
    metric = base.task.metric
    drops = {
        name: {
            sparsity: score_readings(alone(base, name, sparsity))[f"{metric}_drop"]
            for sparsity in preset.sparsities
        }
        for name in prunable(base.model)
    }
    readings = {
        f"sensitivity {name}@{sparsity:g}": replace(drop, source=f"{drop.source}, {name} pruned")
        for name, of_layer in drops.items()
        for sparsity, drop in of_layer.items()
    }
    compressed = compress(base, case.recipe)
    compressed = replace(compressed, readings={**compressed.readings, **readings})
    record = measure(compressed, ("scores",))

    dense = record.value(f"twin_{metric}")
    for name, of_layer in drops.items():
        closing_row(
            f"{metric} with one layer alone pruned, {base.workload} (dense: {dense:.3f})",
            layer=name,
            weights=base.model.get_parameter(name).numel(),
            **{f"{sparsity:g}": f"{dense - d.value:.3f}" for sparsity, d in of_layer.items()},
        )
        for sparsity, drop in of_layer.items():
            if sparsity == 0:
                assert drop.value == 0
            if sparsity <= 0.5:
                assert drop.value <= HALF_OF_ONE_LAYER_DROP_AT_MOST, (name, sparsity)


def alone(base, layer, sparsity):
    """The base with the smallest weights of one layer gone."""
    return prune(base, sparsity, lambda weights, share: layer_masks({layer: weights[layer]}, share))
