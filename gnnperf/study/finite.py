"""What stands before every measurement: a model of NaN has scores and a size like any other."""

from __future__ import annotations

from gnnperf.compression import Compressed
from gnnperf.compression.finite import logits_fault, weights_fault
from gnnperf.errors import GnnperfError


class NotFiniteError(GnnperfError):
    """A model whose weights, or logits of the test part, are not all finite."""


def require_finite(compressed: Compressed) -> None:
    """Raise NotFiniteError for a case or a twin of which nothing that is measured would be true.

    A recipe whose own training diverged is a result: it says itself that there is no score, and
    why, and its weights are then not looked at.
    """
    twin = compressed.twin
    models = {"the dense twin": twin.model}
    score = compressed.readings.get(twin.task.metric)
    if score is None or score.status != "unavailable":
        models["the compressed model"] = compressed.model
        if compressed.deployed is not None:
            models["the model that is shipped"] = compressed.deployed
    for name, model in models.items():
        if fault := weights_fault(model) or logits_fault(model, twin.parts.test):
            raise NotFiniteError(
                f"{twin.workload}-{compressed.recipe}-seed{twin.seed}: {fault} in {name}, so that "
                "nothing was measured; train with a lower learning rate, choose a milder recipe, "
                "or mend data or checkpoint"
            )
