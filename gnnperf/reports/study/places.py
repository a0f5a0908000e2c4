"""Where each figure of the paper's tables has its place among cases and readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gnnperf.reports.paper import Figure, paper_rows

PRUNED = ("cora_node-spline", "cora_link-ness", "bbbp-gnnnet", "proteins-hgpsl")
"""Workloads that the paper prunes and regularizes."""
QUANTIZED = ("bbbp-gin", "proteins-gin")
LEVELS = tuple(f"0.{tenth}" for tenth in range(1, 10))
"""Sparsities above zero, as recipes spell them."""
RATES = (
    *("0", "1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "0.2", "0.3", "0.4", "0.5"),
    *("0.6", "0.7", "0.8", "0.9", "1", "100", "1000", "1e+06"),
)
"""Of Table 17, as recipes spell them."""
# The paper leaves what reads raw features in fp32, as Degree-Quant does.
PTQ8, QAT4, QAT8, DQ4, DQ8 = (
    f"{recipe}:hidden" for recipe in ("ptq@int8", "qat@int4", "qat@int8", "dq@int4", "dq@int8")
)
QUANTIZERS = {
    "fp32": "global@0",
    "a2q": "a2q@4",
    "qat-int4": QAT4,
    "qat-int8": QAT8,
    "dq-int4": DQ4,
    "dq-int8": DQ8,
}
"""The paper's name -> recipe."""
METHODS = {"global": "global", "grain": "layer"}

_MODELS = {"graphsage": "sage", "walkpooling": "walkpool"}
# Table 3 names no dataset.
_DATASET_OF = {
    "spline": "cora_node",
    "ness": "cora_link",
    "hgpsl": "proteins",
    "gnnnet": "bbbp",
    "gin": "proteins",
}
_INFERENCE = {
    "accuracy": "score",
    "inference_time": "wall_seconds",
    "size_ratio": "algorithm1_ratio",
    "energy": "energy_joules",
    "cpu": "cpu_utilisation",
    "memory": "peak_heap_bytes",
    "parameters": "parameters",
    "epochs": "dense_epochs",
    # From scratch to one stopping rule, never a continuation.
    "train_time": "training_wall_seconds",
}
_TRAINING = {
    "accuracy": "score",
    "energy": "training_energy_joules",
    "cpu": "training_cpu_utilisation",
    "memory": "training_peak_heap_bytes",
}


@dataclass(frozen=True)
class Place:
    """A reading of a workload under a recipe.

    Attributes:
        workload, recipe: as records name them.
        reading: one of the record's, or one that `evidence` derives from them.
        summary: `max` or `min` over all sparsities of the recipe's method (Table 6); empty for
            the recipe's own.
    """

    workload: str
    recipe: str
    reading: str
    summary: str = ""


def place_of(row: Mapping[str, str]) -> Place:
    """Where a row of the paper's tables stands among ours."""
    model = _MODELS.get(row["model"], row["model"])
    dataset = row["dataset"].replace("-", "_") or _DATASET_OF[row["model"]]
    metric, _, summary = row["metric"].partition("_")
    if row["table"] != "6" or summary == "base":
        summary = ""
    names = _TRAINING if row["method"] == "l2" else _INFERENCE
    reading = names[metric if row["table"] == "6" else row["metric"]]
    return Place(f"{dataset}-{model}", _recipe(row), reading, summary)


def _recipe(row: Mapping[str, str]) -> str:
    method, level = row["method"], row["level"]
    if method == "l2":
        return f"l2@{float(level):g}"
    if method in METHODS:
        # Table 5 is that of the fine-tuned models: its figures are those of Tables 10 and 12.
        tail = "+finetune" if row["finetune"] == "yes" or row["table"] == "5" else ""
        return f"{METHODS[method]}@{level}{tail}"
    return QUANTIZERS.get(method, "global@0")


def printed_figures() -> Iterator[tuple[Mapping[str, str], Place, Figure]]:
    """Every figure of the paper's tables with its row and its place, in the paper's order."""
    for row in paper_rows():
        std = float(row["std"]) if row["std"] else None
        yield row, place_of(row), Figure(float(row["mean"]), std)
