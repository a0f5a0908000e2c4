"""`onnx`: the plan as a file of its own, run by onnxruntime.

The file's inputs are `features` [nodes, in]; of each operator, numbered from 0, `operator0.row` and
`operator0.column` int64 [entries], `operator0.value` [entries] and `operator0.zero` [rows, 1],
zeros; where there is a maximum `graph` int64 [nodes] and `graphs` [graphs, 1], zeros; of links
`pairs` int64 [2, pairs].
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.deploy.base import Deployed, Deployment
from gnnperf.deploy.dead import without_dead
from gnnperf.deploy.lowering import CannotLowerError, lowered
from gnnperf.deploy.plan import (
    Activation,
    Layer,
    Maximum,
    Normalize,
    PairProducts,
    Plan,
    Propagate,
    Step,
)
from gnnperf.models.decoders import inner_product
from gnnperf.ops.graphs import starts

KEPT = "onnx_inputs"
"""Field of a prepared batch."""

Named = dict[str, Tensor]


def _operators(plan: Plan) -> list[str]:
    names = (step.operator for step in plan.steps if isinstance(step, Layer | Propagate))
    return [name for name in dict.fromkeys(names) if name is not None]


def inputs_of(plan: Plan, data: Data) -> Named:
    """What the file wants for a batch, by name."""
    features = plan.features(data)
    if plan.columns is not None:
        features = features.index_select(1, plan.columns)
    named, matrices = {"features": features.contiguous()}, plan.operators(data)
    for number, name in enumerate(_operators(plan)):
        matrix = matrices[name]
        named[f"operator{number}.row"] = matrix.row
        named[f"operator{number}.column"] = matrix.column
        named[f"operator{number}.value"] = matrix.value.to(features.dtype)
        named[f"operator{number}.zero"] = features.new_zeros(matrix.shape[0], 1)
    kinds = {type(step) for step in plan.steps}
    if Maximum in kinds:
        size = starts(data).diff()
        named["graph"] = torch.repeat_interleave(size)
        named["graphs"] = features.new_zeros(len(size), 1)
    if PairProducts in kinds:
        named["pairs"] = data.edge_label_index
    return named


class PlanModule(nn.Module):
    """A plan on plain tensors, in operations that every exporter knows."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._steps: list[tuple[Step, int]] = []
        names = _operators(plan)
        for place, step in enumerate(plan.steps):
            operator = getattr(step, "operator", None)
            self._steps.append((step, names.index(operator) if operator is not None else -1))
            if isinstance(step, Layer):
                flat = step.weight.reshape(-1, step.in_channels).t().contiguous()
                self.register_buffer(f"weight{place}", flat)
                self.register_buffer(f"bias{place}", step.bias)

    def forward(self, named: Named) -> Tensor:
        """Logits of what `inputs_of` gives."""
        x = named["features"]
        for place, (step, operator) in enumerate(self._steps):
            match step:
                case Layer():
                    # The narrower side is propagated.
                    first = step.kernels == 1 and step.in_channels < step.out_channels
                    if step.operator is not None and first:
                        x = _propagate(named, operator, x)
                    x = x @ self.get_buffer(f"weight{place}")
                    if step.operator is not None and not first:
                        x = _propagate(named, operator, x.reshape(-1, step.out_channels))
                    bias = self._buffers[f"bias{place}"]
                    x = _activated(x if bias is None else x + bias, step.activation)
                case Propagate():
                    x = _propagate(named, operator, x)
                case Maximum():
                    x = _maximum(named, x)
                case Normalize(scale):
                    x = x * (scale / x.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12))
                case PairProducts():
                    x = inner_product(x, named["pairs"])
        return x


def _propagate(named: Named, operator: int, x: Tensor) -> Tensor:
    row, column, value, zero = (
        named[f"operator{operator}.{part}"] for part in ("row", "column", "value", "zero")
    )
    sent = x.index_select(0, column) * value.unsqueeze(1)
    return zero.repeat(1, x.size(1)).index_put((row,), sent, accumulate=True)


def _maximum(named: Named, x: Tensor) -> Tensor:
    lowest = named["graphs"].repeat(1, x.size(1)) + float("-inf")
    index = named["graph"].unsqueeze(1).expand_as(x)
    highest = lowest.scatter_reduce(0, index, x, "amax", include_self=True)
    return torch.where(highest == float("-inf"), 0.0, highest)


def _activated(x: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return x.relu()
    return nn.functional.elu(x) if activation == "elu" else x


class Portable(nn.Module):
    """A plan in onnxruntime, one thread."""

    def __init__(self, plan: Plan, content: bytes) -> None:
        super().__init__()
        self.plan, self.content = plan, content
        self._session = _session(content)

    @property
    def deployed_bytes(self) -> int:
        """Bytes of the file."""
        return len(self.content)

    def write(self, path: Path) -> None:
        """The file, which needs onnxruntime alone."""
        path.write_bytes(self.content)

    def prepare(self, data: Data) -> Data:
        """A shallow copy of `data` with the file's inputs."""
        data = copy(data)
        data.__dict__[KEPT] = (data.x, self._inputs(data))
        return data

    def _inputs(self, data: Data) -> dict[str, Any]:
        named = inputs_of(self.plan, data)
        return {key: value.numpy() for key, value in named.items()}

    def forward(self, data: Data) -> Tensor:
        """What the model gives."""
        source, inputs = data.__dict__.get(KEPT, (None, {}))
        if source is not data.stores[0]["x"]:
            inputs = self._inputs(data)
        result: Tensor = torch.from_numpy(self._session.run(None, inputs)[0])
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Portable:
        return Portable(self.plan, self.content)


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def exported(plan: Plan, example: Data) -> bytes:
    """The file of a plan, by torch.export; `example` is a batch of more than one of everything."""
    named = inputs_of(plan, example)
    dynamic = {
        key: {dim: torch.export.Dim.DYNAMIC for dim in range(value.dim()) if _varies(key, dim)}
        for key, value in named.items()
    }
    # It warns of every package that it could have used.
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        program = torch.onnx.export(
            PlanModule(plan).eval(),
            kwargs={"named": named},
            dynamo=True,
            dynamic_shapes={"named": dynamic},
            input_names=list(named),
            output_names=["logits"],
            verbose=False,
        )
    finally:
        log.setLevel(level)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(path)  # type: ignore[union-attr]  # None without dynamo alone
        return path.read_bytes()


def _varies(name: str, dim: int) -> bool:
    return dim == 1 if name == "pairs" else dim == 0


def lower(model: nn.Module, batches: Sequence[Data]) -> Deployed:
    """In onnxruntime where the model can be written as a plan, else as it is."""
    try:
        form = lowered(model)
        if not isinstance(form, Plan):
            raise CannotLowerError(f"{type(model).__name__} has no plan that a file could hold")
    except CannotLowerError as error:
        return Deployed(model, left=f"as it is: {error}")
    plan = without_dead(form)
    return Deployed(Portable(plan, exported(plan, batches[0])), [*plan.done, "in onnxruntime"])


def runtime_missing() -> str | None:
    """Which package is missing, in one sentence; None where all are there."""
    names = ("onnxruntime", "onnx", "onnxscript")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return f"needs {', '.join(missing)}; pip install 'gnnperf[onnx]'" if missing else None


DEPLOYMENT = Deployment(
    "a file by torch.export, run by onnxruntime", lower, available=runtime_missing
)
