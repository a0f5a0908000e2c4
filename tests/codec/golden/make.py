"""Write the golden files that are missing: python tests/codec/golden/make.py.

Each comes with a torch file of the state it must decode to, forever: one that exists is left alone.
"""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import torch

from gnnperf.codec import QuantizedTensor, encode
from gnnperf.codec.state import Value

FOLDER = Path(__file__).parent


def states() -> dict[str, dict[str, Value]]:
    """States that between them have every kind of record and encoding."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int, keep: float = 1.0) -> torch.Tensor:
        tensor = torch.randn(shape, generator=generator)
        return tensor * (torch.rand(shape, generator=generator) < keep)

    base = noise(6, 5)
    codes = torch.randint(-8, 8, (12, 9), generator=generator, dtype=torch.int8)
    kept = codes * (noise(12, 9) > 1.2)
    scale, zero_point = torch.rand((12, 1), generator=generator), torch.zeros(12, 1)
    words = [0, -(2**31), 1, 0x7F800000, -0x800000, 0x7FC00001, 0x7F800001, -1]
    return {
        "pruned": {"w": noise(50, 40, keep=0.1), "half": noise(40, 30, keep=0.5), "b": noise(40)},
        "shared": {"a": base, "b": base.t(), "c": base[1:4, ::2], "d": base.view(torch.int32)},
        "quantized": {
            "q4": QuantizedTensor(codes, 4, scale, zero_point),
            "sparse": QuantizedTensor(kept, 4, scale, zero_point),
            "q8": QuantizedTensor((kept + 8).to(torch.uint8), 8, scale, zero_point),
        },
        **states_of_version_2(noise),
        "dtypes": {
            "special": torch.tensor(words, dtype=torch.int32).view(torch.float32),
            "double": noise(20).double(),
            "half": noise(20).half(),
            "bfloat16": noise(300).bfloat16(),
            "float8": noise(20).to(torch.float8_e4m3fn),
            "complex": noise(20).to(torch.complex64),
            "bool": noise(40) > 0,
            "int64": torch.arange(30) * 7 - 50,
            "uint16": torch.arange(30, dtype=torch.int32).to(torch.uint16),
            "count": torch.tensor(12),
            "empty": torch.zeros(0, 3),
            "zeros": torch.zeros(3, 4),
            "constant": torch.ones(2000),
        },
    }


def states_of_version_2(noise: Callable[..., torch.Tensor]) -> dict[str, dict[str, Value]]:
    """States for what version 2 added: scaled, classes, shifted, planes, copies."""
    integers = (30 * noise(40, 60)).round().clamp(-127, 127)
    sparse = torch.where(integers.abs() < 30, 0.0, integers)
    loud = noise(80, 50) * torch.tensor([1.0, 5e3]).repeat(40)[:, None]
    repeated = noise(7, 30).repeat(20, 1)
    return {
        "scaled": {"rows": integers * noise(40, 1).abs(), "sparse": sparse * noise(60).abs()},
        "classes": {"rows": loud.half(), "columns": loud.bfloat16().t().contiguous()},
        "shifted": {"half": noise(900).half().float(), "brain": noise(700).bfloat16().double()},
        "copies": {"a": repeated, "b": repeated.clone(), "c": repeated.clone() + 1},
    }


def plain(value: Value) -> object:
    """As torch.load reads it with weights_only; torch saves no storage of several dtypes."""
    return dict(vars(value)) if isinstance(value, QuantizedTensor) else value.clone()


def main() -> None:
    """Write the files of version 2 at both levels; those of version 1 were written in its time."""
    for name, state in states().items():
        expected = FOLDER / f"v2-{name}.pt.gz"
        if not expected.exists():
            buffer = io.BytesIO()
            torch.save({key: plain(value) for key, value in state.items()}, buffer)
            expected.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
        for level in ("fast", "small"):
            path = FOLDER / f"v2-{name}-{level}.gnnz"
            if not path.exists():
                path.write_bytes(encode(state, metadata={"name": name, "epoch": 3}, level=level))


if __name__ == "__main__":
    main()
