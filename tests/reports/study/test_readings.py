"""What the claims and tables ask of records is what records hold, name by name."""

from dataclasses import replace

from gnnperf.meters.base import beside
from gnnperf.meters.cpu import CpuMeter
from gnnperf.meters.registry import METERS, MeterOptions, meters
from gnnperf.meters.training import UNITS
from gnnperf.recipes import compress
from gnnperf.records import measured
from gnnperf.reports.study.claims import CLAIMS
from gnnperf.reports.study.evidence import PAPER_DATASETS
from gnnperf.reports.study.tables import paper_tables
from gnnperf.study.measure import measure

from .made_up import MadeUp

OFF = MeterOptions(energy="off", isolated=False)
OF_RECIPES = {"mean_bits", "simulated_cpu_ratio", "training_epochs"}
"""What quantization, A2Q and trainings add; their own tests hold the names."""
UNIT_OF_ENDING = {
    "seconds": "seconds",
    "joules": "joules",
    "bytes": "bytes",
    "ratio": "ratio",
    "utilisation": "fraction",
}
LAYERS = {
    "cora_node-spline": ("conv1.weight", "conv1.lin.weight", "conv2.weight", "conv2.lin.weight"),
    "bbbp-gnnnet": ("gnn_layers.0.w", "gnn_layers.1.w", "gnn_layers.2.w", "mlps.0.w"),
    "proteins-hgpsl": ("conv1.w", "conv2.w", "conv3.w", "lin1.w", "lin2.w"),
}


class Asking(MadeUp):
    """Records that hold whatever is asked for; what was is kept in `asked`."""

    def __init__(self):
        layers = lambda w, r: dict.fromkeys(LAYERS.get(w, ()), 0.5)  # noqa: E731
        super().__init__(lambda w, r: {}, layers=layers, statistics=PAPER_DATASETS, seeds=range(5))
        self.asked = set()

    def _records(self, workload, recipe):
        readings = _Any(self.asked)
        return [replace(r, readings=readings) for r in super()._records(workload, recipe)]


class _Any(dict):
    def __init__(self, asked):
        self._asked = asked

    def get(self, name, default=None):
        self._asked.add(name)
        return measured(1.0, "", "test")


def test_every_reading_that_is_asked_for_is_measured(spline_base):
    evidence = Asking()
    verdicts = {claim.judge(evidence).verdict for claim in CLAIMS.values()}
    assert len(verdicts) > 1
    paper_tables(evidence)
    asked = {name for name in evidence.asked if not name.startswith("sensitivity ")}
    assert {"accuracy", "energy_joules", "training_cpu_seconds"} <= asked

    units = UNITS | CpuMeter.units
    for kind in METERS.keys() - {"cpu"}:
        taken = beside(meters(kind, OFF), lambda: None, lambda: None)
        units |= {name: reading.unit for name, reading in taken.items()}
    record = measure(
        compress(spline_base, "global@0.5"),
        lambda pair: pair.run(time_limit_seconds=0.05),
        meters=("scores", "size", "latency"),
    )
    units |= {name: reading.unit for name, reading in record.readings.items()}
    assert asked - OF_RECIPES <= set(units)
    for name in asked - OF_RECIPES:
        ending = name.rpartition("_")[2]
        assert units[name] == UNIT_OF_ENDING.get(ending, units[name]), name
