from dataclasses import replace

import pytest

from gnnperf.recipes import compress
from gnnperf.reports.table import case_table
from gnnperf.study.measure import measure, score_readings


def untimed(pair):
    raise AssertionError("latency was not asked for")


def test_the_record_says_whose_weights_fine_tuning_kept(spline_base):
    record = measure(compress(spline_base, "layer@0.9+finetune"), untimed, meters=())
    assert record.finetune["best_epoch"] >= 1
    assert record.finetune["kept"] == f"epoch {record.finetune['best_epoch']}"
    # A rate of zero makes no epoch better than the start.
    idle = replace(spline_base.finetune, learning_rate=0.0)
    record = measure(
        compress(replace(spline_base, finetune=idle), "layer@0.9+finetune"), untimed, meters=()
    )
    assert (record.finetune["best_epoch"], record.finetune["kept"]) == (0, "start")
    assert measure(compress(spline_base, "layer@0.9"), untimed, meters=()).finetune == {}


def test_a_mask_makes_the_model_itself_no_smaller(spline_base):
    sizes = measure(compress(spline_base, "global@0.9"), untimed, meters=["size"]).readings
    assert sizes["model_bytes"].value == sizes["dense_bytes"].value
    assert sizes["stored_bytes"].value < 0.15 * sizes["dense_bytes"].value


def test_layers_are_in_a_record_without_any_meter(spline_base):
    record = measure(compress(spline_base, "global@0.9"), untimed, meters=())
    zeros = sum(layer.parameters - layer.nonzeros for layer in record.layers.values())
    assert zeros >= sum(changed for changed, _ in record.coverage.values()) == round(0.9 * 69120)
    assert list(record.readings) == ["covered"]
    assert (record.value("covered"), record.uncovered) == (1.0, {})


def test_a_score_that_is_not_finite_is_unavailable(spline_base):
    class Broken:
        metric = "accuracy"

        def evaluate(self, model, batches):
            return {"accuracy": 0.5, "loss": float("nan")}

    readings = score_readings(compress(replace(spline_base, task=Broken()), "global@0.5"))
    assert readings["accuracy"].value == 0.5
    assert (readings["loss"].status, readings["loss"].reason) == (
        "unavailable", "it came out as nan",
    )  # fmt: skip


class Twice:
    """Scores a model by what it was told."""

    metric = "mae"

    def __init__(self, scores):
        self._scores = iter(scores)

    def evaluate(self, model, batches):
        return next(self._scores)


@pytest.mark.parametrize(("mine", "drop"), [(1.5, 0.5), (0.75, -0.25)])
def test_the_drop_of_an_error_is_its_rise(spline_base, mine, drop):
    scores = [{"mae": mine, "train_mean": 3.0, "r2": 0.5}, {"mae": 1.0, "train_mean": 3.0}]
    readings = score_readings(compress(replace(spline_base, task=Twice(scores)), "global@0.5"))
    assert readings["mae_drop"].value == drop
    assert readings["mae_drop"].source.startswith("how much worse than the twin's mae")
    units = {name: readings[name].unit for name in ("mae", "twin_mae", "mae_drop", "train_mean")}
    assert set(units.values()) == {"target"}
    assert readings["r2"].unit == "fraction"


def test_the_table_tells_not_asked_for_from_not_to_be_had(spline_base):
    record = measure(compress(spline_base, "global@0.9"), untimed, meters=["scores"])
    assert case_table([record]).splitlines()[-1].split()[-1] == "-"


@pytest.mark.parametrize("method", ["gradual@0.5", "l2@0.001", "lottery@0.5", "width@0.5"])
def test_every_method_gives_a_record(spline_base, method):
    short = replace(spline_base, train=replace(spline_base.train, epochs=3))
    record = measure(compress(short, method), untimed, meters=("scores", "size"))
    assert record.recipe == method
    assert 0 <= record.value("accuracy") <= 1
    assert ("training_epochs" in record.readings) == (method != "width@0.5")
