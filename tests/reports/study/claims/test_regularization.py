import pytest

from gnnperf.reports.study.claims.pruning import GNNNET, HGPSL, NESS, SPLINE
from gnnperf.reports.study.evidence import PAPER

from ..made_up import judge, level_of


def test_size_stays():
    for bytes_, verdict in ((1000, "reproduced"), (1001, "not reproduced")):
        readings = {"model_bytes": bytes_, "dense_bytes": 1000}
        assert judge("Q1", lambda w, r: readings) == verdict  # noqa: B023


def test_time_stays():
    for ratio, verdict in ((1.05, "reproduced"), (1.0501, "not reproduced")):
        assert judge("Q2", lambda w, r: {"cpu_ratio": ratio}) == verdict  # noqa: B023


def collapse(drop, last, score, first):
    """A drop at rates up to `last`, and a score at rates from `first` on."""

    def readings(workload, recipe):
        rate = level_of(recipe)
        return {
            "accuracy_drop": drop if rate <= last else 0.3,
            "accuracy": score if rate >= first else 0.85,
        }

    return readings


@pytest.mark.parametrize(
    ("claim", "last", "first", "score"), [("Q3", 1e-3, 0.1, 0.72), ("Q4", 1e-2, 0.2, 0.30)]
)
def test_collapses(claim, last, first, score):
    assert judge(claim, collapse(0.02, last, score, first)) == "reproduced"
    assert judge(claim, collapse(0.0201, last, score, first)) != "reproduced"
    assert judge(claim, collapse(0.02, last, score + 0.001, first)) != "reproduced"


def test_the_slow_decline_of_links():
    def to(last):
        return lambda w, r: {"accuracy": last if level_of(r) == 1e6 else 0.9}

    assert judge("Q5", to(0.749)) == "reproduced"
    assert judge("Q5", to(0.75)) == "in part"
    assert judge("Q5", lambda w, r: {"accuracy": 0.9}) == "not reproduced"


def test_the_collapse_of_proteins():
    def readings(low, high):
        return lambda w, r: {"accuracy_drop": low if level_of(r) < 0.05 else high}

    assert judge("Q6", readings(0.02, 0.0501)) == "reproduced"
    assert judge("Q6", readings(0.02, 0.05)) == "not reproduced"
    assert judge("Q6", readings(0.0201, 0.0501)) == "in part"


def test_moderate_rates_are_safe_and_others_are_not():
    def readings(low, high):
        return lambda w, r: {"accuracy_drop": low if level_of(r) < 0.05 else high}

    assert judge("Q7", readings(0.02, 0.0201)) == "reproduced"
    assert judge("Q7", readings(0.02, 0.02)) == "in part"
    assert judge("Q7", readings(0.0201, 0.02)) == "not reproduced"


def test_there_is_no_way_back():
    def readings(last):
        return lambda w, r: {"accuracy": last if level_of(r) == 1e6 else 0.5}

    assert judge("Q8", readings(0.5)) == "reproduced"
    assert judge("Q8", readings(0.501)) == "not reproduced"


def training(what, function, **more):
    return lambda w, r: {f"training_{what}": function(w, level_of(r)), **more}


def test_memory_of_training():
    def heap(spike, off):
        return training(
            "peak_heap_bytes",
            lambda w, rate: 1 + (spike if w == GNNNET else off) * (rate == 0.7),
        )

    assert judge("Q9", heap(0.021, 0.02)) == "reproduced"
    assert judge("Q9", heap(0.02, 0.02)) == "in part"
    assert judge("Q9", heap(0.02, 0.021)) == "not reproduced"


def test_energy_of_training():
    def joules(steady, spikes):
        return training(
            "energy_joules",
            lambda w, rate: 1 if rate != 0.7 else steady if w in (SPLINE, HGPSL) else spikes,
        )

    assert judge("Q10", joules(1.5, 2)) == "reproduced"
    assert judge("Q10", joules(1.51, 2)) == "in part"
    assert judge("Q10", joules(1.51, 1.99)) == "not reproduced"


def test_cpu_of_training():
    def cpu(height, at, epochs=1):
        return training(
            "cpu_seconds", lambda w, rate: height if rate == at else 1, training_epochs=epochs
        )

    assert judge("Q11", cpu(2, 0.7)) == "reproduced"
    assert judge("Q11", cpu(1.99, 0.7)) == "not reproduced"
    assert judge("Q11", cpu(2, 0.4)) == "in part"
    assert judge("Q11", cpu(2, 100)) == "not reproduced"


def test_more_epochs_are_no_spike():
    def readings(workload, recipe):
        epochs = 100 if level_of(recipe) == 0.7 else 10
        return {"training_cpu_seconds": 0.1 * epochs, "training_epochs": epochs}

    assert judge("Q11", readings) == "not reproduced"


def test_high_rates_are_cheap():
    def cpu(workloads):
        return training("cpu_seconds", lambda w, rate: 1 - 1e-3 * (rate >= 100 and w in workloads))

    assert judge("Q12", cpu((SPLINE, NESS, GNNNET, HGPSL))) == "reproduced"
    assert judge("Q12", cpu((SPLINE,))) == "in part"
    assert judge("Q12", cpu(())) == "not reproduced"


def test_table_17():
    def verdict(difference, drop_off=1):
        return judge(
            "Q13",
            lambda w, r: {
                "accuracy": PAPER.figure(w, r, "score").mean + difference,
                "accuracy_drop": PAPER.series(w, r, "drop").mean + drop_off,
            },
        )

    assert verdict(0) == "reproduced"
    assert verdict(0.2) == "better"
    assert verdict(-0.2) == "not reproduced"
    assert verdict(-0.2, 0.02) == "reproduced"
