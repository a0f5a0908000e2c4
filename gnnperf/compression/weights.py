"""Which parameters are weights: those of two dimensions or more that something is multiplied by.

Biases are none, of however many dimensions (ARMA's has four), nor are scales of a normalisation,
or centres and widths of a kernel (GMM's): zero takes nothing out of those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_geometric.data import Data

from gnnperf.training import Parts, seeded

_BIAS = re.compile(r"(^|_)bias(_|$)")
_NORM = re.compile(r"Norm(\d\d?d)?(_|$)")
"""In the name of a class: LayerNorm, BatchNorm1d, InstanceNorm, torch's and PyG's."""

_OF_LIBRARIES = ("torch.", "torch_geometric.")

# What the parts of a parameter, or several parameters side by side, pass through unchanged.
_PASSING = {
    *("cat", "clone", "contiguous", "expand_copy", "flip", "gather", "index", "index_select"),
    *("masked_fill", "neg", "repeat", "repeat_interleave", "reshape", "roll", "stack", "take"),
    *("_reshape_copy", "_to_copy", "constant_pad_nd", "tril", "triu"),
}
# Zero stays zero in a sum of what is fixed, as in W - W.t().
_SUMS = {"add", "sub", "rsub"}
# What does not take anything times a number of the parameter's own. The rest does, or may.
_NOT_TIMES = {
    *("abs", "add", "amax", "amin", "argmax", "copy", "eq", "exp", "fill", "ge", "gt", "le"),
    *("lerp", "log", "lt", "max", "maximum", "min", "minimum", "ne", "norm", "pow", "rsqrt"),
    *("rsub", "sigmoid", "sign", "softplus", "sqrt", "sub", "tanh", "where"),
    *("_cdist_forward", "_euclidean_dist", "_log_softmax", "_softmax", "linalg_vector_norm"),
}
# The arguments of a product that are only added to it, or divide.
_ADDED = {
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm"), 0),
    **dict.fromkeys(("linear", "convolution", "_convolution"), 2),
    "div": 1,
}


def weight_names(model: nn.Module, batch: Data | None = None) -> list[str]:
    """The names of the model's weights, each once, however often it is tied or used.

    Args:
        model: left as it is.
        batch: one that it takes, to see in one forward in eval mode what is multiplied by; what
            that does not show, and without a batch, all of two dimensions or more that are no
            bias by name and belong to no normalisation.
    """
    scales = {
        id(p) for part in model.modules() if _normalises(part) for p in part.parameters(False)
    }
    named = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.dim() >= 2
        and parameter.is_floating_point()
        and id(parameter) not in scales
        and not _BIAS.search(name.rpartition(".")[2])
    }
    idle = set() if batch is None else _never_multiply(model, named, batch)
    return [name for name in named if name not in idle]


def a_batch(parts: Parts) -> Data | None:
    """One to follow a model on: of a part that stays the same, where there is one."""
    return next((part[0] for part in (parts.measured, parts.validation, parts.train) if part), None)


def _normalises(part: nn.Module) -> bool:
    return any(
        _NORM.search(kind.__name__) and kind.__module__.startswith(_OF_LIBRARIES)
        for kind in type(part).__mro__
    )


def _never_multiply(model: nn.Module, named: Mapping[str, Tensor], batch: Data) -> set[str]:
    """Those that a forward uses, and only ever adds or the like."""
    uses, training = _Uses(model, named), model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(0), uses:
            model(batch)
    except Exception:  # whatever a model raises: what it cannot compute is said where it is scored
        return set()
    finally:
        model.train(training)
    return uses.used - uses.multiplied


class _Uses(TorchDispatchMode):
    """Follows parameters, and what is made of them alone, to the operations that use them.

    Attributes:
        used, multiplied: names of those that take part in some operation, and in a product.
    """

    def __init__(self, model: nn.Module, named: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.used: set[str] = set()
        self.multiplied: set[str] = set()
        # What does not hang on the batch, and of whose parameters it is made: by its id, with the
        # tensor itself, so that none goes and leaves its id to another.
        self._fixed = {id(t): (t, _NOBODY) for t in (*model.parameters(), *model.buffers())}
        self._fixed |= {id(t): (t, frozenset({name})) for name, t in named.items()}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        name = name if name.startswith("_") else name.rstrip("_")
        found = [
            (position, self._fixed[id(leaf)][1] if id(leaf) in self._fixed else None)
            for position, argument in enumerate([*args, *(kwargs or {}).values()])
            for leaf in tree_leaves(argument)
            if isinstance(leaf, Tensor)
        ]
        makers = [(position, names) for position, names in found if names]
        fixed = all(names is not None for _, names in found)
        if _passes(func, name, [position for position, _ in makers], fixed=fixed):
            made = _NOBODY.union(*(names for _, names in makers))
            self._keep(result, made if makers or fixed else None)
            return result
        for position, names in makers:
            self.used |= names
            if name not in _NOT_TIMES and position != _ADDED.get(name):
                self.multiplied |= names
        self._keep(result, _NOBODY if fixed else None)
        return result

    def _keep(self, result: Any, made: frozenset[str] | None) -> None:
        for tensor in tree_leaves(result):
            if made is None:
                # What was written into may have been fixed until then.
                self._fixed.pop(id(tensor), None)
            elif isinstance(tensor, Tensor):
                self._fixed[id(tensor)] = (tensor, made)


_NOBODY: frozenset[str] = frozenset()


def _passes(func: Any, name: str, makers: list[int], *, fixed: bool) -> bool:
    """Whether the result is zero where the parameters at these positions are.

    So that it stands for them: parts of them, and of what is fixed sums and multiples.
    """
    if getattr(func, "is_view", False) or name in _PASSING:
        return True
    multiple = makers == [0] if name == "div" else name == "mul" and len(makers) == 1
    return fixed and (name in _SUMS or multiple)
