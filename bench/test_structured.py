"""What do removed channels, unlike masks, gain in bytes and milliseconds, and what do they cost?"""

import pytest

from gnnperf.recipes import compress, parse_recipe

# The rule: with so great a share of its channels gone, a model takes at most so much of its dense
# twin's time, and of its bytes and multiply-accumulates.
LATENCY_RATIO_AT_MOST = {"bbbp-gnnnet": {0.5: 0.65, 0.75: 0.5}}
# The first layer's inputs and the last one's outputs stay, so that half of the width leaves between
# a half and a quarter of the weights.
MODEL_BYTES_RATIO_AT_MOST = {0.25: 0.85, 0.5: 0.6, 0.75: 0.4}
MACS_RATIO_AT_MOST = {0.25: 0.85, 0.5: 0.62, 0.75: 0.4}


def workloads(preset):
    return preset.select(
        smoke=["bbbp-gnnnet"],
        quick=["bbbp-gnnnet", "proteins-gin", "cora_node-spline"],
        default=["bbbp-gnnnet", "bbbp-gin", "proteins-gin", "proteins-hgpsl", "cora_node-spline"],
    )


def widths(preset):
    return preset.select(
        smoke=["width@0.5"],
        quick=["width@0.5", "width@0.5+finetune"],
        default=[
            f"width@{share}{tail}" for share in (0.25, 0.5, 0.75) for tail in ("", "+finetune")
        ],
    )


@pytest.mark.gnnperf_cases(workloads=workloads, recipes=widths)
def test_width(case, trained, measure, closing_row):
    record = measure(compress(trained(case.workload, case.seed), case.recipe))

    share = parse_recipe(case.recipe).argument
    bytes_ratio = record.value("model_bytes") / record.value("dense_bytes")
    ratio = record.readings["cpu_ratio"]
    closing_row(
        "structured pruning, shares of the dense twin's",
        case=record.case,
        drop=f"{record.value(f'{record.metric}_drop'):+.3f}",
        parameters=f"{record.value('parameters'):.0f}",
        bytes=f"{bytes_ratio:.3f}",
        macs=f"{record.value('macs_ratio'):.3f}",
        cpu_time="unavailable" if ratio.value is None else f"{ratio.value:.3f}",
    )
    assert bytes_ratio <= MODEL_BYTES_RATIO_AT_MOST[share]
    assert record.value("macs_ratio") <= MACS_RATIO_AT_MOST[share]
    limit = LATENCY_RATIO_AT_MOST.get(case.workload, {}).get(share)
    if limit is not None and ratio.value is not None:
        assert ratio.value <= limit
