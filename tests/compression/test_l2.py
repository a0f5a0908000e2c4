from dataclasses import replace

import pytest
import torch

from gnnperf.compression import RecipeError
from gnnperf.compression.l2 import PAPER_RATES
from gnnperf.compression.retraining import training_readings
from gnnperf.recipes import compress, parse_recipe
from gnnperf.records import from_json, to_json
from gnnperf.reports.paper import paper_figure
from gnnperf.study.measure import measure, score_readings
from gnnperf.study.sizes import size_readings
from gnnperf.training import FitReport


@pytest.fixture
def short(spline_base):
    return replace(spline_base, train=replace(spline_base.train, epochs=5))


def test_the_base_is_the_case_of_its_own_rate(spline_base):
    compressed = compress(spline_base, f"l2@{spline_base.train.weight_decay}")
    state = spline_base.model.state_dict()
    assert all(torch.equal(state[name], v) for name, v in compressed.state().items())
    assert all(part.changed == 0 for part in compressed.coverage.values())
    assert score_readings(compressed)["accuracy_drop"].value == 0


def test_more_decay_gives_smaller_weights_in_a_model_of_the_same_size(short):
    norms = []
    for rate in (0, 0.1):
        compressed = compress(short, f"l2@{rate}")
        sizes = size_readings(compressed)
        assert sizes["parameters"].value == 69143
        assert sizes["model_bytes"].value == sizes["dense_bytes"].value
        norms.append(sum(float(v.square().sum()) for v in compressed.state().values()))
    assert norms[1] < norms[0]


def test_decay_is_part_of_the_gradient_in_workloads_of_adamw_too(short):
    decoupled = replace(short, train=replace(short.train, optimizer="adamw"))
    states = [compress(trained, "l2@0.1").state() for trained in (short, decoupled)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_training_that_diverges_is_a_result_with_its_reason(short):
    compressed = compress(short, "l2@1e39")
    record = measure(compressed, lambda pair: None, meters=("scores", "size"))
    again = from_json(to_json(record))
    for name in ("accuracy", "accuracy_drop", "stored_bytes", "size_ratio"):
        reading = again.readings[name]
        assert reading.status == "unavailable"
        assert reading.reason == "the training diverged: weights were not finite after epoch 1"
    assert again.value("diverged_epoch") == again.value("training_epochs") == 1
    assert again.value("twin_accuracy") > 0.5
    assert again.value("majority") > 0
    assert again.value("parameters") == 69143
    assert again.value("model_bytes") == again.value("dense_bytes")


def test_a_huge_rate_that_stays_finite_is_scored(short):
    assert score_readings(compress(short, "l2@1e6"))["accuracy"].status == "measured"


@pytest.mark.parametrize("bad", ["-1", "-1e-9", "nan", "inf", "-inf", "", "much", "1e400"])
def test_a_rate_out_of_range_is_refused(bad):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"l2@{bad}")
    assert f"recipe 'l2@{bad}': '{bad}' is no argument for l2" in str(caught.value)
    assert "finite rate from 0 on" in str(caught.value)


def test_the_papers_rates_are_all_in_its_table():
    assert len(PAPER_RATES) == 19
    for rate in PAPER_RATES:
        assert paper_figure(
            table=17, dataset="bbbp", method="l2", level=rate, metric="accuracy"
        ) is not None  # fmt: skip
        assert parse_recipe(f"l2@{rate}").argument == float(rate)


def test_what_a_constant_gets_stays_where_a_training_diverged(short):
    scores = {"mae": 1.0, "loss": 1.0, "train_mean": 2.0, "majority": 0.5}
    trained = replace(short, report=replace(short.report, validation=scores))
    report = FitReport(0, 1, 0.1, {}, diverged_epoch=1)
    readings = training_readings(trained, report)
    lost = {name: r.unit for name, r in readings.items() if r.status == "unavailable"}
    assert lost == {
        "mae": "target", "loss": "loss", "accuracy_drop": "fraction", "stored_bytes": "bytes",
        "size_ratio": "ratio",
    }  # fmt: skip
