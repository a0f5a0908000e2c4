"""`gnnperf search`: chains within a budget, on a small base."""

from dataclasses import replace

import pytest

from gnnperf.cli import main
from gnnperf.cli.search import report
from gnnperf.recipes import METHODS, compress, parse_recipe
from gnnperf.study import search as room
from gnnperf.study.search import Budget, SearchError, parse_budget, search

from ..compression.bases import base
from ..compression.test_shipped import Net

optuna = pytest.importorskip("optuna")

LIST = ("global@0.5", "global@0.9", "width@0.99", "global@0.90+ptq@int4")
SMALL = Budget("bytes", 1e6)


@pytest.fixture
def trained(tmp_path):
    """A base that keeps its trainings, and counts looks at its test part."""
    return replace(base(Net), checkpoints=tmp_path / "checkpoints")


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("bytes=20kB", Budget("bytes", 20_000)),
        ("bytes=1.5MB", Budget("bytes", 1_500_000)),
        ("bytes=300", Budget("bytes", 300)),
        ("bytes=300B", Budget("bytes", 300)),
        ("cpu_ratio=0.5", Budget("cpu_ratio", 0.5)),
    ],
)
def test_a_budget_is_read(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text",
    ["bytes", "bytes=", "bytes=0", "bytes=-1kB", "bytes=nan", "bytes=inf", "bytes=2 GB", "f1=0.5",
     "cpu_ratio=0.5kB", ""],
)  # fmt: skip
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(SearchError, match=r"^--budget '.*': name bytes=20kB, or cpu_ratio=0\.5$"):
        parse_budget(text)


def test_of_a_list_each_recipe_is_tried_once_and_a_refused_one_counted(trained, monkeypatch):
    applied, told = [], []
    monkeypatch.setattr(room, "compress", lambda t, text: applied.append(text) or compress(t, text))
    found = search(trained, SMALL, 1.0, 30, [*LIST, "global@0.50"], told.append)
    assert applied == [parse_recipe(text).text for text in LIST] + [found.winner.recipe]
    assert (found.trials, found.refused) == (4, 1)
    assert "trial 3 of 4: recipe width@0.99: " in told[2]
    assert found.winner == min(found.front, key=lambda tried: tried.cost)
    assert list(found.front) == sorted(found.front, key=lambda tried: tried.cost)
    text = report(found, "bytes", "accuracy")
    assert f"{found.winner.recipe} on the test part, looked at once: accuracy 0." in text
    assert "front of 4 trials (1 refused):" in text


def test_an_interrupted_search_goes_on(trained, monkeypatch):
    def interrupted(trained, recipe, budget):
        if recipe == "global@0.9":
            raise KeyboardInterrupt
        return tried(trained, recipe, budget)

    tried, again = room._tried, []
    monkeypatch.setattr(room, "_tried", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(trained, SMALL, 1.0, 30, LIST)
    monkeypatch.setattr(room, "_tried", lambda t, r, b: again.append(r) or tried(t, r, b))
    search(trained, SMALL, 1.0, 30, LIST)
    assert again == ["global@0.9", "width@0.99", "global@0.9+ptq@int4"]


def test_the_test_part_is_looked_at_once(trained, monkeypatch):
    looked = []
    scores = room.score_readings
    monkeypatch.setattr(room, "score_readings", lambda c: looked.append(c.recipe) or scores(c))
    seen = []
    monkeypatch.setattr(
        room, "evaluate", lambda m, task, part: seen.append(part) or {"accuracy": 0.5}
    )
    found = search(trained, SMALL, 1.0, 2, LIST[:2])
    assert looked == [found.winner.recipe]
    assert all(part is trained.parts.validation for part in seen)


def test_where_none_fits_the_nearest_is_named(trained):
    with pytest.raises(SearchError, match="none of 2 trials has bytes of at most 10 and a drop of"):
        search(trained, Budget("bytes", 10), 1.0, 2, LIST[:2])
    with pytest.raises(SearchError, match=r"the cheapest is global@0\.9, \d+; allow more, or"):
        search(trained, Budget("bytes", 10), 1.0, 2, LIST[:2])


def test_without_a_list_chains_of_the_grammar_are_tried(trained):
    told = []
    found = search(trained, SMALL, 1.0, 4, announce=told.append)
    assert found.trials == 4
    assert all(parse_recipe(tried.recipe).text == tried.recipe for tried in found.front)


def test_a_search_is_another_one_with_another_list_or_base(trained):
    keys = {
        room._key(t, SMALL, 0.1, texts)
        for t in (trained, replace(trained, seed=1))
        for texts in ((), ("global@0.5",))
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--budget", "f1=1"], "--budget 'f1=1': name bytes=20kB, or cpu_ratio=0.5"),
        (["--budget", "bytes=1kB", "--trials", "0"], "--trials 0: name 1 to 100000"),
        (["--budget", "bytes=1kB", "--max-drop", "nan"], "--max-drop nan: name a number"),
        (["--budget", "bytes=1kB", "--seed", "x"], "--seed 'x': name one whole number from 0"),
    ],
)
def test_options_out_of_range_are_refused(capsys, options, sentence):
    assert main(["search", "cora_node-spline", *options]) == 2
    assert capsys.readouterr().err == f"gnnperf: error: {sentence}\n"


def test_the_grammar_names_methods_that_there_are():
    assert {name for name in room._PRUNINGS if name != "none"} <= set(METHODS)
