"""A part whose batches are drawn anew in every epoch: NeighborLoader, ClusterLoader, a sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

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

    @cached_property
    def _fixed(self) -> list[Data]:
        with seeded(self.seed):
            # A list asks for no length of an iterator.
            return list(iter(self.anew()))

    @overload
    def __getitem__(self, index: int) -> Data: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Data]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._fixed[index]

    def __len__(self) -> int:
        return len(self._fixed)


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
    if not len(drawn):
        raise DataError(f"{task}: the {name} part has no batch with a target; give one at least")
    return list(drawn)
