"""What stands after the @ of ptq, qat and dq: `int8`, `w4a8:hidden`, `int8:ste-mom,trained`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.gradients import GRADIENTS
from gnnperf.compression.quantization.observers import RANGES
from gnnperf.compression.quantization.weights import WeightSettings

CONFIGURATIONS = tuple("-".join(pair) for pair in product(GRADIENTS, RANGES))
DEFAULT_CONFIGURATION = "gc-per"
HIDDEN, CHANNELS, TRAINED = "hidden", "channels", "trained"
ABOUT_ARGUMENT = (
    "int2 to int8, or bits of weights and activations apart as in w4a8; perhaps with options, as "
    f"in w4a8:{HIDDEN},ste-abs: {HIDDEN} leaves weights that read raw features in fp32, "
    f"{CHANNELS} gives each output channel a range of its own, and {'|'.join(CONFIGURATIONS)}; "
    f"without, {DEFAULT_CONFIGURATION}"
)
ABOUT_TRAINING = (
    f"{ABOUT_ARGUMENT}; {TRAINED}: the calibrated start does not compete with what trained"
)
# Below it noise of one step is so large that more of the range and more nodes are given up.
FEW_BITS = 4


@dataclass(frozen=True)
class Configuration:
    """The argument of a recipe that quantizes.

    Attributes:
        weight_bits, activation_bits: 2 to 8; raw features and logits have 8.
        name: one of CONFIGURATIONS.
        hidden: whether weights that read raw features stay as they are.
        channels: whether each output channel of a weight has a range of its own.
        trained: whether the calibrated start may not be kept, however good it is on validation.
    """

    weight_bits: int
    activation_bits: int
    name: str = DEFAULT_CONFIGURATION
    hidden: bool = False
    channels: bool = False
    trained: bool = False

    def __str__(self) -> str:
        """Canonical: int8 for w8a8, the default configuration left out."""
        weight, activation = self.weight_bits, self.activation_bits
        bits = f"int{weight}" if weight == activation else f"w{weight}a{activation}"
        options = [
            *([HIDDEN] if self.hidden else []),
            *([CHANNELS] if self.channels else []),
            *([self.name] if self.name != DEFAULT_CONFIGURATION else []),
            *([TRAINED] if self.trained else []),
        ]
        return bits + (f":{','.join(options)}" if options else "")

    @property
    def few_bits(self) -> bool:
        """Whether the weights, or what they read, have 4 bits or fewer."""
        return min(self.weight_bits, self.activation_bits) <= FEW_BITS

    def weights(self) -> WeightSettings:
        """How weights are quantized."""
        return WeightSettings(self.weight_bits, self.channels)

    def activations(self) -> QuantizerSettings:
        """How activations are; percentiles cut off 1 % at 4 bits and fewer, else 0.1 %."""
        gradient, _, range_name = self.name.partition("-")
        cut = 0.01 if self.activation_bits <= FEW_BITS else 0.001
        return QuantizerSettings(self.activation_bits, gradient, range_name, cut)


def parse_configuration(text: str) -> Configuration:
    """Read `int8` or `w4a8:hidden`; raises ValueError for other bits or options."""
    configuration = parse_training(text)
    if configuration.trained:
        raise ValueError
    return configuration


def parse_training(text: str) -> Configuration:
    """The same, in which `trained` may stand too, as in `int8:gc-per,trained`."""
    match = re.fullmatch(r"(?:int([2-8])|w([2-8])a([2-8]))(?::(.+))?", text)
    if match is None:
        raise ValueError
    both, weight, activation, rest = match.groups()
    configuration = Configuration(int(both or weight), int(both or activation))
    return with_options(configuration, rest.split(",") if rest else [])


_SWITCHES: dict[str, Callable[[Configuration], Configuration]] = {
    HIDDEN: lambda configuration: replace(configuration, hidden=True),
    CHANNELS: lambda configuration: replace(configuration, channels=True),
    TRAINED: lambda configuration: replace(configuration, trained=True),
}


def with_options(configuration: Configuration, options: list[str]) -> Configuration:
    """The same with these; raises ValueError for what is none, or stands twice."""
    for option in options:
        if option in CONFIGURATIONS and sum(name in CONFIGURATIONS for name in options) == 1:
            configuration = replace(configuration, name=option)
        elif option in _SWITCHES and options.count(option) == 1:
            configuration = _SWITCHES[option](configuration)
        else:
            raise ValueError
    return configuration
