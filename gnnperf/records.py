"""Readings and records: what was measured, how, and where; to and from JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gnnperf.errors import GnnperfError

SCHEMA_VERSION = 1

Status = Literal["measured", "estimated", "unavailable"]


class RecordError(GnnperfError):
    """JSON that is no record of this schema."""


@dataclass(frozen=True)
class Reading:
    """A value with its unit and where it came from; nothing is ever invented.

    Attributes:
        value: in `unit`, SI without prefixes; None when unavailable.
        unit: `bytes`, `seconds`, `fraction`, `count`, `ratio` ...
        status: measured, estimated, or unavailable.
        source: what took the reading and how.
        reason: why it is unavailable or estimated; empty for a measured one.
        low, high: 95 % confidence interval, where there is one.
        window_seconds: how long the meter looked; None where that means nothing.
        calls: how many calls the window held; `value` is for one of them.
    """

    value: float | None
    unit: str
    status: Status
    source: str
    reason: str = ""
    low: float | None = None
    high: float | None = None
    window_seconds: float | None = None
    calls: int | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != (self.status == "unavailable"):
            raise ValueError(f"a {self.status} reading cannot have the value {self.value}")
        if self.status != "measured" and not self.reason:
            raise ValueError(f"an {self.status} reading needs its reason")
        if any(v is not None and not math.isfinite(v) for v in (self.value, self.low, self.high)):
            raise ValueError(f"a reading is finite or unavailable, not {self.value}")


def measured(
    value: float,
    unit: str,
    source: str,
    low: float | None = None,
    high: float | None = None,
    *,
    window_seconds: float | None = None,
    calls: int | None = None,
) -> Reading:
    """A reading that was taken."""
    return Reading(
        value,
        unit,
        "measured",
        source,
        low=low,
        high=high,
        window_seconds=window_seconds,
        calls=calls,
    )


def unavailable(unit: str, source: str, reason: str) -> Reading:
    """A reading that could not be taken, and why."""
    return Reading(None, unit, "unavailable", source, reason)


@dataclass(frozen=True)
class Layer:
    """Size of one parameter."""

    parameters: int
    nonzeros: int


@dataclass(frozen=True)
class Record:
    """All readings of a case with their provenance.

    Attributes:
        workload: id with the data's source.
        recipe: its canonical text.
        seed: of training and split.
        metric: the reading that heads the report, `accuracy`.
        readings: by name; the twin's begin with `twin_`.
        layers: every parameter's size and non-zeros.
        coverage: the parameters the recipe took in hand: [changed, total].
        finetune: epochs, best epoch, seconds, validation scores, and which weights were `kept`:
            those of an epoch, or of the start where none was better; empty without fine-tuning.
        provenance: versions, machine, data, git commit, measuring settings.
    """

    workload: str
    recipe: str
    seed: int
    metric: str
    readings: Mapping[str, Reading]
    layers: Mapping[str, Layer]
    coverage: Mapping[str, tuple[int, int]]
    finetune: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def case(self) -> str:
        """`cora_node-spline-global@0.5-seed0`, as in the test's id."""
        return f"{self.workload}-{self.recipe}-seed{self.seed}"

    def value(self, name: str) -> float:
        """The value of a reading; raises RecordError when it is missing or unavailable."""
        reading = self.readings.get(name)
        if reading is None:
            raise RecordError(f"{self.case}: no reading {name!r}; there are {list(self.readings)}")
        if reading.value is None:
            raise RecordError(f"{self.case}: {name} is unavailable: {reading.reason}")
        return reading.value


def to_json(record: Record) -> dict[str, Any]:
    """Plain JSON values, the schema's version among them."""
    return {"schema": SCHEMA_VERSION, "case": record.case, **asdict(record)}


def from_json(content: Mapping[str, Any]) -> Record:
    """Read what `to_json` wrote; raises RecordError for anything else."""
    if content.get("schema") != SCHEMA_VERSION:
        raise RecordError(
            f"a record of schema {content.get('schema')!r}; this gnnperf reads {SCHEMA_VERSION}"
        )
    fields = {k: v for k, v in content.items() if k not in ("schema", "case")}
    try:
        fields["readings"] = {k: Reading(**v) for k, v in fields["readings"].items()}
        fields["layers"] = {k: Layer(**v) for k, v in fields["layers"].items()}
        fields["coverage"] = {k: (int(a), int(b)) for k, (a, b) in fields["coverage"].items()}
        return Record(**fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"a damaged record ({error}); measure the case again") from error
