"""What does a training epoch of A2Q cost beside one of the fp32 model, in one process?"""

from copy import deepcopy

import pytest

from gnnperf.compression.quantization.a2q.features import hold_ranges
from gnnperf.compression.quantization.a2q.recipe import quantize_linears, row_counts
from gnnperf.training import evaluate
from gnnperf.training.optimizers.registry import find_optimizer

pytestmark = pytest.mark.proof


def epoch(base, model, optimizer, after_step):
    """A call that trains on all batches and validates, as every epoch of a training does."""
    optimizer = find_optimizer(optimizer)(model, base.train)

    def run():
        model.train()
        for batch in base.parts.train:
            optimizer.zero_grad()
            base.task.loss(model, batch).backward()
            optimizer.step()
            after_step(model)
        evaluate(model, base.task, base.parts.validation)

    return run


@pytest.mark.parametrize("workload", ["proteins-gin", "bbbp-gin"])
def test_a2q_epoch_takes_at_most_four_times_as_long(workload, trained, latency):
    base = trained(workload)
    model = deepcopy(base.model)
    quantize_linears(model, row_counts(model, base.parts.train), bits=4)
    ratio = latency(
        epoch(base, model, "role-adam", hold_ranges),
        epoch(base, deepcopy(base.model), base.train.optimizer, lambda model: None),
        rounds=5,
        warmup_rounds=2,
    )["cpu_ratio"]
    if ratio.status != "unavailable":
        assert ratio.value <= 4.0
