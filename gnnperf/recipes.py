"""The registry of methods, and recipes, chains of them such as `global@0.9+finetune+ptq@int8`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, get_args

from gnnperf.compression import Compressed, RecipeError, finetune
from gnnperf.compression.chain import Kind, Link, nonsense, then
from gnnperf.compression.coverage import COVERED, proven
from gnnperf.compression.l2 import parse_rate, regularize
from gnnperf.compression.plain import with_plain_model
from gnnperf.compression.pruning.gradual import prune_gradually
from gnnperf.compression.pruning.lottery import lottery_ticket, parse_ticket
from gnnperf.compression.pruning.magnitude import (
    Masking,
    global_masks,
    layer_masks,
    parse_sparsity,
    prune,
)
from gnnperf.compression.pruning.structured import narrow
from gnnperf.compression.quantization.a2q.recipe import a2q
from gnnperf.compression.quantization.a2q.target import parse_bits
from gnnperf.compression.quantization.configuration import (
    ABOUT_ARGUMENT,
    ABOUT_TRAINING,
    parse_configuration,
    parse_training,
)
from gnnperf.compression.quantization.methods import (
    quantize_after_training,
    train_protected,
    train_quantized,
)
from gnnperf.compression.quantization.mixed import ABOUT_MIXED, mix, parse_budget
from gnnperf.compression.retraining import is_usable
from gnnperf.deploy import DeployError, find_deployment
from gnnperf.records import unavailable
from gnnperf.system.sources import module_of
from gnnperf.training import Trained
from gnnperf.training.modules import copied


@dataclass(frozen=True)
class Method:
    """One way to compress; registered in METHODS under the name before the @.

    Attributes:
        about: one line for people, with the range of the argument.
        parse: text after the @ -> argument, whose `str` is its canonical text; raises ValueError
            for what is out of range, or RecipeError with a sentence of its own. None: it takes no
            argument, and its step is its name.
        apply: (trained, argument) -> compressed; raises RecipeError. `trained.model` is what the
            step before left, with its masks; it stays as it is. `compress` adds the recipe's text
            to the result and to the error.
        kind: what it does, which decides its place in a chain; see `gnnperf.compression.chain`.
        needs: names of methods of which one has to stand before it; empty: none has to.
        followed_by: names of methods that may come right after it; None: all that its kind allows.
    """

    about: str
    parse: Callable[[str], Any] | None
    apply: Callable[[Trained, Any], Compressed]
    kind: Kind = "prune"
    needs: Sequence[str] = ()
    followed_by: Sequence[str] | None = None

    def pattern(self, name: str) -> str:
        """How its steps look in lists of them."""
        return name if self.parse is None else f"{name}@..."

    @property
    def trains(self) -> bool:
        """Whether applying it takes a training, as far as its kind says."""
        return self.kind in ("start", "train", "finetune", "quantize")


def _pruning(masking: Masking) -> Callable[[Trained, float], Compressed]:
    return partial(prune, masking=masking)


def _as_it_is(trained: Trained, argument: None) -> Compressed:
    # Held against the tensors: only of what changed nothing it stands.
    idle = unavailable("fraction", "the recipe", "it leaves the model as it is")
    return Compressed(trained, copied(trained.model), {}, readings={COVERED: idle})


METHODS: dict[str, Method] = {
    "dense": Method("the model as it was trained", None, _as_it_is, "dense"),
    "finetune": Method(
        "training on, with what was removed held at zero, as in global@0.9+finetune",
        None,
        finetune,
        "finetune",
    ),
    "global": Method(
        "magnitude pruning over the whole model; sparsity in [0, 1)",
        parse_sparsity,
        _pruning(global_masks),
        "prune",
    ),
    "layer": Method(
        "magnitude pruning in each parameter; sparsity in [0, 1)",
        parse_sparsity,
        _pruning(layer_masks),
        "prune",
    ),
    "gradual": Method(
        "global magnitude pruning that grows over the epochs of fine-tuning; sparsity in [0, 1)",
        parse_sparsity,
        prune_gradually,
        "train",
    ),
    "width": Method(
        "whole hidden channels removed, the model shrinks; share of each layer's in [0, 1)",
        parse_sparsity,
        narrow,
        "prune",
    ),
    "l2": Method(
        "trained anew with this L2 weight decay; a finite rate from 0 on",
        parse_rate,
        regularize,
        "start",
    ),
    "lottery": Method(
        "pruned, rewound and trained again; SPARSITY in [0, 1), and perhaps options, as in "
        "lottery@0.8:rounds=3,rewind=2,random-mask (rounds from 1, rewind to an epoch from 0, "
        "one control: random-mask or random-init)",
        parse_ticket,
        lottery_ticket,
        "start",
    ),
    "ptq": Method(
        f"post-training quantization, calibration only; {ABOUT_ARGUMENT}",
        parse_configuration,
        quantize_after_training,
        "quantize",
    ),
    "qat": Method(
        f"quantization-aware training; {ABOUT_TRAINING}",
        parse_training,
        train_quantized,
        "quantize",
    ),
    "dq": Method(
        f"Degree-Quant: quantization-aware training that spares nodes; {ABOUT_TRAINING}",
        parse_training,
        train_protected,
        "quantize",
    ),
    "mixed": Method(ABOUT_MIXED, parse_budget, mix, "quantize"),
    "a2q": Method(
        "aggregation-aware quantization; bits 2 to 8 of the weights, and of features to begin "
        "with; perhaps with mean bits of hidden features to be reached, as in a2q@4:target=2",
        parse_bits,
        a2q,
        "quantize",
    ),
}
"""Every method; a new one is a module under compression/ and an entry here."""


def register_method(name: str, method: Method) -> None:
    """Add a method of one's own: `name@argument` is a step of recipes everywhere.

    Raises RecipeError for a name that a recipe cannot hold, or that another method has, for a kind
    that there is not, and for what cannot be called.
    """
    if not re.fullmatch(_NAME, name):
        raise RecipeError(
            f"a method cannot be called {name!r}; take letters, digits, - and _, a letter first"
        )
    if method.kind not in _OWN_KINDS:
        raise RecipeError(
            f"method {name!r} cannot be of kind {method.kind!r}; choose {', '.join(_OWN_KINDS)}"
        )
    if not callable(method.apply) or not (method.parse is None or callable(method.parse)):
        raise RecipeError(
            f"method {name!r} needs apply(trained, argument), and parse(text) or parse=None"
        )
    if METHODS.setdefault(name, method) is not method:
        raise RecipeError(f"a method {name!r} is registered already; give it another name")


_OWN_KINDS = tuple(kind for kind in get_args(Kind) if kind != "deploy")
"""A deployment is registered elsewhere."""
_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
_NEXT_STEP = re.compile(r"\+(?=[A-Za-z])")
"""A + in a number, as in 1e+06, begins no step."""


@dataclass(frozen=True)
class RecipeStep:
    """One step of a recipe; `text` is its canonical spelling."""

    text: str
    name: str
    method: Method
    argument: Any

    @property
    def link(self) -> Link:
        """What decides its place in a chain."""
        method = self.method
        return Link(self.text, self.name, method.kind, method.needs, method.followed_by)


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe; `text` is its canonical spelling and its name in ids and records."""

    text: str
    steps: tuple[RecipeStep, ...]

    @property
    def argument(self) -> Any:
        """The first step's: a pruning's sparsity."""
        return self.steps[0].argument

    @property
    def trains(self) -> bool:
        """Whether applying it takes a training of its own."""
        return any(step.method.trains for step in self.steps)


