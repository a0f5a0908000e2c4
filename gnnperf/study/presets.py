"""How much of the study a run covers: presets, and lists of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Seeds and sparsities that experiments run over.

    Attributes:
        name: what it is called.
        seeds: the preset's own, or those that a person chose instead.
        sparsities: shares of weights that pruning takes.
        seeds_are_chosen: whether a person chose the seeds.
    """

    name: str
    seeds: tuple[int, ...]
    sparsities: tuple[float, ...]
    seeds_are_chosen: bool = False

    def select(self, *, default: Sequence[str], **by_name: Sequence[str]) -> Sequence[str]:
        """What is named for this preset, or the default."""
        return by_name.get(self.name, default)

    def seeds_at_least(self, count: int) -> tuple[int, ...]:
        """The seeds, filled up with 0, 1, 2 ... to so many; as they are where a person chose."""
        if self.seeds_are_chosen:
            return self.seeds
        return (*self.seeds, *(s for s in range(count) if s not in self.seeds))[
            : max(count, len(self.seeds))
        ]


def first_seed(preset: Preset) -> tuple[int, ...]:
    """For what one seed shows as well as several."""
    return preset.seeds[:1]


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("smoke", seeds=(0,), sparsities=(0.5,)),
        Preset("quick", seeds=(0,), sparsities=(0.5, 0.8, 0.9)),
        Preset("paper", tuple(range(10)), tuple(level / 10 for level in range(10))),
    )
}
DEFAULT_PRESET = "quick"


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` or `0..9`, at most 1000 of 32 bits; raises ValueError."""
    seeds: dict[int, None] = {}
    if not text.isascii():  # int() also reads the digits of other scripts.
        raise ValueError
    for part in text.split(","):
        first, dots, last = part.partition("..")
        low, high = int(first), int(last if dots else first)
        if not 0 <= low <= high < min(1 << 32, low + _MOST_SEEDS):
            raise ValueError
        seeds.update(dict.fromkeys(range(low, high + 1)))
    if len(seeds) > _MOST_SEEDS:
        raise ValueError
    return list(seeds)


_MOST_SEEDS = 1000
