"""Recipes of several steps: what may follow what, and one step after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from gnnperf.compression.compressed import Compressed, RecipeError, Step
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


@dataclass(frozen=True)
class Link:
    """A step as its neighbours see it.

    Attributes:
        text: as it is spelt.
        name: of its method.
        kind: what it does.
        needs: methods of which one has to stand before it; empty: none has to.
        followed_by: methods that may come right after it; None: all that its kind allows.
    """

    text: str
    name: str
    kind: Kind
    needs: Sequence[str] = ()
    followed_by: Sequence[str] | None = None


def nonsense(links: Sequence[Link]) -> str:
    """Why such steps make no chain, with the remedy; empty where they do."""
    for place, link in enumerate(links):
        before = links[place - 1] if place else None
        earlier = {other.name for other in links[:place]}
        if before is None and link.kind == "finetune":
            return f"{link.text} has nothing to train on after; put a pruning before it"
        if before is None and link.kind == "deploy":
            return (
                f"{link.text} says how a model is executed, not which; begin with dense, or a "
                "method"
            )
        if before is not None and link.kind not in _MAY_FOLLOW[before.kind]:
            return _why_not(before.text, before.kind, link.text, link.kind)
        if before is not None and not _may_follow(before, link):
            allowed = " or ".join(before.followed_by or ()) or "nothing"
            return f"{before.text} may be followed by {allowed} alone; leave +{link.text} out"
        if link.needs and not earlier.intersection(link.needs):
            return f"{link.text} needs {' or '.join(link.needs)} before it; put it there"
    return ""


def _may_follow(before: Link, link: Link) -> bool:
    # How a model is executed is no matter of what was done to it.
    allowed = before.followed_by
    return allowed is None or link.kind == "deploy" or link.name in allowed


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
    Raises RecipeError, also for a method that gives no Compressed.
    """
    if not is_usable(before.readings):
        return before
    twin = before.twin
    base = twin
    if before.steps:
        base = replace(twin, model=before.model, split=lambda: twin.parts)
    given = apply(base, argument)
    if not isinstance(given, Compressed):
        raise RecipeError(f"its method gave a {type(given).__name__}; let it return a Compressed")
    after = borne_out(given)
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
