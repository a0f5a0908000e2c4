"""Quantizers inside convolutions: at the message, the aggregate and the update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from gnnperf.compression.quantization.fake_quantize import FakeQuantize
from gnnperf.compression.quantization.protection import Protection
from gnnperf.ops import Aggregate, SparseMatrix, spmm

Quantizer = Callable[[], FakeQuantize]
SITES = "quantizers"
"""Name of the submodule that carries a convolution's quantizers."""


class QuantizedAggregate(nn.Module):
    """An Aggregate that rounds what it sums up, and the sum."""

    def __init__(self, quantizer: Quantizer, protection: Protection | None) -> None:
        super().__init__()
        self.message, self.sum, self.protection = quantizer(), quantizer(), protection

    def forward(self, matrix: SparseMatrix, x: Tensor) -> Tensor:
        """[n, m] times [m, width]; x is rounded before it is gathered, to the same messages."""
        message = self.message(x, self.protection and self.protection.among(len(x)))
        total = spmm(matrix, message)
        rounded: Tensor = self.sum(total, self.protection and self.protection.among(len(total)))
        return rounded


class UpdateSite(nn.Module):
    """Rounds what a convolution gives, as a hook after its forward."""

    def __init__(self, quantizer: Quantizer, protection: Protection | None) -> None:
        super().__init__()
        self.update, self.protection = quantizer(), protection

    def attach(self, conv: nn.Module) -> None:
        """Become part of the convolution."""
        conv.add_module(SITES, self)
        # A bound method of a submodule is copied along with the model.
        conv.register_forward_hook(self.after_forward)

    def after_forward(self, conv: nn.Module, inputs: Any, output: Any) -> Any:
        """The output rounded; a tuple's first entry, where there is attention beside it."""
        if isinstance(output, tuple):
            return (self.after_forward(conv, inputs, output[0]), *output[1:])
        return self.update(output, self.protection and self.protection.among(len(output)))


class MessagePassingSites(UpdateSite):
    """The three sites of a convolution of PyG's, by hooks. A message is spared as its source is.

    Attributes:
        rowwise: in eval mode, with ranges that are frozen, each row is rounded by itself.
    """

    rowwise = True

    def __init__(self, quantizer: Quantizer, protection: Protection | None) -> None:
        super().__init__(quantizer, protection)
        self.message, self.sum = quantizer(), quantizer()
        self._source: Any = None

    def attach(self, conv: Any) -> None:
        """Become part of the convolution."""
        super().attach(conv)
        conv.register_propagate_forward_pre_hook(self.before_propagate)
        conv.register_message_forward_hook(self.after_message)
        conv.register_aggregate_forward_hook(self.after_aggregate)

    def before_propagate(self, conv: Any, inputs: tuple[Any, ...]) -> None:
        """Note the source of each message."""
        if isinstance(inputs[0], Tensor):
            self._source = inputs[0][0 if conv.flow == "source_to_target" else 1]

    def after_message(self, conv: Any, inputs: Any, messages: Tensor) -> Tensor:
        """Messages [edges, ...] rounded."""
        source, self._source = self._source, None
        known = self.protection is not None and source is not None
        spared = self.protection.of_sources(source) if known else None  # type: ignore[union-attr]  # known
        rounded: Tensor = self.message(messages, spared)
        return rounded

    def after_aggregate(self, conv: Any, inputs: Any, total: Tensor) -> Tensor:
        """Sums [nodes, ...] rounded."""
        rounded: Tensor = self.sum(total, self.protection and self.protection.among(len(total)))
        return rounded


def quantize_convolutions(
    model: nn.Module, quantizer: Quantizer, protection: Protection | None
) -> None:
    """Put quantizers into every convolution of the model, in place.

    A convolution is a MessagePassing of PyG's, or a module with an Aggregate of its own; of the
    latter the model itself is none, so that its output is no update.
    """
    for conv in list(model.modules()):
        if isinstance(conv, MessagePassing):
            MessagePassingSites(quantizer, protection).attach(conv)
            continue
        aggregates = [name for name, part in conv.named_children() if isinstance(part, Aggregate)]
        for name in aggregates:
            setattr(conv, name, QuantizedAggregate(quantizer, protection))
        if aggregates and conv is not model:
            UpdateSite(quantizer, protection).attach(conv)
