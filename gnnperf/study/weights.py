"""A project's own trained weights, from torch's files, safetensors or the codec's."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gnnperf import codec
from gnnperf.compression.finite import weights_fault
from gnnperf.errors import GnnperfError
from gnnperf.models.fields import Fields
from gnnperf.models.ties import ties, whole_state

M = TypeVar("M", bound=nn.Module)

_NESTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "module", "weights")
"""Under which names training loops (Lightning's the first) put the weights beside other things."""
_COMPILED = "_orig_mod."
"""What `torch.compile` puts before names."""
# What torch's reader says of a class that it would have to import.
_CLASS = re.compile(r"(?:GLOBAL|Unsupported class|class) ([\w.]+)")


class WeightsError(GnnperfError):
    """A weights file that is absent, damaged, or another model's."""


def weights_digest(path: Path | str) -> str:
    """SHA-256 of the file; raises WeightsError when it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"checkpoint {path} cannot be read ({error.strerror})") from error


def load_weights(model: M, path: Path | str) -> M:
    """Load a file of weights into the model and give it back; no pickled code is executed.

    Files that end in .gnnz are the codec's, in .safetensors that library's, all others torch's.
    Weights that lie under a name that training loops use (`state_dict`, `model` ...), or whose
    names all have one prefix (`module.`, `model.`, `_orig_mod.`) are found, with a warning that
    says so. Raises WeightsError.
    """
    path = Path(path)
    weights, notes = _weights_in(_content(path), path)
    # A state saved from the module itself knows nothing of what wraps it.
    target = model.module if isinstance(model, Fields) else model
    weights, more = _under_names_of(target, weights, path)
    try:
        found = target.load_state_dict(whole_state(target, weights), strict=False)
    except (RuntimeError, TypeError, ValueError, AttributeError, GnnperfError) as error:
        raise _unfit(path, " ".join(str(error).split())) from error
    if found.missing_keys or found.unexpected_keys:
        kinds = (("it lacks", found.missing_keys), ("it holds besides", found.unexpected_keys))
        raise _unfit(path, "; ".join(f"{what} {_some(names)}" for what, names in kinds if names))
    if fault := weights_fault(target):
        raise WeightsError(
            f"checkpoint {path}: {fault}, and such a model has no score; train it with a lower "
            "learning rate, and save it again"
        )
    if notes := [*notes, *more]:
        warnings.warn(f"checkpoint {path}: {', '.join(notes)}", stacklevel=2)
    return model


def _unfit(path: Path, reason: str) -> WeightsError:
    return WeightsError(f"checkpoint {path} does not fit the workload's model: {reason}")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".gnnz":
            return codec.load(path).state
        if path.suffix == ".safetensors":
            return _safetensors(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # torch.load raises whatever its reader stumbled over.
        text = str(error)
        held = _CLASS.search(text) if "weights_only" in text else None
        reason = (
            f"it holds Python objects ({held[1]}), which are not executed"
            if held is not None
            else text.partition("\n")[0].partition("\x1b")[0]
        )
        raise WeightsError(
            f"checkpoint {path} is no state_dict file ({reason}); "
            "write one with torch.save(model.state_dict(), path)"
        ) from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise WeightsError(
            f"checkpoint {path} needs a package to be read: pip install safetensors"
        ) from error
    return load_file(path)


def _weights_in(content: Any, path: Path) -> tuple[Mapping[str, Any], list[str]]:
    """The weights in what a file holds, and the name that they lie under."""
    inside: list[str] = []
    while isinstance(content, Mapping):
        if content and not any(isinstance(value, Mapping) for value in content.values()):
            return content, [f"taken from its {'/'.join(inside)}"] if inside else []
        nest = next((n for n in _NESTS if isinstance(content.get(n), Mapping)), None)
        if nest is None:
            raise WeightsError(
                f"checkpoint {path} holds {_some([str(key) for key in content]) or 'nothing'}, and "
                "no weights by their names, nor a state_dict under one of "
                f"{', '.join(_NESTS)}; write one with torch.save(model.state_dict(), path)"
            )
        inside.append(nest)
        content = content[nest]
    raise _unfit(path, f"it holds a {type(content).__name__}, not weights by their names")


def _under_names_of(
    model: nn.Module, weights: Mapping[str, Any], path: Path
) -> tuple[dict[str, Any], list[str]]:
    """The weights by the model's names, where all of these stand behind one prefix; else as is."""
    state = {str(name).replace(_COMPILED, ""): value for name, value in weights.items()}
    notes = [f"prefix {_COMPILED} taken off"] if any(_COMPILED in str(n) for n in weights) else []
    wanted = list(model.state_dict())
    if not wanted or set(wanted) & set(state):
        return state, notes
    prefixes = {name.removesuffix(wanted[0]) for name in state if name.endswith(f".{wanted[0]}")}
    whole, tied = [], ties(model)
    for prefix in sorted(prefixes):
        # Tied weights stand once in some files.
        inside = _without(prefix, state)
        if set(wanted) <= {*inside, *(n for n, first in tied.items() if first in inside)}:
            whole.append(prefix)
    if len(whole) > 1:
        raise WeightsError(
            f"checkpoint {path} holds weights of this model under each of {_some(whole)}; write a "
            "file of those that are meant"
        )
    for prefix in whole:
        others = [name for name in state if not name.startswith(prefix)]
        left = f", {_some(others)} left out" if others else ""
        return _without(prefix, state), [*notes, f"prefix {prefix} taken off{left}"]
    return state, notes


def _without(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {n.removeprefix(prefix): value for n, value in state.items() if n.startswith(prefix)}
