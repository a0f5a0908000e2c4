"""What does quantization cost in accuracy, and gain in bytes and time? (paper, Tables 7, 8)."""

import statistics

import pytest

from gnnperf.compression.quantization.configuration import (
    CONFIGURATIONS,
    DEFAULT_CONFIGURATION,
    parse_configuration,
)
from gnnperf.compression.quantization.methods import ready_to_train
from gnnperf.gates.thresholds import require_drop_at_most, require_size_ratio_at_least
from gnnperf.recipes import compress
from gnnperf.reports.paper import paper_figure
from gnnperf.reports.table import human, human_bytes, kept_epoch, with_interval
from gnnperf.study.measure import DEFAULT_METERS, headline, score_readings
from gnnperf.study.sizes import size_readings
from gnnperf.training.optimizers.registry import find_optimizer
from gnnperf.workloads import find_workload

WORKLOADS = ("proteins-gin", "bbbp-gin")
# Recipe -> the paper's name; the dense control comes first.
METHODS = {
    "global@0": "fp32",
    "ptq@int8:hidden": None,
    "qat@int8:hidden": "qat-int8",
    "qat@int4:hidden": "qat-int4",
    "dq@int8:hidden": "dq-int8",
    "dq@int4:hidden": "dq-int4",
    "a2q@4": "a2q",
}
# All that the paper's section 2.5.1 speaks of; the default configuration stands above.
CONFIGURED = [
    f"{method}@{bits}:hidden,{name}"
    for method in ("qat", "dq")
    for bits in ("int8", "int4")
    for name in CONFIGURATIONS
    if name != DEFAULT_CONFIGURATION
]
# The rule for one seed: at most so much lost, of a test part of one or two hundred graphs.
DROP_AT_MOST = {
    "ptq": 0.08,
    "qat@int8:hidden": 0.06,
    "qat@int4:hidden": 0.12,
    "dq@int8:hidden": 0.06,
    "dq@int4:hidden": 0.12,
    "a2q": 0.1,
}
MEAN_DROP_AT_MOST = {
    "qat@int8:hidden": 0.015,
    "dq@int8:hidden": 0.015,
    "qat@int4:hidden": 0.04,
    "dq@int4:hidden": 0.04,
    "a2q@4": 0.04,
}
MEAN_BITS_AT_MOST = 5.0
SIZE_RATIO_AT_LEAST = {"int8": 4.0, "int4": 7.0, "4": 6.0}
# Whatever a test part's size, the shipped model is the simulated one.
AGREEMENT_AT_LEAST, STEPS_AT_MOST = 0.999, 1.0
# Epoch of a recipe's training over the dense epoch.
TRAINING_COST_AT_MOST = {
    "qat@int8:hidden,gc-abs": 2.0,
    "qat@int8:hidden,gc-mom": 2.0,
    "qat@int8:hidden,gc-per": 2.5,
    "dq@int8:hidden": 3.0,
}


def recipes(preset):
    """Smoke runs one, the paper's preset all configurations too."""
    return preset.select(
        smoke=["qat@int8:hidden"], paper=[*METHODS, *CONFIGURED], default=[*METHODS]
    )


def one_or_all(preset):
    """The paper's preset takes both datasets."""
    return preset.select(paper=WORKLOADS, default=WORKLOADS[:1])


def meters(preset):
    """What a training takes is told by training twice more: the paper's preset alone does."""
    return preset.select(paper=(*DEFAULT_METERS, "training"), default=DEFAULT_METERS)


@pytest.mark.gnnperf_cases(workloads=one_or_all, recipes=recipes)
def test_quantization(case, trained, preset, measure, closing_row):
    base = trained(case.workload, case.seed)
    compressed = compress(base, case.recipe)
    record = measure(compressed, meters(preset))

    dataset = find_workload(case.workload).dataset.name
    report = base.report if compressed.finetuned is None else compressed.finetuned
    paper = {
        metric: paper_figure(
            table=7,
            dataset=dataset,
            model="gin",
            method=METHODS.get(case.recipe) or "",
            metric=metric,
        )
        or "-"
        for metric in ("accuracy", "train_time", "inference_time")
    }
    closing_row(
        "Tables 7 and 8: quantized GIN",
        case=record.case,
        accuracy=f"{record.value('accuracy'):.3f}",
        fp32=f"{record.value('twin_accuracy'):.3f}",
        majority=f"{record.value('majority'):.3f}",
        paper=paper["accuracy"],
        train_seconds=f"{report.wall_seconds:.1f}" if "ptq" not in case.recipe else "0",
        epoch_kept=kept_epoch(record),
        paper_train=paper["train_time"],
        mean_bits=human(record.readings.get("mean_bits")),
        bytes=human_bytes(record.readings["stored_bytes"]),
        smaller=f"{record.value('size_ratio'):.2f}x",
        integer_time=with_interval(record.readings["cpu_ratio"]),
        simulated_time=human(record.readings.get("simulated_cpu_ratio")),
        paper_inference=paper["inference_time"],
    )
    if compressed.deployed is None:
        return
    assert record.value("export_agreement") >= AGREEMENT_AT_LEAST
    assert record.value("export_logit_difference_steps") <= STEPS_AT_MOST
    if "mean_bits" in record.readings:
        assert record.value("mean_bits") <= MEAN_BITS_AT_MOST
    method, _, argument = case.recipe.partition("@")
    require_size_ratio_at_least(record, SIZE_RATIO_AT_LEAST[argument.partition(":")[0]])
    if case.recipe in CONFIGURED:
        return  # What the others cost is the study's question, and no promise.
    require_drop_at_most(record, DROP_AT_MOST.get(case.recipe) or DROP_AT_MOST[method])


