"""What a recipe gives back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from torch import nn

from gnnperf.codec import State
from gnnperf.compression.masks import deployed_state
from gnnperf.errors import GnnperfError
from gnnperf.records import Reading
from gnnperf.training import FitReport, Trained


class RecipeError(GnnperfError):
    """A recipe that is misspelt, out of range, or finds nothing to do on this model."""


@dataclass(frozen=True)
class Changed:
    """How much of one parameter a recipe changed, which the model's tensors have to bear out.

    Attributes:
        changed: entries.
        total: entries there were.
        how: they are zero or gone (removed), stored in fewer bits (quantized), or other numbers
            than the twin's (moved).
    """

    changed: int
    total: int
    how: Literal["removed", "quantized", "moved"] = "removed"


Coverage = Mapping[str, Changed]
"""The parameters that a recipe took in hand, by name; never empty."""


@dataclass(frozen=True)
class Step:
    """What one step of a recipe did.

    Attributes:
        text: its canonical spelling, `global@0.9`.
        coverage: the parameters that it took in hand.
        parameters, nonzeros: of the model that it left.
        training: how its own training went; None without.
        kept: which weights that training left, in words; empty without.
    """

    text: str
    coverage: Coverage
    parameters: int
    nonzeros: int
    training: FitReport | None = None
    kept: str = ""


class Deployed(nn.Module):
    """A module made for inference alone, whose stored state need not be its `state_dict`."""

    def state(self) -> State:
        """What is stored, such that the module can be made again from it."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what was stored, in place; raises GnnperfError for another module's."""
        raise NotImplementedError


@dataclass(frozen=True)
class Compressed:
    """A model after a recipe, beside the dense twin it was made from.

    Attributes:
        twin: the trained dense model.
        model: the changed copy, in eval mode.
        coverage: the parameters the recipe took in hand. What a method says here is a claim, which
            `gnnperf.recipes.compress` holds against the tensors; of an empty one it counts.
        uncovered: weights that were not taken in hand, with the reason of each.
        finetuned: how the last training of the recipe went; None without. Best epoch 0 means that
            the weights from before it were as good on validation and were kept.
        deployed: the module that is shipped and run, where it is another than `model`, which then
            only simulates it; it has a method `state()` that gives what is stored.
        readings: what the recipe itself measured or counted, for the record.
        start: what it means that training kept the weights it began with, `calibration sufficed`.
        recipe: its text, which `gnnperf.recipes.compress` fills in, as it does `steps`.
        steps: what each step of the recipe did, in their order.
        deployment: how it is run, a name in `gnnperf.deploy.DEPLOYMENTS`; empty: as it is.
    """

    twin: Trained
    model: nn.Module
    coverage: Coverage = field(default_factory=dict)
    finetuned: FitReport | None = None
    deployed: Deployed | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    start: str = "start"
    recipe: str = ""
    uncovered: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    deployment: str = ""

    @property
    def kept(self) -> str:
        """Which weights a training on left, in words; empty without one."""
        if self.finetuned is None:
            return ""
        kept = self.finetuned.kept
        return self.start if kept == "start" else kept

    @property
    def shipped(self) -> nn.Module:
        """The module whose inference and file are measured."""
        return self.model if self.deployed is None else self.deployed

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the model for `gnnperf.load(path, MyNet(...))`, and give the file's bytes.

        Without masks, and without pickled code; the outputs are the same bit for bit, which is
        tried before anything is written. Raises GnnperfError for what cannot be described.
        """
        # Not by an import, which the keys of cached trainings would follow: how a model is written
        # decides none.
        written: int = import_module("gnnperf.compression.shipped").save(self, path)
        return written

    def state(self) -> State:
        """What is stored and shipped."""
        if self.deployed is not None:
            return self.deployed.state()
        return dict(deployed_state(self.model))
