"""A part whose batches are drawn anew in every epoch: NeighborLoader, ClusterLoader, a sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, overload

import torch
from torch_geometric.data import Data

from gnnperf.datasets import DataError
from gnnperf.training.seeding import seeded


@dataclass(frozen=True)
class Drawn(Sequence[Data]):
    """Batches of a loader: as a sequence one draw, which the seed fixes, and anew with `anew()`.

    What calibrates or traces a model sees the one draw, and so the same in every run.

    Attributes:
        loader: gives other batches each time that it is iterated, drawn from torch's generator.
        change: what becomes of a batch; None: it is left out.
        seed: of the one draw.
    """

    loader: Iterable[Data]
    change: Callable[[Data], Data | None]
    seed: int

    def anew(self) -> Anew:
        """Iterates the loader again each time that it is iterated."""
        return Anew(self)

    def changed(self, change: Callable[[Data], Data]) -> Drawn:
        """The same batches with a further change."""

        def both(batch: Data) -> Data | None:
            first = self.change(batch)
            return None if first is None else change(first)

        return Drawn(self.loader, both, self.seed)

    def __iter__(self) -> Iterator[Data]:
        """The one draw; no more than a batch is held at once."""
        with seeded(self.seed):
            batches, state = iter(self.anew()), torch.get_rng_state()
        while True:
            # The caller draws between two batches, too.
            with torch.random.fork_rng():
                torch.set_rng_state(state)
                batch = next(batches, None)
                state = torch.get_rng_state()
            if batch is None:
                return
            yield batch

    @cached_property
    def _kept(self) -> list[Data]:
        """The first ones, as many as were asked for."""
        return []

    @cached_property
    def _count(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Data: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Data]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) or index < 0:
            return list(iter(self))[index]
        kept = self._kept
        if index >= len(kept):
            # More than is asked for, so that asking for one after the other draws few times.
            kept[:] = islice(self, max(_FIRST, 2 * (index + 1)))
        return kept[index]

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        """Whether there is a batch; drawn, where need be, and not counted."""
        return next(iter(self), None) is not None


_FIRST = 2


@dataclass(frozen=True)
class Anew:
    """Iterates a loader's batches, another draw each time."""

    drawn: Drawn

    def __iter__(self) -> Iterator[Data]:
        for batch in self.drawn.loader:
            changed = self.drawn.change(batch)
            if changed is not None:
                yield changed

    def __len__(self) -> int:
        return len(self.drawn)


def changed(batches: Sequence[Data], change: Callable[[Data], Data]) -> Sequence[Data]:
    """The batches with a change; those that are drawn anew still are."""
    if isinstance(batches, Drawn):
        return batches.changed(change)
    return [change(batch) for batch in batches]


def loaded(
    part: Iterable[Data],
    name: str,
    task: str,
    seed: int,
    change: Callable[[Data], Data | None],
) -> Sequence[Data]:
    """The batches of a part: of a loader to train on drawn anew each epoch, else fixed by the seed.

    Raises DataError where there are none, or no more after the first epoch.
    """
    drawn = Drawn(part, change, seed)
    if name == "train" and not isinstance(part, (list, tuple)):
        if isinstance(part, Iterator):
            raise DataError(
                f"{task}: the train part is an iterator, which ends with the first epoch; give "
                "the loader itself"
            )
        return drawn
    # A list asks for no length of an iterator, which would end it.
    if not (batches := list(iter(drawn))):
        raise DataError(f"{task}: the {name} part has no batch with a target; give one at least")
    return batches
