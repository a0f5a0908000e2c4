"""How many bits A2Q's features have, for the record."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.compression.quantization.a2q.packing import pack_rows
from gnnperf.compression.quantization.a2q.target import BitCount, a2q_layers
from gnnperf.compression.quantization.raw import RawFeatures
from gnnperf.compression.quantization.sites import watching
from gnnperf.records import Reading, measured

FLOAT32_BYTES = 4


@torch.no_grad()
def bit_readings(
    model: nn.Module,
    batches: Sequence[Data],
    raw: Collection[str] = (),
    target: float | None = None,
) -> dict[str, Reading]:
    """Mean bits of a feature over the batches, in all and by layer, and the features' bytes.

    `hidden_bits` are those of features that a weight made, `input_bits` of raw ones.
    `feature_bytes` are those of the codes of all layers' inputs, each row packed to its own width;
    `feature_size_ratio` is how many times as many they take in float32.
    """
    layers = a2q_layers(model)
    count, packed_bytes = BitCount(layers), []

    def note(name: str, x: Tensor) -> None:
        count.note(name, x)
        features, rows = layers[name].features, x.flatten(0, -2)
        row_bits = features.rows(rows)[1].view(-1)
        packed_bytes.append(len(pack_rows(features.levels(rows)[0], row_bits)))

    with watching(model, layers, note):
        for batch in batches:
            model(batch)
    source = "features that enter the quantized linear layers, test part"
    total, size = sum(count.values.values()), sum(packed_bytes)
    hidden = count.mean([name for name in layers if name not in raw])
    return {
        "mean_bits": measured(count.mean(layers), "bits", source),
        "hidden_bits": measured(hidden, "bits", f"but for raw ones, {source}"),
        **_input_bits(model, count, [name for name in layers if name in raw]),
        **{
            f"bits_{name}": measured(count.mean([name]), "bits", source)
            for name in layers
            if count.values[name]
        },
        **(
            {}
            if target is None
            else {"target_met": measured(float(hidden <= target), "fraction", f"{target:g} bits")}
        ),
        "feature_bytes": measured(size, "bytes", f"packed, {source}"),
        "feature_size_ratio": measured(
            total * FLOAT32_BYTES / size, "ratio", "float32 bytes / feature_bytes"
        ),
    }


def _input_bits(model: nn.Module, count: BitCount, raw: Sequence[str]) -> dict[str, Reading]:
    if raw:
        return {"input_bits": measured(count.mean(raw), "bits", "raw features, by node or group")}
    kept = [part.least_bits() for part in model.modules() if isinstance(part, RawFeatures)]
    if not kept:
        return {}
    return {"input_bits": measured(max(kept), "bits", "raw features, as they are given")}
