"""Records made by hand: a case over seeds with the readings that a test is about."""

from gnnperf.records import Layer, Reading, Record, measured
from gnnperf.reports.study.claims import CLAIMS
from gnnperf.reports.study.evidence import Measured

SEEDS = range(3)


def case(
    workload, recipe, values=None, *, seeds=SEEDS, layers=None, source="real", data=(), **more
):
    """Records of a case, one a seed.

    Each reading is a number, the same for all seeds, a list with one a seed, or a Reading. Layers
    are shares of zeros in weights of 1000, by name.
    """
    return [
        Record(
            workload,
            recipe,
            seed,
            "accuracy",
            {
                name: value if isinstance(value, Reading) else measured(value, "", "test")
                for name, value in (
                    (name, given[place] if isinstance(given, list) else given)
                    for name, given in {**(values or {}), **more}.items()
                )
            },
            {
                name: Layer(1000, 1000 - round(1000 * share))
                for name, share in (layers or {}).items()
            },
            dict.fromkeys(layers or {}, (0, 1000)),
            {},
            {
                "git_commit": "a" * 40,
                "machine": {"device_name": "CPU X", "instruction_set": "AVX2", "threads": 1},
                "versions": {"torch": "2.13"},
                "data": {"fingerprint": "f" * 64, **dict(data)},
                "training": {"wall_seconds": 2.0, "epochs": 100},
            },
            dataset=workload.partition("-")[0],
            source=source,
        )
        for place, seed in enumerate(seeds)
    ]


def evidence(*cases):
    """Of several cases."""
    return Measured([record for records in cases for record in records])


def sixty():
    """60 records over four workloads, five recipes and three seeds."""
    readings = {
        "accuracy": [0.85, 0.86, 0.87],
        "twin_accuracy": [0.86, 0.86, 0.87],
        "accuracy_drop": [0.01, 0.0, 0.0],
        "majority": 0.6,
        "stored_bytes": [900, 950, 1000],
        "dense_bytes": 2000,
        "model_bytes": 2000,
        "algorithm1_bytes": [1000, 1010, 1020],
        "size_ratio": [2.2, 2.1, 2.0],
        "cpu_ratio": [1.0, 1.01, 0.99],
        "wall_seconds": 0.004,
        "parameters": 69143,
    }
    recipes = ("global@0", "global@0.5", "global@0.5+finetune", "layer@0.5", "l2@0.001")
    workloads = ("cora_node-spline", "cora_link-ness", "bbbp-gnnnet", "proteins-hgpsl")
    layers = {"conv1.weight": 0.5, "conv1.lin.weight": 0.3}
    return [
        record
        for workload in workloads
        for recipe in recipes
        for record in case(workload, recipe, readings, layers=layers)
    ]


class MadeUp(Measured):
    """Records made when a rule asks for them.

    Args:
        readings: (workload, recipe) -> readings by name; None: the case was not run.
        layers: (workload, recipe) -> share of zeros by weight.
        recipes: those there are of every workload.
        statistics: dataset -> what it holds.
        seeds: of every case.
    """

    def __init__(
        self, readings, *, layers=lambda w, r: {}, recipes=(), statistics=None, seeds=SEEDS
    ):
        super().__init__([])
        self._readings, self._layers, self._recipes = readings, layers, recipes
        self._statistics, self._seeds = statistics or {}, seeds

    def _records(self, workload, recipe):
        recipe = "global@0" if recipe == "dense" else recipe
        readings = self._readings(workload, recipe)
        if readings is None:
            return super()._records(workload, recipe)
        layers = self._layers(workload, recipe)
        return case(workload, recipe, readings, layers=layers, seeds=self._seeds)

    def dense(self, workload, reading):
        return self.series(workload, "global@0", reading)

    def recipes(self, workload):
        return self._recipes

    def statistics(self, dataset):
        return self._statistics.get(dataset) or super().statistics(dataset)


def level_of(recipe):
    """`0.5` of `layer@0.5+finetune`, as a number."""
    return float(recipe.partition("@")[2].partition("+finetune")[0])


def judge(claim, readings, **more):
    """The claim's verdict on made-up records."""
    return CLAIMS[claim].judge(MadeUp(readings, **more)).verdict
