import pytest

from gnnperf.reports.study.claims.pruning import GNNNET, HGPSL, NESS, SPLINE
from gnnperf.reports.study.evidence import PAPER

from ..made_up import judge, level_of

TABLES = ("PT9", "PT10", "PT11", "PT12")


def drops(function):
    """Made-up drops; scores are 0.9 less them."""

    def readings(workload, recipe):
        drop = function(workload, recipe)
        return {"accuracy_drop": drop, "accuracy": 0.9 - drop}

    return readings


def tuned(recipe):
    return recipe.endswith("+finetune")


@pytest.mark.parametrize("claim", TABLES)
def test_a_table_of_accuracies(claim):
    def verdict(difference, drop_off):
        def readings(workload, recipe):
            score = PAPER.figure(workload, recipe, "score").mean + difference
            drop = PAPER.series(workload, recipe, "drop").mean + drop_off
            return {"accuracy": score, "accuracy_drop": drop}

        return judge(claim, readings)

    assert verdict(0, 1) == "reproduced"
    assert verdict(-0.2, 0.02) == "reproduced"
    assert verdict(-0.2, 0.0201) == "not reproduced"
    assert verdict(0.2, 1) == "better"


def test_a_table_takes_half_of_its_cells():
    def readings(most):
        def of(workload, recipe):
            if level_of(recipe) > most:
                return None
            return {"accuracy": PAPER.figure(workload, recipe, "score").mean, "accuracy_drop": 0}

        return of

    assert judge("PT9", readings(0.3)) == "cannot be judged"
    assert judge("PT9", readings(0.4)) == "reproduced"


def test_half_of_the_weights():
    assert judge("A1", drops(lambda w, r: 0.01)) == "reproduced"
    assert judge("A1", drops(lambda w, r: 0.0101)) == "not reproduced"
    assert judge("A1", drops(lambda w, r: 0.02 * (w == NESS))) == "in part"
    assert judge("A1", drops(lambda w, r: 0.02 * (w in (NESS, SPLINE)))) == "not reproduced"


def test_more_is_lost_the_more_goes():
    assert judge("P1", drops(lambda w, r: 1e-3 * level_of(r))) == "reproduced"
    assert judge("P1", drops(lambda w, r: 0)) == "not reproduced"
    assert judge("P1", drops(lambda w, r: -1e-3 * level_of(r))) == "not reproduced"


def test_tuning_helps_cora_nodes():
    better = drops(lambda w, r: -1e-3 * tuned(r))
    assert judge("P2", better) == "reproduced"
    assert judge("P2", drops(lambda w, r: 0)) == "in part"
    assert judge("P2", drops(lambda w, r: 1e-3 * tuned(r))) == "not reproduced"


def test_little_is_lost_until_the_end():
    def collapse(before, after):
        return drops(lambda w, r: after if level_of(r) == 0.9 else before)

    assert judge("P3", collapse(0.02, 0.021)) == "reproduced"
    assert judge("P3", collapse(0.02, 0.02)) == "in part"
    assert judge("P3", collapse(0.0201, 0.0201)) == "not reproduced"


@pytest.mark.parametrize(("claim", "margin"), [("P4", 0.005), ("P5", 0.02)])
def test_tuning_is_idle(claim, margin):
    def gain(value):
        return drops(lambda w, r: -value * tuned(r))

    assert judge(claim, gain(margin)) == judge(claim, gain(-margin)) == "reproduced"
    assert judge(claim, gain(margin + 1e-4)) != "reproduced"


def test_proteins_are_safe_below_the_limit():
    assert judge("P5", drops(lambda w, r: 0.02 if level_of(r) <= 0.6 else 0.3)) == "reproduced"
    assert judge("P5", drops(lambda w, r: 0.0201)) == "in part"


def test_cora_nodes_stand_all():
    assert judge("P6", drops(lambda w, r: 0.02)) == "reproduced"
    assert judge("P6", drops(lambda w, r: 0.0201)) == "not reproduced"


def test_tuning_helps_bbbp():
    def lifted(value):
        return drops(lambda w, r: -value if level_of(r) > 0.7 else 0.01)

    assert judge("P7", lifted(1e-3)) == "reproduced"
    assert judge("P7", lifted(0)) == "in part"
    assert judge("P7", drops(lambda w, r: 0.0101)) == "not reproduced"


@pytest.mark.parametrize(
    ("claim", "workloads"),
    [
        ("P8", (GNNNET, SPLINE, HGPSL)),
        ("P11", (GNNNET, SPLINE, HGPSL, NESS)),
        ("L8", (GNNNET, SPLINE, HGPSL, NESS)),
    ],
)
def test_layers_cost_more(claim, workloads):
    def gap(value, where=workloads):
        return drops(lambda w, r: value * (r.startswith("layer") and w in where))

    assert judge(claim, gap(1e-3)) == "reproduced"
    assert judge(claim, gap(1e-3, workloads[:2])) == "in part"
    assert judge(claim, gap(0)) == "not reproduced"


def test_links_do_not_care():
    for value, verdict in ((0.01, "reproduced"), (0.0101, "not reproduced")):
        readings = drops(lambda w, r: value * r.startswith("layer"))  # noqa: B023
        assert judge("P9", readings) == verdict


def test_layers_with_tuning():
    def readings(drop, gain):
        return drops(lambda w, r: gain * (not tuned(r)) if w == NESS else drop)

    assert judge("P10", readings(0.02, 0)) == "reproduced"
    assert judge("P10", readings(0.02, 1e-3)) == "in part"
    assert judge("P10", readings(0.0201, 0)) == "not reproduced"


def test_a_difference_within_the_noise_is_none():
    noisy = [0.02, -0.01, 0.005]
    readings = {"accuracy_drop": noisy, "accuracy": 0.9}
    assert judge("P6", lambda w, r: readings) == "not reproduced"
    assert judge("P6", lambda w, r: readings, seeds=(0, 1)) == "cannot be judged"
