"""How small, and how fast, is the sparse model state file beside other ways to store a model?"""

import io
import statistics
import time

import pytest
import safetensors.torch
import torch
import zstandard

from gnnperf import codec
from gnnperf.codec import QuantizedTensor
from gnnperf.recipes import compress, parse_recipe
from gnnperf.study.measure import torch_bytes
from gnnperf.study.presets import first_seed
from gnnperf.workloads import PRUNING_WORKLOADS

# The rule: bytes of torch.save of the dense state over bytes on disk, from this sparsity on, for
# models trained on real data; what a stand-in's weights could cost at best, the floor says.
SIZE_RATIO_AT_LEAST = {0.0: 1.15, 0.5: 2.30, 0.8: 5.5, 0.9: 10.2}
# The rule: the paper's undecodable file is at least so many times larger, at every sparsity.
ALGORITHM1_AT_LEAST = 1.15
# The rule: with 0.9 pruned, integers of so many bits are at least so many times smaller.
QUANTIZED_AT_LEAST = {8: 23, 4: 35}
DECODE_SECONDS_AT_MOST = 0.010


def compact(state, to_sparse):
    """Tensors of two dimensions or more in one of torch's sparse layouts."""
    return {
        name: to_sparse(value.flatten(1)) if value.dim() >= 2 else value
        for name, value in state.items()
    }


def csr(state):
    return torch_bytes(compact(state, torch.Tensor.to_sparse_csr))


def coo(state):
    return torch_bytes(compact(state, torch.Tensor.to_sparse))


def from_torch(blob):
    return torch.load(io.BytesIO(blob), weights_only=True)


def zstd(state):
    return zstandard.compress(torch_bytes(state), 19)


# (encode, decode) by the file's kind; Algorithm 1 cannot be decoded and is no rival but a measure.
FORMATS = {
    "gnnz": (codec.encode, codec.decode),
    "gnnz fast": (lambda state: codec.encode(state, level="fast"), codec.decode),
    "torch.save": (torch_bytes, from_torch),
    "safetensors": (safetensors.torch.save, safetensors.torch.load),
    "zstd": (zstd, lambda blob: from_torch(zstandard.decompress(blob))),
    "csr": (csr, from_torch),
    "coo": (coo, from_torch),
}


def interleaved(state, rounds):
    """Median CPU seconds of encoding and decoding, and bytes, of every format, in turns."""
    samples = {name: ([], []) for name in FORMATS}
    sizes = {}
    for _ in range(rounds):
        for name, (encode, decode) in FORMATS.items():
            start = time.process_time()
            blob = encode(state)
            middle = time.process_time()
            decode(blob)
            samples[name][0].append(middle - start)
            samples[name][1].append(time.process_time() - middle)
            sizes[name] = len(blob)
    medians = {name: [statistics.median(s) for s in pair] for name, pair in samples.items()}
    return sizes, medians


@pytest.mark.gnnperf_cases(
    workloads=PRUNING_WORKLOADS,
    recipes=lambda preset: [f"global@{s}" for s in sorted({0.0, *preset.sparsities})],
    seeds=first_seed,
)
def test_pruned_models(case, trained, closing_row):
    base = trained(case.workload, case.seed)
    state = compress(base, case.recipe).state()
    sparsity = parse_recipe(case.recipe).argument
    sizes, seconds = interleaved(state, rounds=3)
    dense_bytes = sizes["torch.save"]
    raw_megabytes = sum(v.numel() * v.itemsize for v in state.values()) / 1e6
    algorithm1 = codec.algorithm1_bytes(state)
    floor_share = codec.entropy_floor_bytes(state) / sizes["gnnz"]

    name = f"{base.workload} {sparsity:g}"
    closing_row(
        "dense torch.save bytes / file bytes",
        case=name,
        **{kind: f"{dense_bytes / size:.2f}" for kind, size in sizes.items()},
        algorithm1=f"{dense_bytes / algorithm1:.2f}",
        floor=f"{floor_share:.1%}",
    )
    closing_row(
        "MB/s of CPU time, encode / decode",
        case=name,
        **{
            kind: " / ".join(f"{raw_megabytes / s:.0f}" for s in pair)
            for kind, pair in seconds.items()
        },
    )
    assert codec.same_state(state, codec.decode(codec.encode(state)).state)
    if base.data["source"] == "real":
        limit = max(ratio for s, ratio in SIZE_RATIO_AT_LEAST.items() if sparsity >= s)
        assert dense_bytes / sizes["gnnz"] >= limit
    assert algorithm1 / sizes["gnnz"] >= ALGORITHM1_AT_LEAST
    assert floor_share >= (0.98 if "spline" in case.workload else 0.95)
    assert seconds["gnnz"][1] <= DECODE_SECONDS_AT_MOST


@pytest.mark.parametrize("workload", ["cora_node-spline", "cora_link-ness"])
@pytest.mark.parametrize("bits", QUANTIZED_AT_LEAST)
def test_pruned_and_quantized_models(workload, bits, trained, preset, closing_row):
    base = trained(workload, preset.seeds[0])
    dense_bytes = len(torch_bytes(base.model.state_dict()))
    state = {
        name: quantized(value, bits) if value.dim() >= 2 else value
        for name, value in compress(base, "global@0.9").state().items()
    }
    ratio = dense_bytes / len(codec.encode(state))
    closing_row(
        "global@0.9 in integers, dense torch.save bytes / file bytes",
        workload=base.workload,
        bits=bits,
        ratio=f"{ratio:.1f}",
    )
    assert ratio >= QUANTIZED_AT_LEAST[bits]


def quantized(value, bits):
    """Symmetric integers of a weight, nearest rounding, one step for the tensor."""
    top = 2 ** (bits - 1) - 1
    step = value.abs().max() / top
    codes = (value / step).round().clamp(-top, top).to(torch.int8)
    return QuantizedTensor(codes, bits, step, torch.tensor(0, dtype=torch.int8))


def test_a_large_tensor(closing_row):
    """100 MB at density 0.5, level fast: encodes at 50 MB/s or more, decodes at 150 or more."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5000, 5000, generator=generator)
    weight[torch.rand(weight.shape, generator=generator) < 0.5] = 0
    start = time.process_time()
    blob = codec.encode({"weight": weight}, level="fast")
    middle = time.process_time()
    decoded = codec.decode(blob, max_bytes=200_000_000).state["weight"]
    end = time.process_time()
    encode_rate, decode_rate = 100 / (middle - start), 100 / (end - middle)
    closing_row(
        "100 MB tensor, density 0.5, level fast",
        ratio=f"{1e8 / len(blob):.2f}",
        encode_MB_per_s=f"{encode_rate:.0f}",
        decode_MB_per_s=f"{decode_rate:.0f}",
    )
    assert torch.equal(decoded, weight)
    assert encode_rate >= 50
    assert decode_rate >= 150
