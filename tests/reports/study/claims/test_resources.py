import pytest

from gnnperf.reports.study.claims.resources import QUANTITIES
from gnnperf.reports.study.evidence import PAPER

from ..made_up import judge, level_of


def tuned(recipe):
    return recipe.endswith("+finetune")


def test_time_stays():
    for ratio, verdict in (
        (1.05, "reproduced"), (0.95, "reproduced"), (1.0501, "not reproduced"),
    ):  # fmt: skip
        assert judge("R1", lambda w, r: {"cpu_ratio": ratio}) == verdict  # noqa: B023


def test_nine_in_ten_times_are_in_part():
    def readings(levels):
        return lambda w, r: {
            "cpu_ratio": 2.0
            if r.startswith("layer") and not tuned(r) and level_of(r) > levels
            else 1
        }

    assert judge("R1", readings(0.6)) == "in part"
    assert judge("R1", readings(0.5)) == "not reproduced"


def test_spline_takes_another_time():
    for ratio, verdict in (
        (1.051, "reproduced"), (1.05, "not reproduced"), (0.949, "reproduced"),
    ):  # fmt: skip
        assert judge("R2", lambda w, r: {"cpu_ratio": ratio}) == verdict  # noqa: B023


def test_memory_stays():
    for ratio, verdict in ((1.02, "reproduced"), (1.0201, "not reproduced")):
        assert judge("R3", lambda w, r: {"peak_heap_ratio": ratio}) == verdict  # noqa: B023


def test_memory_rises_on_bbbp():
    def heap(high):
        return lambda w, r: {"peak_heap_bytes": high if level_of(r) == 0.8 else 100}

    assert judge("R4", heap(105.1)) == "reproduced"
    assert judge("R4", heap(105)) == "not reproduced"


def test_tuning_lowers_memory():
    def heap(low):
        return lambda w, r: {"peak_heap_ratio": low if tuned(r) else 1}

    assert judge("R5", heap(0.95)) == "reproduced"
    assert judge("R5", heap(0.9499)) == "not reproduced"
    assert judge("R5", heap(1)) == "not reproduced"


def energy(function):
    return lambda w, r: {"energy_joules": function(w, r), "energy_ratio": function(w, r)}


def test_layers_take_energy():
    assert judge("R6", energy(lambda w, r: 1 + 1e-3 * r.startswith("layer"))) == "reproduced"
    assert judge("R6", energy(lambda w, r: 1)) == "not reproduced"


def test_energy_of_global_is_steady():
    def spread(global_, layer):
        return energy(lambda w, r: 1 + (global_ if r.startswith("global") else layer) * level_of(r))

    assert judge("R7", spread(0.1, 0.11)) == "reproduced"
    assert judge("R7", spread(0.1, 0.1)) == "not reproduced"


def test_energy_is_no_line():
    assert judge("R8", energy(lambda w, r: 1 + level_of(r))) == "not reproduced"
    assert judge("R8", energy(lambda w, r: 1 + (level_of(r) == 0.5))) == "reproduced"
    assert judge("R8", energy(lambda w, r: 1 + 0.04 * (level_of(r) == 0.5))) == "not reproduced"


def cpu(function):
    return lambda w, r: {"inference_cpu_seconds": function(w, r)}


def test_cpu_peaks():
    def peak(height, level=0.7):
        return cpu(lambda w, r: height if level_of(r) == level else 1.0)

    assert judge("R9", peak(1.0501)) == "reproduced"
    assert judge("R9", peak(1.05)) == "not reproduced"
    assert judge("R9", peak(2, level=0.6)) == "not reproduced"


def test_tuned_models_use_the_cpu_alike():
    for ratio, verdict in ((1.05, "reproduced"), (1.0501, "not reproduced")):
        assert judge("R10", cpu(lambda w, r: ratio if tuned(r) else 1)) == verdict  # noqa: B023


def test_cpu_spikes():
    def spike(height, level):
        return cpu(lambda w, r: height if level_of(r) == level else 1.0)

    assert judge("R11", spike(1.5, 0.4)) == "reproduced"
    assert judge("R11", spike(1.49, 0.4)) == "not reproduced"
    assert judge("R11", spike(9, 0.6)) == "not reproduced"


def as_the_paper(sign=1):
    def readings(workload, recipe):
        values = {name: PAPER.series(workload, recipe, name).mean for name in QUANTITIES}
        return values if sign > 0 else {name: 1 / value for name, value in values.items()}

    return readings


@pytest.mark.parametrize("claim", ["R12", "R13T", "R14T", "R15T", "R16T"])
def test_tables_of_resources(claim):
    assert judge(claim, as_the_paper()) == "reproduced"
    assert judge(claim, as_the_paper(-1)) != "reproduced"
    assert judge(claim, lambda w, r: None) == "cannot be judged"
