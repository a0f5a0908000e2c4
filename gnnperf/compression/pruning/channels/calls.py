"""One operation of torch's that ran, as a rule for its labels sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from gnnperf.compression.pruning.channels.labels import Dim, Labels, kept_whole

Dims = list[Dim]


class Call:
    """One operation that ran.

    Attributes:
        labels: the search's.
        given: its arguments by the names of its schema.
        outputs: the tensors that came out.
    """

    def __init__(
        self,
        labels: Labels,
        dims: Callable[[Tensor], Dims],
        given: Mapping[str, Any],
        outputs: Sequence[Tensor],
    ) -> None:
        self.labels, self._dims, self.given, self.outputs = labels, dims, given, outputs

    def dims(self, name: str) -> Dims:
        """The labels of an argument that is a tensor."""
        return self._dims(self.given[name])

    def all_dims(self, *names: str) -> list[Dims]:
        """Those of all arguments, or of the named ones, that are tensors or lists of them."""
        values = [value for name, value in self.given.items() if not names or name in names]
        listed = [value if isinstance(value, list | tuple) else [value] for value in values]
        return [self._dims(v) for value in listed for v in value if isinstance(v, Tensor)]

    def axis(self, name: str = "dim", *, of: int | None = None) -> int:
        """A dimension's number, from 0, in a tensor of `of` dimensions (that of `self`)."""
        count = len(self.dims("self")) if of is None else of
        return int(self.given.get(name, 0)) % max(count, 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first output."""
        return tuple(self.outputs[0].shape)

    def whole(self) -> Dims:
        """Labels of an output of which nothing goes."""
        return [kept_whole(size) for size in self.shape]

    def fix_all(self, *names: str) -> None:
        """Nothing of the arguments may go."""
        for dims in self.all_dims(*names):
            for dim in dims:
                self.labels.fix(dim)


Rule = Callable[[Call], "Dims | list[Dims]"]
"""Labels of the output; a list of them where the outputs differ."""
