"""How long cases took in earlier runs, and so how long a run will."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gnnperf.errors import GnnperfError
from gnnperf.system.files import atomic_write, locked, make_folder

Key = tuple[str, ...]
"""Of a case, from the widest part to the narrowest: preset, test, workload, recipe, seeds."""

FILE = "durations.json"
_LEAST_PARTS = 2  # Cases of one test are alike; those of two tests are not.
_MINUTE, _HOUR = 60, 3600


def read_durations(cache: Path) -> dict[Key, float]:
    """Seconds by case; those that are damaged are as good as none."""
    try:
        content = json.loads((cache / FILE).read_bytes())
        found = {tuple(map(str, key)): float(seconds) for key, seconds in content}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}
    return {key: seconds for key, seconds in found.items() if 0 <= seconds < math.inf}


def keep_durations(cache: Path, seconds: Mapping[Key, float]) -> None:
    """Add to what is kept; what cannot be kept is let go, as nothing depends on it."""
    with suppress(GnnperfError, OSError):
        make_folder(cache)
        with locked(cache / FILE):
            kept = {**read_durations(cache), **seconds}
            atomic_write(cache / FILE, [json.dumps(list(kept.items())).encode()])


class Expected:
    """What cases will take, by those that are most like them: the same, else those beside it."""

    def __init__(self, seconds: Mapping[Key, float]) -> None:
        alike: dict[Key, list[float]] = defaultdict(list)
        for key, value in seconds.items():
            for parts in range(_LEAST_PARTS, len(key) + 1):
                alike[key[:parts]].append(value)
        self._seconds = {key: statistics.fmean(values) for key, values in alike.items()}

    def of(self, key: Key) -> float | None:
        """Seconds of a case; None where its test never ran."""
        for parts in range(len(key), _LEAST_PARTS - 1, -1):
            if key[:parts] in self._seconds:
                return self._seconds[key[:parts]]
        return None

    def total(self, keys: Iterable[Key]) -> tuple[float, int]:
        """Seconds of all whose time can be told, and the number of the others."""
        each = [self.of(key) for key in keys]
        return sum(value for value in each if value is not None), each.count(None)


def training_key(workload: str, seed: int, recipe: str | None) -> Key:
    """Of a training that is done ahead of the cases; without a recipe, of the dense base."""
    if recipe is None:
        return ("training of the base", workload, str(seed))
    return ("training after a recipe", workload, recipe, str(seed))


def estimate(keys: Sequence[Key], known: Mapping[Key, float]) -> str:
    """`about 4 h 10 min for 1,950 cases, by earlier runs`; empty where nothing can be told."""
    seconds, unknown = Expected(known).total(keys)
    if unknown == len(keys):
        return ""
    text = f"{told(seconds)} for {len(keys):,} cases, by earlier runs"
    return text + (f"; {unknown:,} of them never ran" if unknown else "")


def left(
    todo: Sequence[Key], cases: int, took: Mapping[Key, float], known: Mapping[Key, float]
) -> str:
    """`1,830 of 1,950 cases are left, about 3 h 40 min`, by the times of this run first."""
    text = f"{len(todo):,} of {cases:,} cases are left"
    seconds, unknown = Expected({**known, **took}).total(todo)
    if unknown:
        # Of tests that have not begun: as long as those that ran, for want of anything better.
        seconds += unknown * statistics.fmean(took.values()) if took else math.nan
    return text if math.isnan(seconds) else f"{text}, {told(seconds)}"


def told(seconds: float) -> str:
    """`about 4 h 10 min`, `about 12 min`, `less than a minute`."""
    hours, minutes = divmod(round(seconds / _MINUTE), _HOUR // _MINUTE)
    if hours:
        return f"about {hours:,} h {minutes} min"
    return f"about {minutes} min" if minutes else "less than a minute"
