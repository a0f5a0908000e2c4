"""Taking off what is around a model, and folding what computes its weights, so that it is plain.

A recipe changes weights where they lie. Behind `torch.compile` or DataParallel they have other
names, and a parametrization (spectral_norm, weight_norm) computes them anew in every forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from gnnperf.errors import GnnperfError

# By name, as not all of them are installed, and naming a class must not import its package.
_INSIDE = {
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "lightning.fabric.wrappers._FabricModule": "_original_module",
    "lightning_fabric.wrappers._FabricModule": "_original_module",
}
"""Wrapper -> its attribute that holds what it wraps."""

_REFUSED = {
    "torch.jit._script.ScriptModule": "hand over the eager module that it was made from",
    "torch.fx._lazy_graph_module._LazyGraphModule": "hand over the eager module",
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": (
        "gather its weights and load them into the module itself"
    ),
}
"""What has no weights of its own to change -> the remedy."""

_LIGHTNING = (
    "lightning.pytorch.core.module.LightningModule",
    "pytorch_lightning.core.module.LightningModule",
)

_OLD_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
"""What torch.nn.utils puts before a forward to compute a weight, in the older way."""


class WrapperError(GnnperfError):
    """A model of which the weights cannot be had."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside `torch.compile`, DataParallel, AveragedModel or Lightning's wrappers.

    Also where they lie deeper, which are then replaced in place. A LightningModule without a
    forward gives way to the one network that it holds. Raises WrapperError for what holds no
    weights that can be changed: scripted and sharded modules.
    """
    model = _inside(model)
    for parent in list(model.modules()):
        # model.compile() in place of torch.compile(model).
        parent._compiled_call_impl = None
        for name, child in list(parent._modules.items()):
            if child is not None and (plain := _inside(child)) is not child:
                setattr(parent, name, plain)
    return model


def _inside(model: nn.Module) -> nn.Module:
    for wrapper in _classes(model):
        if wrapper in _INSIDE:
            inner: nn.Module = getattr(model, _INSIDE[wrapper])
            return _inside(inner)
        if wrapper in _REFUSED:
            raise WrapperError(
                f"the model holds a {type(model).__name__}, whose weights cannot be changed in "
                f"place; {_REFUSED[wrapper]}"
            )
        if wrapper in _LIGHTNING and not _has_forward(model):
            return _inside(_network_of(model))
    return model


def _classes(model: nn.Module) -> Iterator[str]:
    return (f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__)


def _has_forward(model: nn.Module) -> bool:
    """Whether a class of the user's own defines it."""
    owner = next(kind for kind in type(model).__mro__ if "forward" in vars(kind))
    return f"{owner.__module__}.{owner.__qualname__}" not in _LIGHTNING and owner is not nn.Module


def _network_of(model: nn.Module) -> nn.Module:
    networks = [child for child in model.children() if any(True for _ in child.parameters())]
    if len(networks) != 1:
        raise WrapperError(
            f"the {type(model).__name__} has no forward and holds {len(networks)} networks; "
            "give it a forward, or hand over the network itself"
        )
    return networks[0]


def parametrized(model: nn.Module) -> list[str]:
    """The weights that are computed anew in every forward, by name; empty for a plain model."""
    return [
        f"{where}.{name}" if where else name
        for where, module in model.named_modules()
        for name in (*_parametrizations(module), *(name for _, name in _hooks(module)))
    ]


def folded(model: nn.Module) -> nn.Module:
    """The model in eval mode, changed in place: every computed weight is a parameter by itself.

    It computes what it did; trained on, it goes without the parametrization.
    """
    model.eval()
    # With gradients, as torch makes no parameter of what needs none.
    for module in list(model.modules()):
        for name in _parametrizations(module):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        for key, _ in _hooks(module):
            hook: Any = module._forward_pre_hooks.pop(key)
            hook.remove(module)
    return model


def _parametrizations(module: nn.Module) -> list[str]:
    computed: Any = module.parametrizations if parametrize.is_parametrized(module) else ()
    return [*computed]


def _hooks(module: nn.Module) -> list[tuple[int, str]]:
    """Key and weight's name of each."""
    hooks: Any = module._forward_pre_hooks
    return [
        (key, hook._tensor_name if isinstance(hook, BasePruningMethod) else hook.name)
        for key, hook in hooks.items()
        if isinstance(hook, _OLD_HOOKS)
    ]
