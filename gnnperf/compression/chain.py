"""Recipes of several steps: what may follow what, and one step after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from gnnperf.compression.compressed import Compressed, Step
from gnnperf.compression.coverage import borne_out
from gnnperf.compression.retraining import is_usable
from gnnperf.records import Reading
from gnnperf.training import Trained

Kind = Literal["dense", "start", "prune", "train", "finetune", "quantize", "deploy"]
"""What a step does to the model that it is given.

dense: nothing. start: trains anew from initial weights. prune: removes weights, and trains none.
train: removes weights while it trains on. finetune: trains on what a prune left. quantize: gives a
model of fewer bits. deploy: changes how the model is executed.
"""

_GOES_ON: frozenset[Kind] = frozenset({"prune", "train", "quantize", "deploy"})
_MAY_FOLLOW: Mapping[Kind, frozenset[Kind]] = {
    "dense": frozenset({"deploy"}),
    "start": _GOES_ON,
    "prune": _GOES_ON | {"finetune"},
    "train": _GOES_ON,
    "finetune": _GOES_ON,
    "quantize": frozenset({"deploy"}),
    "deploy": frozenset(),
}


def nonsense(steps: Sequence[tuple[str, Kind]]) -> str:
    """Why such steps, by text and kind, make no chain, with the remedy; empty where they do."""
    for (before, kind), (text, next_kind) in zip([("", None), *steps[:-1]], steps, strict=True):
        if kind is None and next_kind == "finetune":
            return f"{text} has nothing to train on after; put a pruning before it"
        if kind is None and next_kind == "deploy":
            return f"{text} says how a model is executed, not which; begin with dense, or a method"
        if kind is not None and next_kind not in _MAY_FOLLOW[kind]:
            return _why_not(before, kind, text, next_kind)
    return ""


def _why_not(before: str, kind: Kind, text: str, next_kind: Kind) -> str:
    if kind == "deploy":
        return f"{before} says how the model is executed; put it last"
    if next_kind == "start":
        return (
            f"{text} trains from initial weights, and what {before} did would be lost; put {text} "
            "first"
        )
    if "dense" in (kind, next_kind):
        return "dense is the model as it was trained; leave it out of a chain"
    if next_kind == "finetune":
        why = {"finetune": "trains on already", "quantize": "quantizes, and training comes before"}
        return f"{before} {why.get(kind, 'trains by itself')}; leave +{text} out"
    if next_kind == "quantize":
        return f"{before} and {text} both quantize; leave one out"
    return f"{before} quantizes, and then nothing can be removed; put {text} before it"


def then(
    before: Compressed, text: str, apply: Callable[[Trained, Any], Compressed], argument: Any
) -> Compressed:
    """Take one more step from where the last one ended; the twin stays the dense model.

    Where a training before left no usable weights the step is left out: there is nothing to take.
    """
    if not is_usable(before.readings):
        return before
    twin = before.twin
    base = twin
    if before.steps:
        base = replace(twin, model=before.model, split=lambda: twin.parts)
    after = borne_out(apply(base, argument))
    parameters = list(after.model.parameters())
    step = Step(
        text,
        after.coverage,
        sum(p.numel() for p in parameters),
        sum(int(torch.count_nonzero(p)) for p in parameters),
        after.finetuned,
        after.kept,
    )
    if after.finetuned is None:
        after = replace(after, finetuned=before.finetuned, start=before.start)
    return replace(
        after,
        twin=twin,
        coverage={**before.coverage, **after.coverage},
        readings=_joined(before.readings, after.readings),
        steps=(*before.steps, step),
    )


_SUMMED = ("training_epochs", "training_seconds")


def _joined(before: Mapping[str, Reading], after: Mapping[str, Reading]) -> dict[str, Reading]:
    """The last step's readings count, but for what all trainings of the recipe cost together."""
    joined = {**before, **after}
    for name in _SUMMED:
        if name in before and name in after:
            cost = [side[name].value or 0.0 for side in (before, after)]
            joined[name] = replace(after[name], value=sum(cost))
    return joined
