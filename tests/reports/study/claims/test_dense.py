import pytest

from gnnperf.reports.study.claims.dense import GRAPH_MODELS, LINK_MODELS, MARGIN, NODE_MODELS
from gnnperf.reports.study.evidence import DENSE, PAPER, PAPER_DATASETS

from ..made_up import judge

TABLE_2 = {f"T2.{n}": w for n, w in enumerate((
    "cora_link-sage", "cora_link-ness", "cora_link-walkpool", "cora_node-gcn",
    "cora_node-graphconv", "cora_node-spline", "cora_node-ssp",
), start=1)}  # fmt: skip


@pytest.mark.parametrize("claim", TABLE_2)
def test_a_score_lies_within_the_margin_of_the_papers(claim):
    figure = PAPER.figure(TABLE_2[claim], DENSE, "score")
    margin = max(MARGIN, 2 * figure.std)

    def verdict(difference):
        return judge(claim, lambda w, r: {"twin_accuracy": figure.mean + difference})

    assert verdict(margin) == verdict(-margin) == "reproduced"
    assert verdict(margin + 1e-4) == "better"
    assert verdict(-margin - 1e-4) == "not reproduced"


def test_an_interval_wider_than_the_margin_says_nothing():
    spread = {"twin_accuracy": [0.90, 0.94, 0.98]}
    assert judge("T2.2", lambda w, r: spread) == "cannot be judged"


def test_two_seeds_are_too_few():
    assert judge("T2.2", lambda w, r: {"twin_accuracy": 0.94}, seeds=(0, 1)) == "cannot be judged"


def best(link, node, ahead):
    return lambda w, r: {"twin_accuracy": 0.9 + ahead * (w in (link, node))}


def test_ness_and_spline_are_best():
    assert judge("T2.8", best(LINK_MODELS[1], NODE_MODELS[2], 0.001)) == "reproduced"
    assert judge("T2.8", best(LINK_MODELS[1], NODE_MODELS[0], 0.001)) == "in part"
    assert judge("T2.8", best(LINK_MODELS[1], NODE_MODELS[2], 0.0)) == "not reproduced"


def test_the_order_of_times():
    models = (*LINK_MODELS, *NODE_MODELS)
    times = {name: PAPER.figure(name, DENSE, "wall_seconds").mean for name in models}
    assert judge("T2.9", lambda w, r: {"wall_seconds": times[w] / 7}) == "reproduced"
    assert judge("T2.9", lambda w, r: {"wall_seconds": 1 / times[w]}) == "not reproduced"


def counts(spline=69143, hgpsl=75442):
    of = {"cora_node-spline": (spline, 0), "cora_link-ness": (45888, 0), "proteins-gin": (43271, 0),
          "proteins-hgpsl": (75458, hgpsl), "bbbp-gnnnet": (34562, 34530)}  # fmt: skip
    return lambda w, r: dict(zip(("parameters", "nonzeros"), of[w], strict=True))


def test_parameters_are_exact_and_nonzeros_near():
    assert judge("T3", counts(hgpsl=75442 - 20)) == "reproduced"
    assert judge("T3", counts(hgpsl=75442 - 21)) == "in part"
    assert judge("T3", counts(spline=69144)) == "in part"


@pytest.mark.parametrize(("claim", "dataset"), [("T4.1", "proteins"), ("T4.2", "bbbp")])
def test_accuracies_on_graphs(claim, dataset):
    best = {"proteins": "hgpsl", "bbbp": "gnnnet"}[dataset]
    models = [f"{dataset}-{name}" for name in (*GRAPH_MODELS, best)]
    paper = {name: PAPER.figure(name, DENSE, "score").mean for name in models}

    def verdict(differences):
        off = dict(zip(models, differences, strict=True))
        return judge(claim, lambda w, r: {"twin_accuracy": paper[w] + off[w]})

    assert verdict([0, 0, 0, 0, 0]) == "reproduced"
    assert verdict([0.1, 0, 0, 0, 0]) == "better"
    assert verdict([0, 0, 0, -0.1, -0.1]) == "in part"
    assert verdict([-0.1, -0.1, -0.1, 0, 0]) == "not reproduced"


def test_the_first_and_the_last():
    def scores(last):
        return lambda w, r: {
            "twin_accuracy": last
            if w.endswith("gcn")
            else 0.8
            if w.endswith(("hgpsl", "gnnnet"))
            else 0.7
        }

    assert judge("T4.3", scores(0.699)) == "reproduced"
    assert judge("T4.3", scores(0.7)) == "in part"
    assert judge("T4.3", lambda w, r: {"twin_accuracy": 0.7}) == "not reproduced"


def test_what_datasets_hold():
    held = {name: {"nodes": "", "edges": "", "features": "", **whole}
            for name, whole in PAPER_DATASETS.items()}  # fmt: skip
    assert judge("T1", lambda w, r: None, statistics=held) == "reproduced"
    other = {**held, "proteins": {**held["proteins"], "features": "4"}}
    assert judge("T1", lambda w, r: None, statistics=other) == "in part"
    assert judge("T1", lambda w, r: None) == "cannot be judged"
