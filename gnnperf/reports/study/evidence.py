"""What claims are judged from: our records, or the paper's own tables, under the same questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gnnperf.records import Record
from gnnperf.reports.paper import Figure
from gnnperf.reports.study.places import printed_figures
from gnnperf.reports.study.series import (
    CannotBeJudgedError,
    NotMeasuredError,
    NotRunError,
    Series,
    UnavailableError,
)

DENSE, _CONTROL = "dense", "global@0"
"""The dense models of section 2.3: ours are the controls that nothing was taken from."""
_OF_DENSE = ("2", "3", "4")


class Evidence(Protocol):
    """Readings by workload and recipe; all raise CannotBeJudgedError for what there is not."""

    def series(self, workload: str, recipe: str, reading: str) -> Series:
        """A reading over seeds."""

    def dense(self, workload: str, reading: str) -> Series:
        """A reading of the dense model, or of the dense twins, from whatever recipe ran."""

    def zeros(self, workload: str, recipe: str) -> Mapping[str, Series]:
        """The share of zeros in each weight that the recipe took in hand, over seeds."""

    def recipes(self, workload: str) -> Sequence[str]:
        """Those that there are of a workload."""

    def statistics(self, dataset: str) -> Mapping[str, str]:
        """What a dataset holds: graphs, nodes, edges, features, labels."""


class Measured:
    """Our records of real data."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._cases: dict[tuple[str, str], list[Record]] = defaultdict(list)
        self._datasets: dict[str, Mapping[str, str]] = {}
        self._made_up = {r.workload.replace("~synthetic", "") for r in records if not _real(r)}
        for record in filter(_real, records):
            self._cases[record.workload, record.recipe].append(record)
            self._datasets.setdefault(record.dataset, record.provenance.get("data", {}))

    def series(self, workload: str, recipe: str, reading: str) -> Series:
        """As Evidence's. A seed that was not asked for the reading is left out; one where it was
        unavailable is a reason not to judge.
        """
        values: dict[int, float] = {}
        for record in self._records(workload, recipe):
            value = value_of(record, reading)
            if value is not None:
                values[record.seed] = value
        if not values:
            raise NotMeasuredError(f"{reading} of {workload} {recipe} is not measured")
        return Series(values)

    def dense(self, workload: str, reading: str) -> Series:
        """A reading of the dense twins, from whatever recipe ran."""
        values: dict[int, float] = {}
        for (name, _), records in self._cases.items():
            for record in records if name == workload else ():
                value = value_of(record, reading)
                if value is not None:
                    values.setdefault(record.seed, value)
        if workload not in self.workloads():
            raise self._not_run(workload)
        if not values:
            raise NotMeasuredError(f"{reading} of {workload} is not measured")
        return Series(dict(sorted(values.items())))

    def zeros(self, workload: str, recipe: str) -> Mapping[str, Series]:
        """As Evidence's."""
        shares: dict[str, dict[int, float]] = defaultdict(dict)
        for record in self._records(workload, recipe):
            for name in record.coverage:
                layer = record.layers[name]
                shares[name][record.seed] = 1 - layer.nonzeros / layer.parameters
        if not shares:
            raise CannotBeJudgedError(f"the layers of {workload} {recipe} are not recorded")
        return {name: Series(by_seed) for name, by_seed in shares.items()}

    def zeros_of_all(self, workload: str, recipe: str) -> Mapping[str, Series]:
        """The zeros of each weight that was taken in hand, as a share of all those weights."""
        shares: dict[str, dict[int, float]] = defaultdict(dict)
        for record in self._records(workload, recipe):
            taken = {name: record.layers[name] for name in record.coverage}
            total = sum(layer.parameters for layer in taken.values())
            for name, layer in taken.items():
                shares[name][record.seed] = (layer.parameters - layer.nonzeros) / total
        return {name: Series(by_seed) for name, by_seed in shares.items()}

    def recipes(self, workload: str) -> Sequence[str]:
        """As Evidence's."""
        return [recipe for name, recipe in self._cases if name == workload]

    def workloads(self) -> Sequence[str]:
        """Those that there are."""
        return list(dict.fromkeys(name for name, _ in self._cases))

    def statistics(self, dataset: str) -> Mapping[str, str]:
        """As Evidence's."""
        if dataset not in self._datasets:
            raise NotRunError(f"no model of {dataset} was run")
        found = self._datasets[dataset]
        if "graphs" not in found:
            raise NotMeasuredError(f"no record says what {dataset} holds")
        return found

    def _records(self, workload: str, recipe: str) -> list[Record]:
        found = self._cases.get((workload, _CONTROL if recipe == DENSE else recipe), [])
        if not found:
            raise self._not_run(workload, f" {recipe}")
        return sorted(found, key=lambda record: record.seed)

    def _not_run(self, workload: str, recipe: str = "") -> NotRunError:
        alone = " on real data" if workload in self._made_up else ""
        return NotRunError(f"{workload}{recipe} was not run{alone}")


def _real(record: Record) -> bool:
    # Another version of the raw files is another dataset than the paper's.
    return record.source == "real" and "~" not in record.workload


