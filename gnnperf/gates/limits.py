"""Limits of the gates: defaults, a project's own in pyproject.toml, a case's by marker."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnperf.errors import GnnperfError
from gnnperf.gates.metrics import COVERAGE, LIMITS, SCORE, Metric

DEFAULT_FOLDER = "baselines"
_HIGHEST = 10.0


class LimitError(GnnperfError):
    """A limit or setting that is misspelt or out of range."""


@dataclass(frozen=True)
class GateSettings:
    """What a project says in `[tool.gnnperf]` of its pyproject.toml.

    Attributes:
        folder: where baselines lie.
        limits: by name in LIMITS, as fractions; of a score in points, or a Share.
    """

    folder: Path
    limits: Mapping[str, float] = field(default_factory=dict)


class Share(float):
    """A score's limit as a share of the baseline's value, and not in the score's own points."""


def limit_of(
    metric: Metric, limits: Mapping[str, float], *, before: float = 0.0, elsewhere: bool = False
) -> float:
    """The least limit for a metric; another class of machine only widens it.

    A fraction; of a score its points, for which a share needs the value `before`.
    """
    limit = limits.get(metric.limit, metric.tolerance)
    least = max(limit, metric.elsewhere or 0.0) if elsewhere else limit
    return least * abs(before) if isinstance(limit, Share) else least


def parse_limits(content: Mapping[str, Any], where: str) -> dict[str, float]:
    """Limits as people write them, `10%` or 0.1; raises LimitError naming `where`.

    Of a score `0.02` are points of it, and `5%` a share of the baseline's value; `coverage` is the
    least share of the weights, from 0 to 1.
    """
    found = {}
    for name, value in content.items():
        if name not in LIMITS:
            raise LimitError(f"{where}: there is no limit {name!r}; there are {', '.join(LIMITS)}")
        found[name] = _fraction(name, value, where)
    return found


def _fraction(name: str, value: Any, where: str) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        text = value.strip() if isinstance(value, str) else value
        percent = isinstance(text, str) and text.endswith("%")
        fraction = float(text[:-1]) / 100 if percent else float(text)
        if percent and name == SCORE.limit:
            fraction = Share(fraction)
    except (TypeError, ValueError, OverflowError):
        fraction = math.nan
    if name == COVERAGE and not 0 <= fraction <= 1:
        raise LimitError(
            f"{where}: {name} = {value!r} is no share of the weights; write one from 0 to 100 %, "
            'such as "95%" or 0.95'
        )
    if not 0 <= fraction <= _HIGHEST:
        raise LimitError(
            f"{where}: {name} = {value!r} is no limit; write a share from 0 to 1000 %, "
            'such as "10%" or 0.1'
        )
    return fraction


def read_settings(root: Path) -> GateSettings:
    """`[tool.gnnperf]` of the folder's pyproject.toml; raises LimitError for what is wrong there.

    Keys: `baselines`, a folder from there; and every limit.
    """
    path = root / "pyproject.toml"
    where = f"{path} [tool.gnnperf]"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("gnnperf", {})
    except FileNotFoundError:
        content = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        raise LimitError(f"{path}: cannot be read ({error}); correct it") from error
    if not isinstance(content, dict):
        raise LimitError(f"{where}: is {content!r}, not a table; write keys below it")
    folder = content.pop("baselines", DEFAULT_FOLDER)
    if not isinstance(folder, str) or not folder:
        raise LimitError(f"{where}: baselines = {folder!r} is no folder; name one")
    unknown = [name for name in content if name not in LIMITS]
    if unknown:
        raise LimitError(
            f"{where}: there is no key {unknown[0]!r}; there are baselines, {', '.join(LIMITS)}"
        )
    return GateSettings(root / folder, parse_limits(content, where))
