"""Cases: a workload under a recipe with a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gnnperf.recipes import parse_recipe
from gnnperf.study.presets import Preset

ByPreset = Sequence[str] | Callable[[Preset], Sequence[str]]
"""Names, or a function of the preset that gives them."""


@dataclass(frozen=True)
class Case:
    """One pytest case, one record."""

    workload: str
    recipe: str
    seed: int


def expand(
    workloads: ByPreset,
    recipes: ByPreset,
    preset: Preset,
    seeds: Sequence[int] | None = None,
) -> Iterator[Case]:
    """All cases of a marker under a preset, whose seeds it may replace.

    Raises RecipeError for a recipe there is not.
    """
    texts = recipes(preset) if callable(recipes) else recipes
    canonical = list(dict.fromkeys(parse_recipe(text).text for text in texts))
    for workload in workloads(preset) if callable(workloads) else workloads:
        for recipe in canonical:
            for seed in preset.seeds if seeds is None else seeds:
                yield Case(workload, recipe, seed)
