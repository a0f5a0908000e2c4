"""What can be done to a trained model to make it smaller."""

from gnnperf.compression.compressed import (
    Changed,
    Compressed,
    Coverage,
    Deployed,
    RecipeError,
    Step,
)
from gnnperf.compression.finetune import finetune
from gnnperf.compression.masks import attach_masks, deployed_state, hold_masks, masked_names
from gnnperf.compression.pruning.magnitude import prunable

__all__ = [
    "Changed",
    "Compressed",
    "Coverage",
    "Deployed",
    "RecipeError",
    "Step",
    "attach_masks",
    "deployed_state",
    "finetune",
    "hold_masks",
    "masked_names",
    "prunable",
]
