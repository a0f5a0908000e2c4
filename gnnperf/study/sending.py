"""What a project registered on its way to other processes, and what to say where it fails."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle

from gnnperf.errors import GnnperfError
from gnnperf.recipes import own_methods
from gnnperf.workloads import find_workload

Training = tuple[str, int, str | None]
"""Workload, seed and recipe; without a recipe, the dense base."""
Failure = tuple[Training, str]
"""What could not be trained, and why."""


class Pickled:
    """Workloads and methods in files, as other processes may not know what a project registered.

    A workload may hold its graphs: so they go once, and not with every task.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[str, str | None], Path | str] = {}

    def of(self, training: Training) -> tuple[Path, Path] | str:
        """The workload and the recipe's own methods, or why one of them cannot go."""
        name, _, recipe = training
        workload = self._file("workload", name)
        methods = self._file("recipe's method", recipe)
        if isinstance(workload, str):
            return workload
        return methods if isinstance(methods, str) else (workload, methods)

    def _file(self, what: str, name: str | None) -> Path | str:
        key = (what, name)
        if key not in self._files:
            path = self._folder / f"{len(self._files)}.pickle"
            try:
                part = _part(what, name)
                with path.open("wb") as file:
                    cloudpickle.dump(part, file)
                self._files[key] = path
            except Exception as error:  # Whatever a project's objects raise when they are pickled.
                self._files[key] = (
                    f"the {what} cannot be sent to another process: {sentence(error)}"
                )
        return self._files[key]


def _part(what: str, name: str | None) -> Any:
    if name is None:
        return {}
    return find_workload(name) if what == "workload" else own_methods(name)


def received(path: Path, what: str) -> Any:
    """In a process of its own: what is in the file, read once and held until there is another."""
    if _HELD.get(what, (None, None))[0] != path:
        with path.open("rb") as file:
            _HELD[what] = path, pickle.load(file)
    return _HELD[what][1]


_HELD: dict[str, tuple[Path, Any]] = {}


def sentence(error: Exception) -> str:
    """The first line of an error, with its kind where it is none of ours."""
    kind = "" if isinstance(error, GnnperfError) else f"{type(error).__name__}: "
    return kind + (str(error).strip().partition("\n")[0] or "no reason given")


def failures_told(failures: Iterable[Failure]) -> Iterator[str]:
    """A line a reason, with the first training that failed so and how many others did."""
    by_reason: dict[str, list[Training]] = {}
    for training, reason in failures:
        by_reason.setdefault(reason, []).append(training)
    for reason, ((name, seed, recipe), *others) in by_reason.items():
        first = f"{name}, seed {seed}" + f", {recipe}" * (recipe is not None)
        more = f" (so did {len(others)} more)" if others else ""
        yield f"a training ahead failed: {first}{more}: {reason}"
