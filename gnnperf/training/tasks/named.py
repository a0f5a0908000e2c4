"""Tasks that are a `Prediction` with a name and fewer choices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.training.tasks.base import Parts, Scores
from gnnperf.training.tasks.prediction import Prediction


class Named:
    """Does what the `Prediction` does that `meant()` gives."""

    def __post_init__(self) -> None:
        """Raise GnnperfError for settings that no training can have."""
        self._meant  # noqa: B018

    def meant(self) -> Prediction:
        """The task in full."""
        raise NotImplementedError

    @cached_property
    def _meant(self) -> Prediction:
        return self.meant()

    @property
    def score_names(self) -> tuple[str, ...]:
        """The keys of what `evaluate` gives."""
        return self._meant.score_names

    def test_part(self) -> str:
        """In words, what the test part is."""
        return self._meant.test_part()

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """Batches of the three parts; raises DataError for what cannot be learned from."""
        return self._meant.split(graphs, seed)

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """Mean cross-entropy over the targets, plus the model's auxiliary losses."""
        return self._meant.loss(model, batch)

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """The metric, and `majority`, the rate that always naming the commonest class gets."""
        return self._meant.evaluate(model, batches)