def paper_alone(preset):
    """A mean takes seeds, which the paper's preset trains anyway."""
    return preset.select(paper=WORKLOADS, default=())


@pytest.mark.gnnperf_cases(workloads=paper_alone, recipes=[*MEAN_DROP_AT_MOST], over_seeds=3)
def test_mean_drop(case, trained, closing_row):
    bases = [trained(case.workload, seed) for seed in case.seeds]
    drops = [score_readings(compress(base, case.recipe))["accuracy_drop"].value for base in bases]
    mean = statistics.fmean(drops)
    closing_row(
        f"drop against fp32, mean of {len(bases)} seeds",
        workload=bases[0].workload,
        recipe=case.recipe,
        drop=f"{mean:+.4f}",
        rule=f"at most {MEAN_DROP_AT_MOST[case.recipe]:g}",
    )
    assert mean <= MEAN_DROP_AT_MOST[case.recipe]


# Recipe -> workload -> stored ratio at least, drop of the headline score at most: means over three
# seeds or more. Settings were chosen on validation of others.
_FOUR = dict.fromkeys(
    ("cora_node-gcn", "cora_node-spline", "cora_link-ness", "bbbp-gnnnet", "bbbp-sage", *WORKLOADS),
    (4.0, 0.01),
)
_GIN = dict.fromkeys(WORKLOADS, (7.0, 0.015))
LIMITS = {
    "ptq@int8": _FOUR,
    "ptq@w4a8": {
        "cora_node-gcn": (9.0, 0.01),
        "cora_node-spline": (10.0, 0.01),
        "bbbp-gnnnet": (7.0, 0.01),
    },
    "qat@w2a8": {
        "cora_node-gcn": (20.0, 0.01),
        "cora_node-spline": (90.0, 0.01),
        "bbbp-gnnnet": (40.0, 0.025),
    },
    "global@0.9+qat@w4a8": {"cora_node-spline": (40.0, 0.01), "bbbp-gnnnet": (27.0, 0.02)},
    "qat@int4": _GIN,
    "dq@int4": _GIN,
    "a2q@4:target=2": {"cora_public-gcn": (6.0, 0.03)},
    "mixed@2:qat": {"cora_node-gcn": (27.0, 0.015)},
}


def limited(recipe):
    """The cases of one row of LIMITS, which the paper's preset runs."""
    workloads = list(LIMITS[recipe])
    return pytest.mark.gnnperf_cases(
        workloads=lambda preset: preset.select(paper=workloads, default=()),
        recipes=[recipe],
        over_seeds=3,
    )


def check_limits(case, trained, closing_row):
    """Mean drop and mean stored ratio over the seeds, held to the row's limits."""
    ratio, drop = LIMITS[case.recipe][case.workload]
    made = [compress(trained(case.workload, seed), case.recipe) for seed in case.seeds]
    name = f"{headline(made[0].twin).name}_drop"
    drops = [score_readings(one)[name].value for one in made]
    ratios = [size_readings(one)["size_ratio"].value for one in made]
    closing_row(
        f"stored ratio and drop, means of {len(made)} seeds",
        workload=made[0].twin.workload,
        recipe=case.recipe,
        smaller=f"{statistics.fmean(ratios):.2f}x",
        at_least=f"{ratio:g}x",
        drop=f"{statistics.fmean(drops):+.4f}",
        at_most=f"{drop:g}",
    )
    assert statistics.fmean(ratios) >= ratio
    assert statistics.fmean(drops) <= drop
    return made


@limited("ptq@int8")
def test_calibration_alone_at_eight_bits(case, trained, closing_row):
    check_limits(case, trained, closing_row)


@limited("ptq@w4a8")
def test_calibration_alone_at_four(case, trained, closing_row):
    check_limits(case, trained, closing_row)


@limited("qat@w2a8")
def test_weights_of_two_bits(case, trained, closing_row):
    check_limits(case, trained, closing_row)


@limited("global@0.9+qat@w4a8")
def test_pruned_then_quantized(case, trained, closing_row):
    check_limits(case, trained, closing_row)


