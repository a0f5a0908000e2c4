"""Readings and records: what was measured, how, and where; to and from JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

from cattrs import Converter, ForbiddenExtraKeysError, transform_error
from cattrs.cols import is_mapping, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn

from gnnperf.errors import GnnperfError

SCHEMA_VERSION = 2
T = TypeVar("T")

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
        switched_off: whether it is unavailable because the user wanted it so.
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
    switched_off: bool = False

    def __post_init__(self) -> None:
        if self.switched_off and self.status != "unavailable":
            raise ValueError(f"a {self.status} reading was not switched off")
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


def unavailable(unit: str, source: str, reason: str, *, switched_off: bool = False) -> Reading:
    """A reading that could not be taken, or that the user did not want, and why."""
    return Reading(None, unit, "unavailable", source, reason, switched_off=switched_off)


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
        uncovered: the weights that it did not, with the reason of each.
        finetune: epochs, best epoch, seconds, validation scores, and which weights were `kept`:
            those of an epoch, or of the start where none was better; empty without fine-tuning.
        provenance: versions, machine, data, git commit, measuring settings.
        dataset: its name, `cora_node`.
        source: where its graphs came from: `real`, `synthetic`.
        higher_is_better: whether a rise of `metric` is good.
        steps: what each step of the recipe did: its text, coverage, parameters and non-zeros that
            it left, how its training went, and which weights were kept.
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
    dataset: str
    source: str
    higher_is_better: bool = True
    uncovered: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Mapping[str, Any], ...] = ()

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
    return {"schema": SCHEMA_VERSION, "case": record.case, **plain(record)}


def from_json(content: Mapping[str, Any]) -> Record:
    """Read what `to_json` wrote; raises RecordError for anything else."""
    if not isinstance(content, Mapping):
        raise RecordError(f"{shortened(content)} is no record; measure the case again")
    schema = content.get("schema")
    if type(schema) is not int or schema != SCHEMA_VERSION:
        raise RecordError(
            f"a record of schema {shortened(schema)}, and this gnnperf reads {SCHEMA_VERSION}; "
            "measure the case again"
        )
    fields = {k: v for k, v in content.items() if k not in ("schema", "case")}
    try:
        return structured(fields, Record)
    except ValueError as error:
        raise RecordError(f"a damaged record ({error}); measure the case again") from error


def plain(value: Any) -> Any:
    """A dataclass of ours as plain JSON values."""
    return _CONVERTER.unstructure(value)


def structured(content: Any, kind: type[T]) -> T:
    """Plain JSON values as a dataclass of ours, every field of the type that it says.

    Raises ValueError with the first fault in words, `seed is 'seven', not a whole number`:
    another type, a number that is not finite, text that is none, a field that is missing or
    unknown, or what the dataclass itself refuses.
    """
    try:
        # What no text can hold: half of a pair of UTF-16 (a lone surrogate).
        json.dumps(content, ensure_ascii=False, default=str).encode()
        return _CONVERTER.structure(content, kind)
    except UnicodeEncodeError as error:
        broken = error.object[error.start : error.end]
        raise ValueError(f"it holds {broken!r}, which is no character") from error
    except Exception as error:
        raise ValueError(_in_words(error)) from error


def shortened(value: Any) -> str:
    """A value in a sentence, however long it is."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_LONGEST = 60
_HIGHEST_COUNT = 2**63


def _in_words(error: Exception) -> str:
    """The first fault that the converter found, with the path to it."""
    first = transform_error(error, "", lambda error, _: f"{_fault(error)}\0")[0]
    fault, _, path = first.partition("\0 @ ")
    if fault.startswith("has no "):
        path = path.rpartition(".")[0]
    path = path.removeprefix(".")
    colon = "" if fault.startswith(("is ", "has ")) else ":"
    return f"{path}{colon} {fault}" if path else fault


def _fault(error: BaseException) -> str:
    if isinstance(error, ForbiddenExtraKeysError):
        return f"has the unknown {sorted(error.extra_fields)[0]!r}"
    if isinstance(error, KeyError):
        return f"has no {error}"
    return str(error)


def _number(value: Any, kind: object) -> float:
    """Whole numbers stay such."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            if math.isfinite(value):
                return value
        except OverflowError:
            pass
    raise ValueError(f"is {shortened(value)}, not a number")


def _whole(value: Any, kind: object) -> int:
    if type(value) is not int or abs(value) >= _HIGHEST_COUNT:
        raise ValueError(f"is {shortened(value)}, not a whole number")
    return value


def _exactly(kind: type, words: str) -> Callable[[Any, object], Any]:
    def structure(value: Any, _: object) -> Any:
        if type(value) is not kind:
            raise ValueError(f"is {shortened(value)}, not {words}")
        return value

    return structure


def _literal(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ValueError(f"is {shortened(value)}, not {' or '.join(get_args(kind))}")
    return value


def _tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    parts = get_args(kind)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"is {shortened(value)}, not a list")
    if parts[-1] is Ellipsis:
        return tuple(_CONVERTER.structure(value, list[parts[0]]))  # type: ignore[valid-type]
    if len(value) != len(parts):
        raise ValueError(f"is {shortened(value)}, not a list of {len(parts)}")
    return tuple(_CONVERTER.structure(v, part) for v, part in zip(value, parts, strict=True))


def _shaped(make: Callable[..., Callable[[Any, Any], Any]]) -> Callable[[Any, Converter], Any]:
    """A library's factory, but its hooks refuse what is no object of JSON."""

    def factory(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
        hook = make(kind, converter)

        def structure(value: Any, _: Any) -> Any:
            if not isinstance(value, Mapping):
                raise ValueError(f"is {shortened(value)}, not an object with names")
            return hook(value, kind)

        return structure

    return factory


def _is_of(origin: object, kind: Any) -> bool:
    return get_origin(kind) is origin


def _converter() -> Converter:
    """cattrs' own, but strict: as it comes, it makes what it gets into what it wants."""
    converter = Converter()
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(str, _exactly(str, "text"))
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    for origin, structure in ((Literal, _literal), (tuple, _tuple)):
        converter.register_structure_hook_func(partial(_is_of, origin), structure)
    for is_kind, make in (
        (is_dataclass, partial(make_dict_structure_fn, _cattrs_forbid_extra_keys=True)),
        (is_mapping, mapping_structure_factory),
    ):
        converter.register_structure_hook_factory(is_kind, _shaped(make))
    return converter


_CONVERTER = _converter()
