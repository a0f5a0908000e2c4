import pytest

from gnnperf.reports.study.claims.quantization import CONFIGURATIONS, DEFAULT, configured
from gnnperf.reports.study.evidence import PAPER
from gnnperf.reports.study.places import QUANTIZERS

from ..made_up import judge

RECIPES = tuple(QUANTIZERS.values())


def scores(**of):
    """Scores by recipe (`qat_int8`); 0.7 for others; drops against 0.7."""

    def readings(workload, recipe):
        score = of.get(recipe.replace("@", "_").replace(":hidden", ""), 0.7)
        return {"accuracy": score, "twin_accuracy": 0.7, "accuracy_drop": 0.7 - score}

    return readings


@pytest.mark.parametrize("claim", ["K1B", "K1P"])
def test_six_accuracies(claim):
    def verdict(difference, drop_off=1):
        return judge(
            claim,
            lambda w, r: {
                "accuracy": PAPER.figure(w, r, "score").mean + difference,
                "accuracy_drop": PAPER.series(w, r, "drop").mean + drop_off,
            },
        )

    assert verdict(0) == "reproduced"
    assert verdict(0.1) == "better"
    assert verdict(-0.1) == "not reproduced"


def drops(dq, others):
    return lambda w, r: {"accuracy_drop": dq if r == "dq@int8:hidden" else others}


def test_dq_recovers():
    assert judge("K2", drops(0.01, 0.0)) == "reproduced"
    assert judge("K2", drops(0.02, 0.04)) == "reproduced"
    assert judge("K2", drops(0.0201, 0.04)) == "not reproduced"


def test_dq_beats_fp32():
    assert judge("K3", drops(-1e-3, 0)) == "reproduced"
    assert judge("K3", drops(0, 0)) == "not reproduced"


def test_dq_beats_all_qat_at_4_bits():
    assert judge("K4", scores(dq_int4=0.701)) == "reproduced"
    assert judge("K4", scores(dq_int4=0.7)) == "not reproduced"
    one = {configured("qat", 4)[0].replace("@", "_").replace(":hidden", ""): 0.701}
    assert judge("K4", scores(dq_int4=0.701, **one)) == "not reproduced"


def test_a_gain_of_ten_points():
    assert judge("K5", scores(dq_int4=0.8)) == "reproduced"
    assert judge("K5", scores(dq_int4=0.799)) == "not reproduced"


def test_one_setting_is_enough_for_a_gain_and_not_for_none():
    def readings(score):
        given = scores(dq_int4=score)
        return lambda w, r: given(w, r) if r in ("dq@int4:hidden", "qat@int4:hidden") else None

    assert judge("K5", readings(0.8)) == "reproduced"
    assert judge("K5", readings(0.799)) == "cannot be judged"


def test_the_best_on_bbbp():
    assert judge("K6", scores(qat_int8=0.701, dq_int8=0.701, a2q_4=0.699)) == "reproduced"
    assert judge("K6", scores(qat_int8=0.701, dq_int8=0.7, a2q_4=0.699)) == "in part"
    assert judge("K6", scores()) == "not reproduced"


def test_the_best_on_proteins():
    ahead = {"a2q_4": 0.71, "qat_int4": 0.71, "qat_int8": 0.72, "dq_int8": 0.71}
    assert judge("K7", scores(**ahead, dq_int4=0.709)) == "reproduced"
    assert judge("K7", scores(**{**ahead, "dq_int8": 0.721}, dq_int4=0.709)) == "in part"
    assert judge("K7", scores(**ahead, dq_int4=0.71)) == "in part"
    assert judge("K7", scores(dq_int8=0.701)) == "not reproduced"


def test_four_bits_cost_more():
    def at_four(qat, dq):
        return lambda w, r: {
            "accuracy": 0.7
            if "int8" in r
            else (qat if r.startswith("qat") else dq) + (0.01 if w == "bbbp-gin" else 0)
        }

    assert judge("K8", at_four(0.689, 0.689)) == "reproduced"
    assert judge("K8", at_four(0.699, 0.689)) == "reproduced"  # 3 of 4.
    assert judge("K8", at_four(0.699, 0.7)) == "in part"
    assert judge("K8", at_four(0.7, 0.7)) == "not reproduced"


def test_ranges_of_quantizers():
    def spread(mom, per):
        def readings(workload, recipe):
            name = recipe.partition(",")[2] or DEFAULT
            width = {"abs": 0.02, "mom": mom, "per": 0.0}[name.partition("-")[2]]
            middle = per if name.endswith("per") else 0.05
            return {"accuracy_drop": [middle - width, middle, middle + width]}

        return readings

    assert len(CONFIGURATIONS) == 6
    assert judge("K11", spread(0.019, 0.05)) == "reproduced"
    assert judge("K11", spread(0.02, 0.05)) == "not reproduced"
    assert judge("K11", spread(0.019, 0.051)) == "not reproduced"


def test_a2q_keeps_bits_low():
    def a2q(bits, drop):
        return lambda w, r: {"mean_bits": bits, "accuracy_drop": drop}

    assert judge("K13", a2q(5, 0.02)) == "reproduced"
    assert judge("K13", a2q(5.01, 0.02)) == "in part"
    assert judge("K13", a2q(5.01, 0.0201)) == "not reproduced"


def test_the_order_of_quantizers():
    quantizers = RECIPES[1:]

    def readings(workload, recipe):
        rank = quantizers.index(recipe)
        return {"accuracy": rank if workload == "bbbp-gin" else -rank}

    assert judge("A3", readings) == "reproduced"
    assert judge("A3", lambda w, r: {"accuracy": quantizers.index(r)}) == "not reproduced"


def both(drop, bytes_):
    def readings(workload, recipe):
        combined = recipe == "global@0.5+qat@int8"
        return {
            "accuracy_drop": drop if combined else 0.0,
            "stored_bytes": bytes_ if combined else 100,
        }

    recipes = ("global@0.5", "qat@int8", "global@0.5+qat@int8")
    return judge("A4", readings, recipes=recipes)


def test_both_together():
    assert both(0.02, 99) == "reproduced"
    assert both(0.0201, 99) == "not reproduced"
    assert both(0.02, 101) == "not reproduced"
    assert judge("A4", lambda w, r: None, recipes=("global@0.5",)) == "cannot be judged"


def test_what_does_both_and_was_not_run_enough_says_nothing():
    def readings(workload, recipe):
        alone = {"accuracy_drop": 0.0, "stored_bytes": 100}
        return {"accuracy_drop": 0.0} if "+" in recipe else alone

    recipes = ("global@0.5", "global@0.5+qat@int8")
    assert judge("A4", readings, recipes=recipes) == "cannot be judged"
