"""One forward that follows channels: which entries of which parameters go together.

The model runs as it is, on a real batch, whatever Python decides on the way; every operation of
torch's that it comes down to, PyG's propagation included, says what it does to the labels of its
tensors' dimensions. What is not known to keep channels apart keeps them all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import mkldnn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_geometric.data import Data
from torch_geometric.nn import LayerNorm

from gnnperf.compression.pruning.channels.calls import Call, Dims
from gnnperf.compression.pruning.channels.labels import Dim, Labels, kept_whole
from gnnperf.compression.pruning.channels.rules import IGNORED, RULES, aligned, mixed
from gnnperf.training.modules import copied

NORMS = (nn.LayerNorm, nn.RMSNorm, LayerNorm)
"""They divide by how large all channels are: a narrower one measures those that are left."""


@dataclass(frozen=True)
class Traced:
    """What a trace found.

    Attributes:
        labels: which of the labels below are one.
        entries: labels of each dimension of a parameter or buffer, by (its name, dimension).
        sizes: labels of the channels that a module's integer counts, by (module, attribute).
        norms: labels of what a module of NORMS normalises, by its name.
        unknown: operations that met channels and keep them all.
    """

    labels: Labels
    entries: Mapping[tuple[str, int], Dim]
    sizes: Mapping[tuple[str, str], Dim]
    norms: Mapping[str, Dim]
    unknown: tuple[str, ...]


class _Size(int):
    """An integer that remembers which module's attribute it is."""

    owner: tuple[str, str]