def own_methods(recipe: str) -> dict[str, Method]:
    """The methods of a recipe that are not gnnperf's, by name; raises as `parse_recipe`."""
    found = {step.name: step.method for step in parse_recipe(recipe).steps}
    return {name: m for name, m in found.items() if not _is_ours(m.apply)}


def _is_ours(part: Any) -> bool:
    return module_of(part).partition(".")[0] == "gnnperf"


def parse_recipe(text: str) -> Recipe:
    """Read `step+step...`, a step being `method@argument` or `method`.

    Raises RecipeError with the remedy, also for a chain that makes no sense.
    """
    steps = tuple(_step(text, piece) for piece in _NEXT_STEP.split(text))
    if why := nonsense([step.link for step in steps]):
        raise RecipeError(f"recipe {text!r}: {why}")
    return Recipe("+".join(step.text for step in steps), steps)


DEPLOY = "deploy="


def _deploy(text: str, piece: str) -> RecipeStep:
    name = piece.removeprefix(DEPLOY)
    try:
        deployment = find_deployment(name)
    except DeployError as error:
        raise RecipeError(f"recipe {text!r}: {error}") from None
    # `compress` only notes it: the model that is executed is the same.
    return RecipeStep(piece, "deploy", Method(deployment.about, None, _as_it_is, "deploy"), name)


def _step(text: str, piece: str) -> RecipeStep:
    if piece.startswith(DEPLOY):
        return _deploy(text, piece)
    name, at, rest = piece.partition("@")
    method = METHODS.get(name)
    if method is None or bool(at) != (method.parse is not None):
        known = ", ".join(m.pattern(n) for n, m in sorted(METHODS.items()))
        which = "" if piece == text else f"there is no step {piece!r}; "
        raise RecipeError(f"unknown recipe {text!r}; {which}there are {known}, joined by +")
    if method.parse is None:
        return RecipeStep(name, name, method, None)
    try:
        argument = method.parse(rest)
    except RecipeError as error:
        raise RecipeError(f"recipe {text!r}: {error}") from None
    except ValueError:
        raise RecipeError(
            f"recipe {text!r}: {rest!r} is no argument for {name} ({method.about})"
        ) from None
    return RecipeStep(f"{name}@{_spelt(argument)}", name, method, argument)


def _spelt(argument: Any) -> str:
    if not isinstance(argument, float):
        return str(argument)
    short = f"{argument:g}"
    return short if float(short) == argument else repr(argument)


def compress(trained: Trained, recipe: str) -> Compressed:
    """Apply a recipe to a copy of the trained model, which stays as it is.

    Each step takes what the one before gave; the twin of all is the trained model. What a step says
    that it changed is held against the tensors of the model that it gives back, and coverage is
    counted on those of the last. Raises RecipeError for an unknown recipe, an argument out of
    range, a chain that makes no sense, nothing to change, or a claim that is not borne out.
    """
    parsed = parse_recipe(recipe)
    where = ""
    try:
        trained = with_plain_model(trained)
        compressed = Compressed(trained, trained.model, {})
        for step in parsed.steps:
            if step.method.kind == "deploy":
                if is_usable(compressed.readings):
                    compressed = replace(compressed, deployment=step.argument)
                continue
            where = "" if len(parsed.steps) == 1 else f"step {step.text}: "
            compressed = then(compressed, step.text, step.method.apply, step.argument)
        return proven(replace(compressed, recipe=parsed.text))
    except RecipeError as error:
        raise RecipeError(f"recipe {parsed.text}: {where}{error}") from error
