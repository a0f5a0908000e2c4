"""Cases: a workload under a recipe with a seed, or over several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gnnperf.recipes import parse_recipe
from gnnperf.study.presets import Preset

T = TypeVar("T")
ByPreset = Sequence[T] | Callable[[Preset], Sequence[T]]
"""What a marker lists, or a function of the preset that gives it."""

Training = tuple[str, int, str]
"""Workload, seed and recipe."""


@dataclass(frozen=True)
class Case:
    """One pytest case, one record.

    Attributes:
        workload, recipe, seed: what is measured.
        beside: further recipes that the test applies.
    """

    workload: str
    recipe: str
    seed: int
    beside: tuple[str, ...] = ()

    def id_on(self, workload_id: str) -> str:
        """The test's id, with the workload's on the data at hand."""
        return f"{workload_id}-{self.recipe}-seed{self.seed}"

    def trainings(self) -> tuple[Training, ...]:
        """What the test will ask to be trained."""
        return tuple((self.workload, self.seed, text) for text in (self.recipe, *self.beside))


@dataclass(frozen=True)
class CaseOverSeeds:
    """One pytest case whose rule is about several seeds.

    Attributes:
        workload, recipe, seeds: what is judged.
        beside: further recipes that the test applies.
    """

    workload: str
    recipe: str
    seeds: tuple[int, ...]
    beside: tuple[str, ...] = ()

    def id_on(self, workload_id: str) -> str:
        """The test's id, with the workload's on the data at hand."""
        return f"{workload_id}-{self.recipe}-seeds{','.join(map(str, self.seeds))}"

    def trainings(self) -> tuple[Training, ...]:
        """What the test will ask to be trained, on every seed."""
        return tuple(
            (self.workload, seed, text)
            for text in (self.recipe, *self.beside)
            for seed in self.seeds
        )


def expand(
    workloads: ByPreset[str],
    recipes: ByPreset[str],
    preset: Preset,
    seeds: ByPreset[int] | None = None,
    over_seeds: int | None = None,
    beside: Callable[[str], Sequence[str]] = lambda recipe: (),
) -> Iterator[Case | CaseOverSeeds]:
    """All cases of a marker under a preset; raises RecipeError for a recipe there is not.

    Args:
        workloads: their names.
        recipes: their texts.
        preset: gives the seeds, unless the marker does.
        seeds: in place of the preset's.
        over_seeds: one case for all seeds; the preset's are filled up to so many, unless a person
            chose them.
        beside: recipe -> those that the test applies besides.
    """

    def listed(names: ByPreset[T]) -> Sequence[T]:
        return names(preset) if callable(names) else names

    drawn = preset.seeds if seeds is None else listed(seeds)
    texts = dict.fromkeys(parse_recipe(text).text for text in listed(recipes))
    for workload in listed(workloads):
        for recipe in texts:
            others = tuple(parse_recipe(text).text for text in beside(recipe))
            if over_seeds is not None:
                yield CaseOverSeeds(workload, recipe, preset.seeds_at_least(over_seeds), others)
                continue
            for seed in drawn:
                yield Case(workload, recipe, seed, others)
