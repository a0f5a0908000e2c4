import pytest

from gnnperf.records import unavailable
from gnnperf.reports.study.evidence import PAPER, Measured
from gnnperf.reports.study.places import printed_figures
from gnnperf.reports.study.series import (
    NotMeasuredError,
    NotRunError,
    UnavailableError,
)
from gnnperf.reports.study.tables import FIGURES

from .made_up import case, evidence


def test_every_figure_of_the_paper_has_a_place():
    assert len(list(printed_figures())) == FIGURES


@pytest.mark.parametrize(
    ("workload", "recipe", "reading", "mean"),
    [
        ("cora_node-spline", "dense", "score", 0.872),
        ("cora_node-spline", "global@0", "score", 0.89),
        ("cora_node-spline", "global@0.9", "wall_seconds", 4.50),
        ("cora_node-spline", "layer@0.9", "score", 0.76),
        ("proteins-hgpsl", "global@0.9+finetune", "algorithm1_ratio", 1.9),
        ("proteins-hgpsl", "global@0.9", "algorithm1_ratio", 8.3),
        ("bbbp-gin", "dq@int8:hidden", "energy_joules", 24.78),
        ("cora_link-ness", "l2@1e+06", "score", 0.66),
        ("cora_link-sage", "dense", "score", 0.872),
        ("proteins-gin", "dense", "parameters", 43271),
    ],
)
def test_figures_of_the_paper(workload, recipe, reading, mean):
    assert PAPER.series(workload, recipe, reading).mean == mean


def test_a_drop_of_the_paper_is_against_the_same_table():
    assert PAPER.series("cora_node-spline", "global@0.9", "drop").mean == pytest.approx(0.01)
    assert PAPER.series("cora_node-spline", "global@0.9", "cpu_ratio").mean > 2


def test_what_there_is_not_says_why():
    ours = evidence(
        case("w-a", "global@0.5", accuracy=0.9),
        case("w-a", "l2@1", accuracy=unavailable("fraction", "test", "diverged")),
    )
    with pytest.raises(NotRunError, match=r"w-a layer@0\.5 was not run"):
        ours.series("w-a", "layer@0.5", "score")
    with pytest.raises(NotMeasuredError, match="energy_joules"):
        ours.series("w-a", "global@0.5", "energy_joules")
    with pytest.raises(UnavailableError, match="diverged"):
        ours.series("w-a", "l2@1", "score")
    with pytest.raises(NotRunError, match="w-b was not run"):
        ours.dense("w-b", "twin_score")
    with pytest.raises(NotMeasuredError, match="energy_joules of w-a"):
        ours.dense("w-a", "energy_joules")
    with pytest.raises(NotMeasuredError, match="what w holds"):
        ours.statistics("w")
    with pytest.raises(NotRunError, match="no model of x was run"):
        ours.statistics("x")


def test_a_continued_training_is_not_table_7s():
    assert PAPER.series("bbbp-gin", "qat@int8:hidden", "training_wall_seconds").mean == 18.7
    ours = evidence(case("bbbp-gin", "qat@int8:hidden", training_seconds=1.0))
    place = next(p for _, p, figure in printed_figures() if figure.mean == 18.7)
    with pytest.raises(NotMeasuredError):
        ours.series(place.workload, place.recipe, place.reading)


def test_made_up_data_is_no_evidence():
    ours = Measured(case("w~synthetic-a", "global@0.5", accuracy=0.9, source="synthetic"))
    assert not ours.workloads()


def test_a_seed_that_was_not_asked_for_a_reading_is_left_out():
    records = case("w-a", "global@0.5", accuracy=0.9) + case(
        "w-a", "global@0.5", accuracy=0.9, cpu_ratio=1.0, seeds=[7]
    )
    assert set(Measured(records).series("w-a", "global@0.5", "cpu_ratio").values) == {7}
