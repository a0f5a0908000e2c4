"""The sparse model state file: small, exact, safe (Algorithm 1 of the paper, made decodable).

The byte format is specified in FORMAT.md beside this file.
"""

from gnnperf.codec.algorithm1 import algorithm1_bytes
from gnnperf.codec.compare import first_difference, same_state
from gnnperf.codec.errors import CodecError
from gnnperf.codec.estimate import order0_estimate_bytes
from gnnperf.codec.files import Decoded, decode, encode, load, save
from gnnperf.codec.listing import Listing, TensorInfo, inspect
from gnnperf.codec.modules import load_model, save_model
from gnnperf.codec.opened import QuantizedArray, StateFile, TensorSpec
from gnnperf.codec.opened import open_state as open
from gnnperf.codec.state import QuantizedTensor, State, Value

# The name that it had when it was taken for a floor.
entropy_floor_bytes = order0_estimate_bytes

__all__ = [
    "CodecError",
    "Decoded",
    "Listing",
    "QuantizedArray",
    "QuantizedTensor",
    "State",
    "StateFile",
    "TensorInfo",
    "TensorSpec",
    "Value",
    "algorithm1_bytes",
    "decode",
    "encode",
    "entropy_floor_bytes",
    "first_difference",
    "inspect",
    "load",
    "load_model",
    "open",
    "order0_estimate_bytes",
    "same_state",
    "save",
    "save_model",
]
