"""A case made into a folder that can be given away: the model, its record, and a page on both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from gnnperf.compression import Compressed
from gnnperf.compression.shipped import save, save_safetensors
from gnnperf.meters.latency import Pair
from gnnperf.models.fields import Fields
from gnnperf.recipes import compress, parse_recipe
from gnnperf.records import to_json
from gnnperf.reports.shipped import model_page
from gnnperf.study.measure import measure
from gnnperf.study.workbench import Workbench
from gnnperf.system.files import atomic_write, writable_folder

FORMATS: dict[str, Callable[[Compressed, Path], int]] = {
    "gnnz": save,
    "safetensors": save_safetensors,
}
"""What a model can be written as: name, which is also its file's ending -> what writes it."""
_LATENCY_SECONDS = 5.0


def ship(
    workbench: Workbench,
    workload: str,
    recipe: str,
    seed: int,
    folder: Path,
    form: str,
    announce: Callable[[str], None],
) -> Path:
    """Train or take from the cache, compress, measure and write; gives the model's file.

    Args:
        workbench: hands out the base.
        workload, recipe, seed: of the case.
        folder: made where it is absent; files of the same names are replaced.
        form: a name in FORMATS.
        announce: told what is done now.

    Raises GnnperfError; nothing is written before the case is measured.
    """
    text = parse_recipe(recipe).text
    name = workbench.workload_id(workload)
    writable_folder(folder, "--out")
    announce(f"1 of 4: the dense model of {name}, seed {seed}, from the cache or trained now")
    trained = workbench.trained(workload, seed)
    announce(f"2 of 4: {text}")
    compressed = compress(trained, text)
    announce("3 of 4: measuring it beside the dense model")
    record = measure(
        compressed,
        _in_time,
        {"allocator": workbench.allocator, "latency_seconds": _LATENCY_SECONDS},
    )
    path = folder / f"model.{form}"
    announce(f"4 of 4: writing {path}")
    size = FORMATS[form](compressed, path)
    own = compressed.twin.model
    kind = type(own.module if isinstance(own, Fields) else own)
    page = model_page(record, path.name, size, kind.__module__, kind.__qualname__)
    content = json.dumps(to_json(record), indent=1)
    atomic_write(folder / "record.json", [content.encode()])
    atomic_write(folder / "README.md", [page.encode()])
    return path


def _in_time(pair: Pair) -> None:
    pair.run(time_limit_seconds=_LATENCY_SECONDS)
