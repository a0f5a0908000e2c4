"""What a model's weights multiply, and what makes its output: followed through one forward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_geometric.data import Data

from gnnperf.compression.quantization.sites import Call, around, linears
from gnnperf.compression.weights import weight_names
from gnnperf.training import seeded


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from.

    Attributes:
        of_data: whether the batch takes part; if not, it is made of the model's own tensors.
        weights: names of all weights that take part.
        last: names of those that met the batch's numbers last.
        rounded: names of the quantizers that it left last.
    """

    of_data: bool = False
    weights: frozenset[str] = frozenset()
    last: frozenset[str] = frozenset()
    rounded: frozenset[str] = frozenset()


_RAW = Origin(of_data=True)


@dataclass
class Reads:
    """How a forward uses one weight.

    Attributes:
        raw: everything that it met came from the batch without passing another weight.
        by_layer: everything happened inside the linear layers that hold it.
        final: the output is made of what it gave, without another weight after it.
    """

    raw: bool = True
    by_layer: bool = True
    final: bool = False


class Flow(TorchDispatchMode):
    """Follows every operation of a forward, from the batch and the weights to the output.

    It sees what is computed, not how it is called: a layer, its `forward`, or its weight alone.

    Attributes:
        reads: of each weight that a number of the batch meets.
    """

    def __init__(self, model: nn.Module, weights: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.reads: dict[str, Reads] = {}
        self.inside: list[int] = []
        # By id, with the tensor itself, so that none goes and leaves its id to another.
        self._origins: dict[int, tuple[Tensor, Origin]] = {}
        for tensor in (*model.parameters(), *model.buffers()):
            self.put(tensor, Origin())
        self._ids = {}
        for name, weight in weights.items():
            self.put(weight, Origin(weights=frozenset({name})))
            self._ids[name] = id(weight)

    def origin(self, tensor: Tensor) -> Origin:
        """Where it comes from; what nobody made is the batch's."""
        return self._origins[id(tensor)][1] if id(tensor) in self._origins else _RAW

    def origins(self, output: Any) -> list[Origin]:
        """Of all tensors of a model's output."""
        return [self.origin(t) for t in tree_leaves(output) if isinstance(t, Tensor)]

    def put(self, tensor: Tensor, origin: Origin) -> None:
        """Note where a tensor comes from."""
        self._origins[id(tensor)] = (tensor, origin)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute as ever, and note where the result comes from."""
        result = func(*args, **(kwargs or {}))
        found = [self.origin(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        made = self._joined(found)
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.put(tensor, made)
        return result

    def _joined(self, found: list[Origin]) -> Origin:
        data = [origin for origin in found if origin.of_data]
        every = frozenset[str]().union(*(origin.weights for origin in found))
        if not data:
            return Origin(weights=every)
        met = frozenset[str]().union(*(o.weights for o in found if not o.of_data))
        if met:
            hidden = any(origin.weights for origin in data)
            for name in met:
                reads = self.reads.setdefault(name, Reads())
                reads.raw &= not hidden
                reads.by_layer &= self._ids[name] in self.inside
            return Origin(True, every, met)
        last = frozenset[str]().union(*(origin.last for origin in data))
        return Origin(True, every, last, frozenset().union(*(o.rounded for o in data)))


def weights_of(model: nn.Module, batch: Data | None = None) -> dict[str, Tensor]:
    """The model's weights by name, each once; see `weight_names`."""
    return {name: model.get_parameter(name) for name in weight_names(model, batch)}


@contextmanager
def followed(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[Flow]:
    """A Flow; inside, the model is in eval mode without gradients, and nothing is left behind."""
    flow, training, layers = Flow(model, weights), model.training, linears(model)

    def inside(name: str, forward: Call, value: Tensor) -> Any:
        flow.inside.append(id(layers[name].weight))
        try:
            return forward(value)
        finally:
            flow.inside.pop()

    model.eval()
    try:
        with torch.no_grad(), seeded(0), around(layers, inside), flow:
            yield flow
    finally:
        model.train(training)


def read_weights(model: nn.Module, weights: Mapping[str, Tensor], batch: Data) -> dict[str, Reads]:
    """How a forward in eval mode uses each weight that it uses, in the order of execution.

    Which layers are the first and which the last is found from what they read and make, never
    from the order in which the model holds them.
    """
    with followed(model, weights) as flow:
        made = flow.origins(model(batch))
    for origin in made:
        for name in origin.last:
            flow.reads[name].final = True
    return flow.reads


@dataclass(frozen=True)
class SiteReads:
    """What quantizers of activations see, by name.

    Attributes:
        raw: those that see nothing but raw features, or sums of them.
        final: those from which the output follows without another weight or quantizer.
    """

    raw: frozenset[str]
    final: frozenset[str]


def read_sites(model: nn.Module, sites: Mapping[str, nn.Module], batch: Data) -> SiteReads:
    """Follow a forward through quantizers that let everything pass as a new tensor."""
    raw = dict.fromkeys(sites, True)

    with followed(model, weights_of(model)) as flow:

        def passing(name: str, forward: Call, value: Tensor, *rest: Any) -> Any:
            raw[name] &= not flow.origin(value).weights
            result = forward(value, *rest)
            flow.put(result, replace(flow.origin(result), rounded=frozenset({name})))
            return result

        with around(sites, passing):
            made = flow.origins(model(batch))
    final = frozenset[str]().union(*(origin.rounded for origin in made))
    return SiteReads(frozenset(name for name in sites if raw[name]), final)
