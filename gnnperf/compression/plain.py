"""Trained models whose weights lie open, which recipes can change in place."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from gnnperf.compression.compressed import Compressed, RecipeError
from gnnperf.models.wrappers import WrapperError, folded, parametrized, unwrapped
from gnnperf.training import Trained
from gnnperf.training.modules import copied


def with_plain_model(trained: Trained) -> Trained:
    """The same base with its model unwrapped, and with the weights folded that are computed.

    Raises RecipeError for a model of which the weights cannot be had.
    """
    model = plain_module(trained.model, trained.workload)
    return trained if model is trained.model else replace(trained, model=model)


def with_plain_models(compressed: Compressed) -> Compressed:
    """The same case with both its models so; raises RecipeError likewise."""
    twin = with_plain_model(compressed.twin)
    model = plain_module(compressed.model, twin.workload)
    return replace(compressed, twin=twin, model=model)


def plain_module(model: nn.Module, workload: str) -> nn.Module:
    """The module inside of what wraps it, its computed weights folded; raises RecipeError."""
    try:
        inside = unwrapped(model)
    except WrapperError as error:
        raise RecipeError(f"{workload}: {error}") from error
    return folded(copied(inside)) if parametrized(inside) else inside


def untrained(trained: Trained, draw: int | None = None) -> nn.Module:
    """`trained.fresh()`, or with another draw, for a recipe that trains from the start.

    Raises RecipeError where that computes its weights (spectral_norm, weight_norm): the base was
    trained so, and what a recipe holds on to would be another model.
    """
    model = unwrapped(trained.fresh() if draw is None else trained.fresh(draw))
    if names := parametrized(model):
        raise RecipeError(
            f"{trained.workload} computes {names[0]} from a parametrization in every forward, so "
            "that it cannot be trained anew with its plain weights; use a recipe that begins with "
            "the trained ones, such as global, or take the parametrization off"
        )
    return model
