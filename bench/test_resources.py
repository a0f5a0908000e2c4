"""What do energy, processor time and memory come to? (paper, Tables 8 and 13 to 17)."""

import pytest

from gnnperf.recipes import compress
from gnnperf.workloads import PRUNING_WORKLOADS

QUANTIZED_WORKLOADS = ("proteins-gin", "bbbp-gin")
# As the paper: layers that read raw features stay in fp32.
QUANTIZED = (
    *("ptq@int8:hidden", "qat@int8:hidden", "qat@int4:hidden", "dq@int8:hidden", "dq@int4:hidden"),
    "a2q@4",
)


def workloads(preset):
    """Those that the paper prunes or quantizes; smoke takes one, as windows last seconds.

    The paper's preset takes the quantized ones with their recipes, below.
    """
    return preset.select(
        smoke=["cora_node-spline"],
        paper=PRUNING_WORKLOADS,
        default=[*PRUNING_WORKLOADS, *QUANTIZED_WORKLOADS],
    )


def prunings(preset):
    """Tables 13 to 16 whole; elsewhere the least and the most, as masks change little."""
    ends = [f"global@{preset.sparsities[end]}" for end in (0, -1)]
    grid = [
        f"{method}@{sparsity}{tail}"
        for method in ("global", "layer")
        for sparsity in preset.sparsities
        for tail in ("", "+finetune")
    ]
    return preset.select(paper=grid, default=ends)


def quantized_workloads(preset):
    """Quantized models are measured in the paper's preset alone."""
    return preset.select(paper=QUANTIZED_WORKLOADS, default=())


# HGP-SL learns graphs of its own: they depend on its weights, and so do its products, a little.
MACS_WITHIN = {"proteins-hgpsl": 0.02}
METERS = ("scores", "size", "latency", "cost", "energy", "memory", "cpu")


@pytest.mark.gnnperf_cases(workloads=workloads, recipes=prunings)
def test_resources(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe), METERS)

    # A mask saves no multiplication and no activation: what is said to be saved must be found.
    assert record.value("macs_ratio") == pytest.approx(1, abs=MACS_WITHIN.get(case.workload, 0))
    for name in ("peak_heap_ratio", "load_peak_heap_ratio"):
        assert record.readings[name].status in ("measured", "unavailable")
    if record.readings["peak_heap_ratio"].value is not None:
        assert record.value("peak_heap_ratio") == pytest.approx(1, rel=0.02)


@pytest.mark.gnnperf_cases(workloads=quantized_workloads, recipes=["global@0", *QUANTIZED])
def test_resources_of_quantized_models(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe), METERS)

    for name in ("inference_cpu_seconds", "peak_heap_bytes", "energy_joules"):
        assert record.readings[name].status in ("measured", "estimated", "unavailable")
    assert record.value("inference_cpu_seconds") > 0
    assert record.value("size_ratio") > 1 or case.recipe == "global@0"
