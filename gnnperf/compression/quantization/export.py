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
from gnnperf.compression.quantization.fake_quantize import FakeQuantize
from gnnperf.compression.quantization.linear import (
    IntegerLinear,
    LinearLike,
    QuantizedLinear,
    RawLinear,
)
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.sites import replace_module
from gnnperf.compression.quantization.weights import (
    QuantizedWeights,
    StoredGrid,
    stored_codes,
    weight_quantizers,
)
from gnnperf.models.ties import ties
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
    """A quantized model for inference, with linear layers on integers.

    Weights that no integer product reads lie in it as the numbers that their codes stand for.

    Attributes:
        grids: how those are stored, by name.
    """

    def __init__(self, model: nn.Module, grids: Mapping[str, StoredGrid] | None = None) -> None:
        super().__init__()
        self.model, self.grids = model, dict(grids or {})

    @staticmethod
    def of_state(model: nn.Module, state: Mapping[str, Any]) -> IntegerModel:
        """A model of the right layers, in place, with the numbers and grids of a stored state.

        Raises QuantizationError for another model's.
        """
        codes = {name: value for name, value in state.items() if isinstance(value, QuantizedTensor)}
        for name, part in model.named_modules():
            if isinstance(part, IntegerLinear):
                codes.pop(f"{name}.weight", None)
        whole = IntegerModel(model, {name: StoredGrid.of(value) for name, value in codes.items()})
        whole.restore(state)
        return whole

    def forward(self, *inputs: Any) -> Any:
        """What the model gives."""
        return self.model(*inputs)

    def state(self) -> State:
        """What is stored, under the model's own names: codes with scale and zero point."""
        plain = self.model.state_dict()
        state: State = dict(plain)
        for name, layer in self._integer_layers():
            state[f"{name}.weight"] = layer.stored_weight()
            del state[f"{name}.scale"], state[f"{name}.zero_point"]
        for name, grid in self.grids.items():
            state[name] = grid.stored(plain[name])
        for name in self._tied():
            del state[name]
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a stored state; raises QuantizationError for another model's or bit-width's."""
        stored = {**state, **{n: state[one] for n, one in self._tied().items() if one in state}}
        plain = dict(stored)
        for name, layer in self._integer_layers():
            codes = stored_codes(stored, f"{name}.weight", layer.bits)
            plain[f"{name}.weight"] = codes.values
            plain[f"{name}.scale"], plain[f"{name}.zero_point"] = codes.scale, codes.zero_point
        grids = {}
        for name, grid in self.grids.items():
            codes = stored_codes(stored, name, grid.bits)
            grids[name] = StoredGrid.of(codes)
            plain[name] = grids[name].numbers(codes)
        for name, one in self._tied().items():
            plain[name] = plain[one]
        try:
            self.model.load_state_dict(plain)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise QuantizationError(f"the stored state is another model's: {reason}") from None
        self.grids = grids

    def _integer_layers(self) -> Iterator[tuple[str, IntegerLinear]]:
        for name, part in self.model.named_modules():
            if isinstance(part, IntegerLinear):
                yield name, part

    def _tied(self) -> dict[str, str]:
        """Further names of a weight that is stored as codes -> the first."""
        codes = {f"{name}.weight" for name, _ in self._integer_layers()} | set(self.grids)
        return {name: one for name, one in ties(self.model).items() if one in codes}


def export(model: nn.Module) -> IntegerModel:
    """The integer model of a quantized one, which stays as it is.

    Linear layers compute on int8 codes, but for those that read raw features: these, and weights
    that are read past a layer, compute with the numbers that the codes stand for. Batch
    normalisation is folded into one product and sum, everything else computes as in the quantized
    model in eval mode: the outputs are the same. Raises QuantizationError for a model that is not
    quantized or has no ranges yet.
    """
    copy = copied(model).eval()
    take_masks(copy)
    parts = list(copy.modules())
    if not any(isinstance(part, (QuantizedLinear, QuantizedWeights)) for part in parts):
        raise QuantizationError(
            f"the {type(model).__name__} has no quantized layer; quantize it before it is exported"
        )
    grids = {}
    for name, kernel in weight_quantizers(copy).items():
        layer = copy.get_submodule(name.rpartition(".")[0])
        if isinstance(layer, RawLinear) or not isinstance(layer, QuantizedLinear):
            grids[name] = StoredGrid.of_weight(kernel, copy.get_parameter(name).detach())
    tied: dict[int, LinearLike] = {}
    for part in parts:
        if isinstance(part, QuantizedWeights):
            part.detach(copy)
        elif isinstance(part, QuantizedLinear):
            shipped = part.shipped()
            shipped.tie(tied.setdefault(id(part.weight), shipped))
            replace_module(copy, part, shipped)
    for part in list(copy.modules()):
        if isinstance(part, FakeQuantize):
            replace_module(copy, part, part.frozen())
        elif isinstance(part, nn.BatchNorm1d) and part.running_mean is not None:
            replace_module(copy, part, FoldedNorm(part))
        elif isinstance(part, Protection):
            part.spared = None
    return IntegerModel(copy.requires_grad_(False), grids).eval()