def traced(model: nn.Module, batches: Mapping[bool, Data]) -> Traced:
    """Follow the channels of a copy of the model through a forward on each batch.

    Args:
        model: in any mode, on any device.
        batches: by whether the model is in training mode; the two can differ in what they use.

    Whatever the model raises is raised.
    """
    model = copied(model).cpu()
    tracer = _Tracer(model)
    for training, batch in batches.items():
        model.train(training)
        batch = batch.clone().to("cpu")
        with tracer.following(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = model(batch)
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                for dim in tracer.dims(tensor):
                    tracer.labels.fix(dim)
        tracer.forget()
    return tracer.result()


class _Tracer:
    def __init__(self, model: nn.Module) -> None:
        self.labels, self.paused = Labels(), False
        self.sizes: dict[tuple[str, str], Dim] = {}
        self.norms: dict[str, Dim] = {}
        self.unknown: dict[str, None] = {}
        self._model = model
        self._own: dict[int, Dims] = {}
        self._met: set[int] = set()
        # Tensors are held, so that no other gets the number of one that has gone.
        self._labelled: dict[int, tuple[Tensor, Dims]] = {}
        self._state = [*model.named_parameters(), *model.named_buffers()]
        for _, tensor in self._state:
            self._own[id(tensor)] = [self.labels.fresh(size) for size in tensor.shape]
        self.labels.largest = self.labels.count
        for name, module in model.named_modules():
            self._tag_sizes(name, module)
            if isinstance(module, NORMS):
                vars(module)["forward"] = self._norm(name, module, module.forward)
            module.register_forward_hook(self._widths(name))
            if isinstance(module, nn.MultiheadAttention):
                module.register_forward_pre_hook(self._keep_whole, with_kwargs=True)

    def _tag_sizes(self, name: str, module: nn.Module) -> None:
        for attribute, value in list(vars(module).items()):
            if type(value) is int and value > 1 and not attribute.startswith("_"):
                size = _Size(value)
                size.owner = (name, attribute)
                setattr(module, attribute, size)

    def _widths(self, name: str) -> Callable[..., None]:
        """A hook that sees what a module's in_channels and out_channels count, for its checks."""

        def hook(module: nn.Module, args: Any, output: Any) -> None:
            for attribute, value in (("in_channels", args), ("out_channels", output)):
                count = vars(module).get(attribute)
                tensors = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
                if isinstance(count, int) and tensors and (name, attribute) not in self.sizes:
                    last = self.dims(tensors[0])[-1:] or [kept_whole(1)]
                    if len(last[0]) == count:
                        self.sizes[name, attribute] = last[0]

        return hook

    def _keep_whole(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Of what torch's own attention reads nothing goes: its width has to fit its heads."""
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                for dim in self.dims(leaf):
                    self.labels.fix(dim)

    def _norm(
        self, name: str, module: Any, forward: Callable[..., Tensor]
    ) -> Callable[..., Tensor]:
        def follow(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if len(getattr(module, "normalized_shape", (1,))) > 1:
                return forward(x, *args, **kwargs)
            self.paused = True
            try:
                result = forward(x, *args, **kwargs)
            finally:
                self.paused = False
            dims = self.dims(x)
            for own in (module.weight, getattr(module, "bias", None)):
                if own is not None:
                    self._met.add(id(own))
                    self.labels.unite(self._own[id(own)][0], dims[-1])
            self.labels.unite(self.norms.setdefault(name, dims[-1]), dims[-1])
            self._labelled[id(result)] = (result, dims)
            return result

        return follow

    @contextmanager
    def following(self) -> Iterator[None]:
        """Every operation inside is followed; fused kernels that hide theirs are off."""
        fast = torch.backends.mha.get_fastpath_enabled()
        with ExitStack() as stack:
            with warnings.catch_warnings():
                # It warns of GPUs that are not there.
                warnings.simplefilter("ignore")
                stack.enter_context(mkldnn.flags(enabled=False))
            stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
            torch.backends.mha.set_fastpath_enabled(False)
            stack.enter_context(_Operations(self))
            stack.enter_context(_Sizes(self))
            yield

    def dims(self, tensor: Tensor) -> Dims:
        """Labels of a tensor; of one that came from outside nothing goes."""
        if id(tensor) in self._own:
            self._met.add(id(tensor))
            return self._own[id(tensor)]
        if id(tensor) in self._labelled:
            return self._labelled[id(tensor)][1]
        return [kept_whole(size) for size in tensor.shape]

    def see(self, name: str, given: Mapping[str, Any], result: Any, *, pointwise: bool) -> None:
        """Follow one operation."""
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if self.paused or not outputs or name in IGNORED:
            return
        call = Call(self.labels, self.dims, given, outputs)
        rule = RULES.get(name, aligned if pointwise else mixed)
        if rule is mixed and any(self.labels.free(dim) for dims in call.all_dims() for dim in dims):
            self.unknown[name] = None
        found = rule(call)
        each = found if found and isinstance(found[0], list) else [found] * len(outputs)
        for tensor, dims in zip(outputs, each, strict=True):
            self._note(tensor, dims)

    def _note(self, tensor: Tensor, dims: Any) -> None:
        if [len(dim) for dim in dims] != list(tensor.shape):
            for dim in dims:
                self.labels.fix(dim)
            dims = [kept_whole(size) for size in tensor.shape]
        if id(tensor) in self._own or id(tensor) in self._labelled:
            for old, new in zip(self.dims(tensor), dims, strict=True):
                self.labels.unite(old, new)
        else:
            self._labelled[id(tensor)] = (tensor, dims)

    def sized(self, sizes: list[int], tensor: Tensor) -> None:
        """A tensor's shape was given by numbers, some of which are a module's attributes."""
        for size, dim in zip(sizes, self.dims(tensor), strict=True):
            if isinstance(size, _Size) and len(dim) == size:
                self.labels.unite(self.sizes.setdefault(size.owner, dim), dim)

    def forget(self) -> None:
        """Let go of a forward's tensors."""
        self._labelled.clear()

    def result(self) -> Traced:
        """What was found; of parameters that no operation met nothing goes."""
        entries = {}
        for name, tensor in self._state:
            for number, dim in enumerate(self._own[id(tensor)]):
                if id(tensor) not in self._met:
                    self.labels.fix(dim)
                entries[name, number] = dim
        return Traced(self.labels, entries, self.sizes, self.norms, tuple(self.unknown))


class _Operations(TorchDispatchMode):
    """Sees what everything comes down to."""

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._tracer = tracer

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        names = [argument.name for argument in func._schema.arguments]
        name = func.overloadpacket.__name__
        if not name.startswith("__"):
            name = name.removesuffix("_")
        pointwise = _is_pointwise(func, name) or name.startswith("__")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        self._tracer.see(name, given, result, pointwise=pointwise)
        return result


def _is_pointwise(func: Any, name: str) -> bool:
    """By torch's tags, which some operations that work in place lack."""
    plain = getattr(getattr(torch.ops.aten, name, None), func._overloadname, func)
    return torch.Tag.pointwise in {*func.tags, *plain.tags}


_SHAPED = {
    "view", "reshape", "expand", "zeros", "ones", "empty", "full", "rand", "randn",
    "new_zeros", "new_ones", "new_empty", "new_full",
}  # fmt: skip


class _Sizes(TorchFunctionMode):
    """Sees the numbers that Python gives for a shape, which are plain integers further down."""

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if getattr(func, "__name__", "") in _SHAPED and isinstance(result, Tensor):
            given = [*args, *kwargs.values()]
            listed = [value for value in given if isinstance(value, list | tuple)]
            sizes = list(listed[0]) if listed else [v for v in given if isinstance(v, int)]
            if len(sizes) == result.dim() and any(isinstance(size, _Size) for size in sizes):
                self._tracer.sized(sizes, result)
        return result
