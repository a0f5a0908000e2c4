"""Mean bits of hidden features as a target: what holds them down, and which epochs may be kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.compression.quantization.a2q.linear import A2QLinear
from gnnperf.compression.quantization.grid import MAX_BITS, MIN_BITS
from gnnperf.compression.quantization.sites import watching
from gnnperf.training import Parts, Task
from gnnperf.training.metrics import metric_named
from gnnperf.training.tasks.base import Scores

LEAST_TARGET = 1.0
"""Of features without a sign; with one, a bit has no level but 0."""
FIRST_WEIGHT, LAST_WEIGHT, GROWTH = 70.0, 1e6, 1.1
CHOICE = "within_target"
"""Name of the score that chooses the epoch."""
_MISSED = 1e6


@dataclass(frozen=True)
class Bits:
    """The recipe's argument, `4` or `4:target=2`.

    Attributes:
        weights: bits of the weights, with which those of features begin, 2 to 8.
        target: mean bits of hidden features at most, 1 to 8; None: as the memory loss has it.
    """

    weights: int
    target: float | None = None

    def __str__(self) -> str:
        """Canonical."""
        return f"{self.weights}" + ("" if self.target is None else f":target={self.target:g}")


def parse_bits(text: str) -> Bits:
    """Read `4` or `4:target=2`; raises ValueError for what is none, or out of range."""
    match = re.fullmatch(r"(\d)(?::target=(\d+(?:\.\d+)?))?", text, re.ASCII)
    if match is None:
        raise ValueError
    bits = Bits(int(match[1]), None if match[2] is None else float(match[2]))
    if not MIN_BITS <= bits.weights <= MAX_BITS:
        raise ValueError
    if bits.target is not None and not LEAST_TARGET <= bits.target <= MAX_BITS:
        raise ValueError
    return bits


class BitsTarget(nn.Module):
    """weight * relu(mean bits of hidden features - target)^2, with a weight that adapts.

    It rises by a tenth in every epoch that ends above the target and falls as fast below it, so
    that no weight has to be found for each dataset. The training task adds `auxiliary_loss()`.
    """

    weight: Tensor

    def __init__(self, layers: Sequence[A2QLinear], target: float) -> None:
        super().__init__()
        # In a tuple they are not registered a second time; a copy of the model copies them along.
        self._layers = tuple(layers)
        for layer in layers:
            layer.features.is_counted = True
        self.target, self._above = target, False
        self.register_buffer("weight", torch.tensor(FIRST_WEIGHT))

    def extra_repr(self) -> str:
        """The target."""
        return f"target={self.target}"

    def auxiliary_loss(self) -> Tensor | float:
        """The loss of the last forward in training, counted once."""
        bits, widths = [], []
        for layer in self._layers:
            mean, layer.features.mean_bits = layer.features.mean_bits, None
            layer.features.used = None
            if mean is not None:
                bits.append(layer.in_features * mean)
                widths.append(layer.in_features)
        if not bits:
            return 0.0
        excess = torch.stack(bits).sum() / sum(widths) - self.target
        self._above = bool(excess > 0)
        loss: Tensor = self.weight * excess.relu().square()
        return loss

    def end_epoch(self) -> None:
        """Called by the optimizer after each epoch."""
        self.weight.mul_(GROWTH if self._above else 1 / GROWTH).clamp_(max=LAST_WEIGHT)


class BitCount:
    """Mean bits of the features that enter layers, as they come by."""

    def __init__(self, layers: dict[str, A2QLinear]) -> None:
        self._layers = layers
        self.bits, self.values = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0)

    def note(self, name: str, x: Tensor) -> None:
        """Count the features [..., width] that enter a layer."""
        row_bits = self._layers[name].features.rows(x.flatten(0, -2))[1]
        self.bits[name] += float(row_bits.sum()) * x.size(-1)
        self.values[name] += x.numel()

    def mean(self, names: Iterable[str]) -> float:
        """Of these layers together; 0 where nothing came by."""
        names = list(names)
        values = sum(self.values[name] for name in names)
        return sum(self.bits[name] for name in names) / max(values, 1)


@dataclass(frozen=True)
class WithinTarget:
    """A task that prefers every epoch within the target to every epoch that misses it.

    Attributes:
        task: what is trained for; its loss and scores stay.
        target: mean bits of hidden features at most.
        select: the score that chooses among epochs within the target.
    """

    task: Task
    target: float
    select: str

    @property
    def metric(self) -> str:
        """The task's."""
        return self.task.metric

    def split(self, graphs: Sequence[Data], seed: int) -> Parts:
        """The task's."""
        return self.task.split(graphs, seed)

    def loss(self, model: nn.Module, batch: Data) -> Tensor:
        """The task's."""
        return self.task.loss(model, batch)

    def evaluate(self, model: nn.Module, batches: Sequence[Data]) -> Scores:
        """The task's scores, and `within_target`: the greater, the better."""
        count = BitCount(a2q_layers(model))
        with watching(model, a2q_layers(model), count.note):
            scores = self.task.evaluate(model, batches)
        value = scores[self.select]
        rank = value if metric_named(self.select).higher_is_better else -value
        return {**scores, CHOICE: rank - (_MISSED if count.mean(count.bits) > self.target else 0.0)}


def a2q_layers(model: nn.Module) -> dict[str, A2QLinear]:
    """The layers whose features have bits to learn, by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, A2QLinear)}
