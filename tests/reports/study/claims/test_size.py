import math

import pytest

from gnnperf.reports.study.evidence import PAPER

from ..made_up import judge, level_of


def of_paper(factor, **more):
    """Algorithm 1's ratio so many times that of the paper."""

    def readings(workload, recipe):
        ratio = factor * PAPER.figure(workload, recipe, "algorithm1_ratio").mean
        return {"dense_bytes": ratio, "algorithm1_bytes": 1, **more}

    return readings


def ratios(function):
    return lambda w, r: {"dense_bytes": function(w, r), "algorithm1_bytes": 1}


def test_a_mask_alone_saves_nothing():
    for bytes_, verdict in ((1001, "reproduced"), (1001.1, "not reproduced"), (999, "reproduced")):
        readings = {"model_bytes": bytes_, "dense_bytes": 1000}
        assert judge("S1", lambda w, r: readings) == verdict  # noqa: B023


def test_half_of_the_cases_is_enough_to_see_that():
    readings = {"model_bytes": 1, "dense_bytes": 1}
    for last, verdict in ((0.4, "cannot be judged"), (0.5, "reproduced")):
        run = lambda w, r: readings if level_of(r) <= last else None  # noqa: B023, E731
        assert judge("S1", run) == verdict


def test_indices_pay_where_two_thirds_are_zero():
    def zeros(high):
        return lambda w, r: {"a.weight": level_of(r) if level_of(r) < 0.8 else high}

    assert judge("S2", lambda w, r: {}, layers=zeros(0.667)) == "reproduced"
    assert judge("S2", lambda w, r: {}, layers=zeros(0.666)) == "in part"


def test_a_mask_with_values_shrinks_the_more_the_sparser():
    def growth(step):
        return lambda w, r: {"size_ratio": 1.1 + step * level_of(r)}

    assert judge("S3", growth(1e-3)) == "reproduced"
    assert judge("S3", growth(0)) == "not reproduced"


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.03, "reproduced"), (0.97, "reproduced"), (1.0301, "better"), (0.9699, "not reproduced")],
)
def test_table_5(factor, verdict):
    assert judge("S4", of_paper(factor)) == verdict


def test_layers_shrink_more_on_bbbp():
    assert judge("S5", ratios(lambda w, r: 2 + 1e-3 * r.startswith("layer"))) == "reproduced"
    assert judge("S5", ratios(lambda w, r: 2)) == "not reproduced"


def test_cora_does_not_care():
    for factor, verdict in ((1.0099, "reproduced"), (1.0101, "not reproduced")):
        readings = ratios(lambda w, r: factor if r.startswith("layer") else 1)  # noqa: B023
        assert judge("S6", readings) == verdict


def test_the_anomaly():
    def at(**levels):
        return ratios(lambda w, r: levels.get(f"at_{level_of(r):g}".replace(".", "_"), 3))

    assert judge("S7", at(at_0_8=2.9, at_0_9=2.9)) == "reproduced"
    assert judge("S7", at(at_0_8=2.9)) == "in part"
    assert judge("S7", at()) == "not reproduced"


def test_fine_tuning_keeps_the_size():
    for log, verdict in ((0.0199, "reproduced"), (0.0201, "not reproduced")):
        readings = ratios(lambda w, r: math.exp(log * r.endswith("finetune")))  # noqa: B023
        assert judge("S8", readings) == verdict


def test_half_of_the_bytes_at_half_of_the_weights():
    assert judge("A2", of_paper(1.03, size_ratio=1.9)) == "reproduced"
    assert judge("A2", of_paper(1.03)) == "reproduced"
    assert judge("A2", of_paper(1.03, size_ratio=2.5)) == "better"
    assert judge("A2", of_paper(1.0301, size_ratio=2.5)) == "not reproduced"