@limited("qat@int4")
def test_trained_at_four(case, trained, closing_row):
    check_limits(case, trained, closing_row)


@limited("dq@int4")
def test_protected_at_four(case, trained, closing_row):
    check_limits(case, trained, closing_row)


@limited("mixed@2:qat")
def test_mixed_bits(case, trained, closing_row):
    check_limits(case, trained, closing_row)


@limited("a2q@4:target=2")
def test_a_target_of_hidden_bits(case, trained, closing_row):
    for compressed in check_limits(case, trained, closing_row):
        assert compressed.readings["target_met"].value == 1
        assert compressed.readings["hidden_bits"].value <= 2


# GCN of 128 on Cora's public split: recipe -> what MixQ-GNN (ICDE 2025) tells of it.
LITERATURE = {
    "global@0": "fp32 81.5",
    "qat@int8": "uniform QAT, 8 bits: 81.5; MixQ at 7.7: 81.6, with DQ 81.8",
    "dq@int8": "MixQ + DQ at 7.7: 81.8",
    "qat@int4": "uniform QAT, 4 bits: 79.2; MixQ at 3.8: 68.7",
    "dq@int4": "MixQ + DQ at 3.7: 72.3",
    "qat@w4a8": "MixQ at 5.8: 77.7, with DQ at 6.0: 80.0",
    "qat@int2": "uniform QAT, 2 bits: 44.7",
    "qat@w2a8": "-",
    "mixed@2.5:qat": "-",
    "a2q@4:target=2": "Bi-GCN-64, 1 bit: 81.2; A2Q chooses by test scores",
}


def public(preset):
    """The paper's preset alone: it trains for three seeds."""
    return preset.select(paper=["cora_public-gcn128", "cora_public-gcn"], default=())


@pytest.mark.gnnperf_cases(workloads=public, recipes=[*LITERATURE], over_seeds=3)
def test_beside_the_literature(case, trained, closing_row):
    made = [compress(trained(case.workload, seed), case.recipe) for seed in case.seeds]
    scores = [score_readings(one) for one in made]
    accuracy, dense = (
        statistics.fmean(score[name].value for score in scores)
        for name in ("accuracy", "twin_accuracy")
    )
    ratio = statistics.fmean(size_readings(one)["size_ratio"].value for one in made)
    closing_row(
        f"Cora's public split beside the literature, means of {len(made)} seeds",
        workload=case.workload,
        recipe=case.recipe,
        accuracy=f"{100 * accuracy:.1f}",
        fp32=f"{100 * dense:.1f}",
        smaller=f"{ratio:.1f}x",
        literature=LITERATURE[case.recipe],
    )
    assert dense >= 0.79
    assert accuracy > 0.4 if case.recipe == "qat@int2" else dense - accuracy <= 0.06


def other_recipes(preset):
    """The paper quantizes GIN alone; training the others again is left to its preset."""
    return preset.select(paper=["ptq@int8", "qat@int8"], default=["ptq@int8"])


def other_workloads(preset):
    """One of each kind of layer."""
    others = (
        *("cora_node-spline", "cora_link-ness", "cora_node-gcn", "bbbp-gnnnet", "bbbp-sage"),
        "proteins-hgpsl",
    )
    return preset.select(smoke=others[:1], default=others)


@pytest.mark.gnnperf_cases(workloads=other_workloads, recipes=other_recipes)
def test_other_models(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe))
    assert record.value("export_agreement") >= AGREEMENT_AT_LEAST
    assert record.value("export_logit_difference_steps") <= STEPS_AT_MOST
    require_drop_at_most(record, DROP_AT_MOST["ptq"])


@pytest.mark.proof
@pytest.mark.parametrize("recipe", TRAINING_COST_AT_MOST)
def test_training_cost(recipe, trained, preset, latency):
    """An epoch over the training part beside the dense model's, in turns in one process."""
    base = trained("proteins-gin", preset.seeds[0])
    method, _, argument = recipe.partition("@")
    spare_nodes = method == "dq"
    ready = ready_to_train(base, parse_configuration(argument), spare_nodes)
    model, batches = (
        ready.model,
        ready.train[:3],
    )  # A ratio needs no more, and the rounds are many instead.
    readings = latency(epoch(base, model, batches), epoch(base, base.model, batches), rounds=12)
    if readings["cpu_ratio"].value is not None:
        assert readings["cpu_ratio"].value <= TRAINING_COST_AT_MOST[recipe]


def epoch(base, model, batches):
    """A call that trains the model for one epoch as `fit` does; nothing is validated or kept."""
    optimizer = find_optimizer(base.train.optimizer)(model, base.train)

    def call():
        model.train()
        for batch in batches:
            optimizer.zero_grad()
            base.task.loss(model, batch).backward()
            optimizer.step()

    return call
