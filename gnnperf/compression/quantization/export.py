"""The model that is shipped: linear layers on integers, stored by the codec, loaded again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnperf.codec import QuantizedTensor, State
from gnnperf.compression.compressed import Deployed
from gnnperf.compression.masks import take_masks
from gnnperf.compression.quantization.errors import QuantizationError
from gnnperf.compression.quantization.fake_quantize import FakeQuantize, FrozenQuantize
from gnnperf.compression.quantization.linear import IntegerLinear, QuantizedLinear
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.sites import replace_module
from gnnperf.training.modules import copied


class FoldedNorm(nn.Module):
    """Batch normalisation with fixed statistics: values times weight plus bias, a channel each.

    The numbers are those that torch's own kernel uses, and go through it, so that nothing rounds
    otherwise.
    """

    weight: Tensor
    bias: Tensor
    zero: Tensor
    one: Tensor

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        zero, one = torch.zeros_like(mean), torch.ones_like(mean)
        ones, zeros = one.unsqueeze(0), zero.unsqueeze(0)
        weight = functional.batch_norm(ones, zero, variance, norm.weight, zero, eps=norm.eps)
        bias = functional.batch_norm(zeros, mean, variance, norm.weight, norm.bias, eps=norm.eps)
        self.register_buffer("weight", weight.detach()[0])
        self.register_buffer("bias", bias.detach()[0])
        self.register_buffer("zero", zero, persistent=False)
        self.register_buffer("one", one, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """[n, channels] or [n, channels, length] of the same shape."""
        return functional.batch_norm(values, self.zero, self.one, self.weight, self.bias, eps=0.0)


class IntegerModel(Deployed):
    """A quantized model for inference, with linear layers on integers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> Any:
        """What the model gives."""
        return self.model(*inputs)

    def state(self) -> State:
        """What is stored, under the model's own names: codes with scale and zero point."""
        state: State = dict(self.model.state_dict())
        for name, first, layer in self._integer_layers():
            del state[f"{name}.scale"], state[f"{name}.zero_point"]
            if name == first:
                state[f"{name}.weight"] = layer.stored_weight()
            else:
                del state[f"{name}.weight"]
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a stored state; raises QuantizationError for another model's or bit-width's."""
        plain = dict(state)
        for name, first, layer in self._integer_layers():
            codes = state.get(f"{first}.weight")
            if not isinstance(codes, QuantizedTensor) or codes.bits != layer.bits:
                found = f"{codes.bits} bits" if isinstance(codes, QuantizedTensor) else "no codes"
                raise QuantizationError(
                    f"the stored model has {found} at {first}.weight and this one {layer.bits} "
                    "bits; load it into a model that was quantized alike"
                )
            plain[f"{name}.weight"] = codes.values
            plain[f"{name}.scale"], plain[f"{name}.zero_point"] = codes.scale, codes.zero_point
        try:
            self.model.load_state_dict(plain)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise QuantizationError(f"the stored state is another model's: {reason}") from None

    def _integer_layers(self) -> Iterator[tuple[str, str, IntegerLinear]]:
        """Name, name of the first with the same codes, and layer."""
        tied: dict[int, str] = {}
        for name, part in self.model.named_modules():
            if isinstance(part, IntegerLinear):
                yield name, tied.setdefault(id(part.weight), name), part


def export(model: nn.Module) -> IntegerModel:
    """The integer model of a quantized one, which stays as it is.

    Linear layers compute on int8 codes, batch normalisation is folded into one product and sum,
    everything else computes as in the quantized model in eval mode: the outputs are the same.
    Raises QuantizationError for a model that is not quantized or has no ranges yet.
    """
    copy = copied(model).eval()
    take_masks(copy)
    parts = list(copy.modules())
    if not any(isinstance(part, QuantizedLinear) for part in parts):
        raise QuantizationError(
            f"the {type(model).__name__} has no quantized layer; quantize it before it is exported"
        )
    tied: dict[int, IntegerLinear] = {}
    for part in parts:
        if isinstance(part, QuantizedLinear):
            layer = part.integer()
            layer.tie(tied.setdefault(id(part.weight), layer))
            replace_module(copy, part, layer)
    for part in list(copy.modules()):
        if isinstance(part, FakeQuantize):
            replace_module(copy, part, FrozenQuantize(part))
        elif isinstance(part, nn.BatchNorm1d) and part.running_mean is not None:
            replace_module(copy, part, FoldedNorm(part))
        elif isinstance(part, Protection):
            part.spared = None
    return IntegerModel(copy.requires_grad_(False)).eval()
