"""The numbers of a tensor, however it holds them."""

from __future__ import annotations

import torch
from torch import Tensor


def dense_values(tensor: Tensor) -> Tensor:
    """The tensor as a dense one; of a quantized one (torch's or a library's) what it stands for.

    A sparse one's stored values are enough for whoever counts what is not zero or not finite, and
    it is those that are given.
    """
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__ or tensor.is_quantized:
        return tensor.detach().dequantize()
    if tensor.layout == torch.sparse_coo:
        return tensor.detach().coalesce().values()
    return tensor.detach() if tensor.layout == torch.strided else tensor.detach().values()
