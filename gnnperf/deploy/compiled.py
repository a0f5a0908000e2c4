"""`compile`: the model as it is, through torch.compile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data

from gnnperf.deploy.base import Deployed, Deployment


class Compiled(nn.Module):
    """A model that `prepare` compiles for the shapes that it meets; a forward then finds them."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__()
        self.model = deepcopy(model).requires_grad_(False)
        self._run: Callable[[Data], Any] = torch.compile(self.model, dynamic=True, **options)

    @property
    def compilations(self) -> int:
        """How many graphs this process has compiled so far."""
        counters = sys.modules.get("torch._dynamo.utils")
        return 0 if counters is None else counters.counters["stats"]["unique_graphs"]

    @torch.inference_mode()
    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data`, prepared by the model, that has gone through it twice."""
        own = getattr(self.model, "prepare", None)
        data = copy(data) if own is None else own(data)
        for _ in range(2):  # What the first one made dynamic the second one compiles.
            self._run(data)
        return data

    def forward(self, data: Data) -> Any:
        """What the model gives."""
        return self._run(data)


def compiler_missing() -> str | None:
    """Why torch.compile has no compiler for the processor; None where it has."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "torch.compile finds no C++ compiler; install g++ or clang++, or name it in CXX"
    return None


def lower(model: nn.Module, batches: Sequence[Data]) -> Deployed:
    """Compiled on the first batch, and on those that `prepare` is given."""
    compiled = Compiled(model)
    compiled.prepare(batches[0])
    return Deployed(compiled, ["torch.compile, shapes dynamic"])


DEPLOYMENT = Deployment("torch.compile of the model as it is", lower, available=compiler_missing)
