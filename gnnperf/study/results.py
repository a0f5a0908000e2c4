"""The store of finished cases: a stopped study goes on where it was.

A result is found again only where all that decided it is the same; the file's name stands for
that, and the file says it in words, so that a result that is not used has its reason.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from torch import Tensor

import gnnperf
from gnnperf.codec import QuantizedTensor, State
from gnnperf.compression import Compressed, RecipeError
from gnnperf.errors import GnnperfError
from gnnperf.meters.registry import MeterOptions, own_meters
from gnnperf.recipes import own_methods
from gnnperf.records import Record, from_json, to_json
from gnnperf.system.files import host_lock, make_folder
from gnnperf.system.machine import describe_machine, versions
from gnnperf.system.sources import code_digest
from gnnperf.system.store import DamagedFileError, key_of, read_checked, write_checked
from gnnperf.training.keys import attributes_of, model_classes, state_digest, tensors_digest
from gnnperf.training.ready import device_of

IDENTITY = ("workload", "recipe", "seed", "meters")
"""Which case it is; results that differ in the rest are older or newer ones of the same case."""


@dataclass(frozen=True)
class Result:
    """A finished case.

    Attributes:
        record: its readings.
        round_seconds: wall time of each timed round, for pytest-benchmark's table.
    """

    record: Record
    round_seconds: tuple[float, ...]


def record_decides(
    compressed: Compressed,
    meters: Sequence[str],
    options: MeterOptions,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """All that a case's record depends on, as plain data: by name, or in named groups.

    Args:
        compressed: the model and its twin.
        meters: what is taken.
        options: how meters look.
        settings: whatever else the process was set to.
    """
    twin = compressed.twin
    models = [compressed.model, twin.model, *filter(None, [compressed.deployed])]
    decides = {
        "workload": twin.workload,
        "recipe": compressed.recipe,
        "seed": twin.seed,
        "meters": list(meters),
        "the compressed model": _model_digest(compressed),
        "the dense twin": f"{state_digest(twin.model)} {twin.model!r}",
        "the models' sources": code_digest([c for model in models for c in model_classes(model)]),
        "the task": repr(twin.task),
        "data": {"data's " + name: value for name, value in twin.data.items()},
        "meter options": asdict(options),
        "settings": dict(settings),
        "gnnperf's sources": _sources_digest(),
        "the project's sources": code_digest(_own_code(compressed.recipe, meters)),
        "versions": versions(),
        "machine": describe_machine(device_of(twin.model)),
    }
    # As it will be read again: without tuples.
    plain: dict[str, Any] = json.loads(json.dumps(decides))
    return plain


def _own_code(recipe: str, meters: Sequence[str]) -> list[Any]:
    """What a project registered and the case uses; of a recipe that is none, nothing."""
    code: list[Any] = [*own_meters(meters)]
    with suppress(RecipeError):  # Compressed by other means than a recipe.
        for method in own_methods(recipe).values():
            code += [part for part in (method.apply, method.parse) if part is not None]
    return code


def finished(
    folder: Path,
    decides: Mapping[str, Any],
    measure: Callable[[], Result],
    *,
    resume: bool,
    announce: Callable[[str], None],
    note: Callable[[str], None],
) -> tuple[Result, bool]:
    """The case's result and whether it is from the store; else it is measured now and stored.

    Runs on one machine measure one at a time.

    Args:
        folder: of the store.
        decides: what `record_decides` says.
        measure: takes the readings.
        resume: whether a stored result may be used.
        announce: told what the case waits for.
        note: told why a stored one is not used, what changed since, or why the new one is not kept.
    """
    path = _path(folder, decides)
    waiting = "waits for another run that measures on this machine"
    with suppress(GnnperfError):  # Writing will meet it again, and say so.
        make_folder(path.parent)
    with host_lock("measuring", lambda: announce(waiting)):
        found = _stored(path, decides) if resume else None
        if found is not None:
            return found, True
        if resume and (reason := _why_not(path, decides)):
            note(f"not resumed, measured again, as {reason}")
        result = measure()
        try:
            _write(path, decides, result)
        except GnnperfError as error:
            note(f"not kept in the cache, as {error}")
        return result, False


def _path(folder: Path, decides: Mapping[str, Any]) -> Path:
    identity = {name: decides[name] for name in IDENTITY}
    case = f"{decides['workload']}-{decides['recipe']}-seed{decides['seed']}"
    readable = quote(case, safe="@+=,~")[:150]
    return folder / f"{readable}-{key_of(identity)}" / f"{key_of(decides)}.result"


def _write(path: Path, decides: Mapping[str, Any], result: Result) -> None:
    content = {
        "decides": decides,
        "record": to_json(result.record),
        "round_seconds": result.round_seconds,
    }
    write_checked(path, json.dumps(content).encode())


def read_result(path: Path) -> tuple[dict[str, Any], Result]:
    """What decided a stored result, and the result; raises GnnperfError, OSError."""
    try:
        content = json.loads(bytes(read_checked(path)))
        decides, record = dict(content["decides"]), from_json(content["record"])
        seconds = tuple(float(second) for second in content["round_seconds"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"the stored result {path} is none ({error}); delete it") from error
    if not all(0 <= second < math.inf for second in seconds) or not seconds:
        raise DamagedFileError(f"the stored result {path} was timed in no rounds; delete it")
    case = (decides.get("workload"), decides.get("recipe"), decides.get("seed"))
    if case != (record.workload, record.recipe, record.seed):
        raise DamagedFileError(f"the stored result {path} is of {record.case}; delete it")
    return decides, Result(record, seconds)


def _stored(path: Path, decides: Mapping[str, Any]) -> Result | None:
    try:
        found, result = read_result(path)
    except FileNotFoundError:
        return None
    except GnnperfError:
        found = {}
    if found == decides:
        return result
    warnings.warn(f"the stored result {path} is damaged and is measured again", stacklevel=2)
    return None


def _why_not(path: Path, decides: Mapping[str, Any]) -> str:
    """What changed since the newest other result of the case; empty where there is none."""
    others = [other for other in path.parent.glob("*.result") if other != path]
    for other in sorted(others, key=lambda file: file.stat().st_mtime, reverse=True):
        with suppress(GnnperfError, OSError):  # A damaged one says nothing.
            return ", ".join(_differences(read_result(other)[0], decides))
    return ""


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, now = _flat(old), _flat(new)
    found = []
    for name in dict.fromkeys([*now, *before]):
        values = [str(side.get(name, "none")) for side in (before, now)]
        if values[0] != values[1]:
            short = all(len(value) <= _SHORT for value in values)
            found.append(f"{name} {values[0]} -> {values[1]}" if short else f"{name} changed")
    return found


_SHORT = 40


def _flat(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Groups resolved into what they hold."""
    flat: dict[str, Any] = {}
    for name, value in parts.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _model_digest(compressed: Compressed) -> str:
    """Of what is computed, what is stored, and what the recipe says of itself."""
    digest = hashlib.sha256()
    for model in filter(None, (compressed.model, compressed.deployed)):
        digest.update(f"{state_digest(model)} {model!r} {attributes_of(model)}".encode())
    digest.update(tensors_digest(_tensors(compressed.state())).encode())
    report = compressed.finetuned
    trained = () if report is None else (report.best_epoch, report.epochs, report.validation)
    # How long something took is no part of what was made.
    readings = [(k, r) for k, r in compressed.readings.items() if r.unit != "seconds"]
    digest.update(f"{trained} {readings} {dict(compressed.coverage)}".encode())
    return digest.hexdigest()


def _tensors(state: State) -> dict[str, Tensor]:
    """A stored state as tensors alone."""
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(value, QuantizedTensor):
            tensors[name] = value
        else:
            kind = f"{name} of {value.bits} bits: "
            tensors[kind + "values"], tensors[kind + "scale"] = value.values, value.scale
            tensors[kind + "zero point"] = value.zero_point
    return tensors


@functools.cache
def _sources_digest() -> str:
    folder = Path(gnnperf.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)} ".encode() + path.read_bytes())
    return digest.hexdigest()
