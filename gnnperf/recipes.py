"""The registry of recipes: what can be done to a trained model, by its text `method@argument`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gnnperf.compression import Compressed, RecipeError, finetune
from gnnperf.compression.coverage import proven
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
from gnnperf.compression.quantization.a2q.recipe import a2q, parse_bits
from gnnperf.compression.quantization.methods import (
    ABOUT_ARGUMENT,
    ABOUT_TRAINING,
    parse_configuration,
    parse_training,
    quantize_after_training,
    train_protected,
    train_quantized,
)
from gnnperf.training import Trained

FINETUNE = "+finetune"


@dataclass(frozen=True)
class Method:
    """One way to compress; registered in METHODS under the name before the @.

    Attributes:
        about: one line for people, with the range of the argument.
        parse: text after the @ -> argument; raises ValueError for what is out of range.
        apply: (trained, argument) -> compressed; raises RecipeError. `compress` adds the recipe's
            text to the result and to the error.
        finetunes: whether `+finetune` may follow.
    """

    about: str
    parse: Callable[[str], Any]
    apply: Callable[[Trained, Any], Compressed]
    finetunes: bool = True


def _pruning(masking: Masking) -> Callable[[Trained, float], Compressed]:
    return lambda trained, sparsity: prune(trained, masking, sparsity)


METHODS: dict[str, Method] = {
    "global": Method(
        "magnitude pruning over the whole model; sparsity in [0, 1)",
        parse_sparsity,
        _pruning(global_masks),
    ),
    "layer": Method(
        "magnitude pruning in each parameter; sparsity in [0, 1)",
        parse_sparsity,
        _pruning(layer_masks),
    ),
    "gradual": Method(
        "global magnitude pruning that grows over the epochs of fine-tuning; sparsity in [0, 1)",
        parse_sparsity,
        prune_gradually,
        finetunes=False,
    ),
    "width": Method(
        "whole hidden channels removed, the model shrinks; share of each layer's in [0, 1)",
        parse_sparsity,
        narrow,
    ),
    "l2": Method(
        "trained anew with this L2 weight decay; a finite rate from 0 on",
        parse_rate,
        regularize,
        finetunes=False,
    ),
    "lottery": Method(
        "pruned, rewound and trained again; SPARSITY in [0, 1), and perhaps options, as in "
        "lottery@0.8:rounds=3,rewind=2,random-mask (rounds from 1, rewind to an epoch from 0, "
        "one control: random-mask or random-init)",
        parse_ticket,
        lottery_ticket,
        finetunes=False,
    ),
    "ptq": Method(
        f"post-training quantization, calibration only; {ABOUT_ARGUMENT}",
        parse_configuration,
        quantize_after_training,
        finetunes=False,
    ),
    "qat": Method(
        f"quantization-aware training; {ABOUT_TRAINING}",
        parse_training,
        train_quantized,
        finetunes=False,
    ),
    "dq": Method(
        f"Degree-Quant: quantization-aware training that spares nodes; {ABOUT_TRAINING}",
        parse_training,
        train_protected,
        finetunes=False,
    ),
    "a2q": Method(
        "aggregation-aware quantization; bits 2 to 8 of the weights, and of features to begin with",
        parse_bits,
        a2q,
        finetunes=False,
    ),
}
"""Every method; a new one is a module under compression/ and an entry here."""


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe; `text` is its canonical spelling and its name in ids and records."""

    text: str
    method: Method
    argument: Any
    finetuned: bool

    @property
    def trains(self) -> bool:
        """Whether applying it takes a training: its own, or fine-tuning."""
        return self.finetuned or not self.method.finetunes


def parse_recipe(text: str) -> Recipe:
    """Read `method@argument[+finetune]`; raises RecipeError with the remedy."""
    name, at, rest = text.partition("@")
    argument_text, finetuned = rest.removesuffix(FINETUNE), rest.endswith(FINETUNE)
    method = METHODS.get(name)
    if method is None or not at:
        known = ", ".join(f"{n}@..." for n in sorted(METHODS))
        followed = ", ".join(n for n, m in sorted(METHODS.items()) if m.finetunes)
        raise RecipeError(
            f"unknown recipe {text!r}; there are {known}; {FINETUNE} may follow {followed}"
        )
    if finetuned and not method.finetunes:
        raise RecipeError(f"recipe {text!r}: {name} trains by itself; leave {FINETUNE} out")
    try:
        argument = method.parse(argument_text)
    except ValueError:
        raise RecipeError(
            f"recipe {text!r}: {argument_text!r} is no argument for {name} ({method.about})"
        ) from None
    return Recipe(f"{name}@{_spelt(argument)}" + FINETUNE * finetuned, method, argument, finetuned)


def _spelt(argument: Any) -> str:
    if not isinstance(argument, float):
        return str(argument)
    short = f"{argument:g}"
    return short if float(short) == argument else repr(argument)


def compress(trained: Trained, recipe: str) -> Compressed:
    """Apply a recipe to a copy of the trained model, which stays as it is.

    What its method says that it changed is held against the tensors of the model that it gives
    back. Raises RecipeError for an unknown recipe, an argument out of range, nothing to change, or
    a claim that the tensors do not bear out.
    """
    parsed = parse_recipe(recipe)
    try:
        compressed = parsed.method.apply(with_plain_model(trained), parsed.argument)
        compressed = replace(compressed, recipe=parsed.text)
        return proven(finetune(compressed) if parsed.finetuned else compressed)
    except RecipeError as error:
        raise RecipeError(f"recipe {parsed.text}: {error}") from error