def value_of(record: Record, reading: str) -> float | None:
    """A reading, or one derived from others; None where it was not asked for.

    Raises CannotBeJudgedError where it is unavailable.
    """
    derive = _DERIVED.get(reading)
    return derive(record) if derive else _value(record, reading)


def _value(record: Record, name: str) -> float | None:
    reading = record.readings.get(name)
    if reading is None:
        return None
    if reading.value is None:
        raise UnavailableError(f"{name} of {record.case}", reading.reason)
    return reading.value


def _quotient(above: str, below: str) -> Callable[[Record], float | None]:
    def derive(record: Record) -> float | None:
        values = _value(record, above), _value(record, below)
        return None if None in values or not values[1] else values[0] / values[1]  # type: ignore[operator]

    return derive


def _of_training(name: str) -> Callable[[Record], float | None]:
    """Of the dense base's training."""

    def derive(record: Record) -> float | None:
        value = record.provenance.get("training", {}).get(name)
        return None if value is None else float(value)

    return derive


_DERIVED: dict[str, Callable[[Record], float | None]] = {
    "score": lambda record: _value(record, record.metric),
    "twin_score": lambda record: _value(record, f"twin_{record.metric}"),
    "drop": lambda record: _value(record, f"{record.metric}_drop"),
    "algorithm1_ratio": _quotient("dense_bytes", "algorithm1_bytes"),
    "model_ratio": _quotient("model_bytes", "dense_bytes"),
    "dense_epochs": _of_training("epochs"),
}


class Printed:
    """The paper's tables: means as they stand, each as a series of one exact value."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str, str], Figure] = {}
        for row, place, figure in printed_figures():
            if not place.summary:
                recipe = DENSE if row["table"] in _OF_DENSE else place.recipe
                key = (place.workload, recipe, place.reading)
                self._figures.setdefault(key, figure)

    def figure(self, workload: str, recipe: str, reading: str) -> Figure:
        """Mean and deviation; raises CannotBeJudgedError where the paper prints none."""
        for text in (recipe, *_SAME_MODEL.get(recipe, ())):
            for name in (reading, *_PRINTED_AS.get(reading, ())):
                if (found := self._figures.get((workload, text, name))) is not None:
                    return found
        raise CannotBeJudgedError(f"the paper prints no {reading} of {workload} {recipe}")

    def series(self, workload: str, recipe: str, reading: str) -> Series:
        """As Evidence's."""
        if reading == "drop":
            return self.series(workload, _dense_beside(recipe), "score") - self.series(
                workload, recipe, "score"
            )
        if reading in _RATIOS:
            mine = self.series(workload, recipe, _RATIOS[reading])
            return mine / self.series(workload, _dense_beside(recipe), _RATIOS[reading])
        if reading == "twin_score":
            return self.series(workload, _dense_beside(recipe), "score")
        return Series({0: self.figure(workload, recipe, reading).mean}, exact=True)

    def dense(self, workload: str, reading: str) -> Series:
        """A reading of the dense model, from the tables of what was done to it where there are.

        So that Tables 2 and 4 are held against them.
        """
        return self.series(workload, _CONTROL, reading)

    def zeros(self, workload: str, recipe: str) -> Mapping[str, Series]:
        """As Evidence's."""
        raise CannotBeJudgedError("the paper prints no figure of single layers")

    def recipes(self, workload: str) -> Sequence[str]:
        """As Evidence's."""
        return list(dict.fromkeys(recipe for name, recipe, _ in self._figures if name == workload))

    def statistics(self, dataset: str) -> Mapping[str, str]:
        """As Evidence's."""
        return PAPER_DATASETS[dataset]


# Of the prose and Table 1; what it leaves open is not there.
PAPER_DATASETS: Mapping[str, Mapping[str, str]] = {
    "cora_node": {
        "graphs": "1",
        "nodes": "2708",
        "edges": "5278",
        "features": "1433",
        "labels": "7",
    },
    "proteins": {"graphs": "1113", "features": "29", "labels": "2"},
    "bbbp": {"graphs": "2039", "labels": "2"},
}
_RATIOS = {
    "cpu_ratio": "wall_seconds",
    "peak_heap_ratio": "peak_heap_bytes",
    "energy_ratio": "energy_joules",
    "training_energy_ratio": "training_energy_joules",
}
# What the paper measures in its own way, by the name of ours that a rule asks for.
_PRINTED_AS = {
    "inference_cpu_seconds": ("cpu_utilisation",),
    "training_cpu_seconds": ("training_cpu_utilisation", "training_wall_seconds"),
    "nonzeros": ("parameters",),
    "size_ratio": ("algorithm1_ratio",),
}
_SAME_MODEL = {
    "global@0": ("layer@0", "l2@0", DENSE),
    "layer@0": ("global@0",),
    "global@0+finetune": ("global@0",),
    "layer@0+finetune": ("layer@0", "global@0"),
}


def _dense_beside(recipe: str) -> str:
    """The dense row of the table that the recipe stands in."""
    method, _, rest = recipe.partition("@")
    if method in ("global", "layer"):
        return f"{method}@0" + "+finetune" * rest.endswith("+finetune")
    return "l2@0" if method == "l2" else "global@0"


PAPER = Printed()
"""The paper's tables."""
