"""The page that lies beside a model that ships: what it is, its scores, how to load it."""

from __future__ import annotations

from gnnperf.records import Record
from gnnperf.reports.table import human_bytes, with_interval


def model_page(record: Record, file: str, file_bytes: int, module: str, name: str) -> str:
    """Markdown of about ten lines.

    Args:
        record: of the case.
        file: the model's, beside the page.
        file_bytes: its size.
        module, name: of the class that the file is loaded into.
    """
    direction = "lower is better" if not record.higher_is_better else "higher is better"
    lines = [
        f"# {name}, {record.recipe}",
        "",
        f"Trained on {record.workload} (seed {record.seed}, {record.source} data) and compressed "
        f"by `{record.recipe}` with gnnperf; every reading lies in `record.json`.",
        "",
        f"- {record.metric}: {_shown(record, record.metric)}, dense "
        f"{_shown(record, f'twin_{record.metric}')} (test part, {direction})",
        f"- `{file}`: {file_bytes} bytes; as torch saves the dense model: "
        f"{human_bytes(record.readings.get('dense_bytes'))}",
        f"- CPU time of an inference over the dense model's: "
        f"{with_interval(record.readings.get('cpu_ratio'))}",
        "",
        *_loading(file, module, name, "deploy=" in record.recipe),
    ]
    return "\n".join(lines) + "\n"


def _loading(file: str, module: str, name: str, deployed: bool) -> list[str]:
    if file.endswith(".gnnz"):
        how = [f'model = gnnperf.load("{file}", {name}(...))  # arguments as it was trained with']
        if deployed:
            how = [
                "# Arguments as it was trained with; batches like those that it is to meet.",
                f'model = gnnperf.load_deployed("{file}", {name}(...), batches)',
                "logits = model(model.prepare(batch))",
            ]
        return ["```python", "import gnnperf", f"from {module} import {name}", *how, "```"]
    return [
        "```python",
        "from safetensors.torch import load_file",
        f'state = load_file("{file}")  # dense; codes are the numbers that they stand for',
        "```",
    ]


def _shown(record: Record, name: str) -> str:
    reading = record.readings.get(name)
    return "unavailable" if reading is None or reading.value is None else f"{reading.value:.4f}"
