from dataclasses import replace

import pytest

from gnnperf.recipes import RecipeError
from gnnperf.study.cases import Case, CaseOverSeeds, expand
from gnnperf.study.presets import PRESETS, first_seed

PRESET = replace(PRESETS["quick"], seeds=(4, 5))
CHOSEN = replace(PRESET, seeds_are_chosen=True)


def test_workloads_by_recipes_by_seeds():
    cases = list(expand(["a", "b"], lambda preset: ["layer@.50", "layer@0.5"], PRESET))
    assert cases == [Case(w, "layer@0.5", seed) for w in "ab" for seed in (4, 5)]
    assert cases[0].id_on("a~synthetic-x") == "a~synthetic-x-layer@0.5-seed4"
    assert cases[0].trainings() == (("a", 4, "layer@0.5"),)


def test_seeds_may_be_a_function_of_the_preset():
    assert [case.seed for case in expand(["a"], ["l2@0"], PRESET, seeds=first_seed)] == [4]


def test_a_recipe_that_is_not_there():
    with pytest.raises(RecipeError):
        list(expand(["a"], ["none@1"], PRESET))


@pytest.mark.parametrize(
    ("preset", "least", "seeds"),
    [(PRESET, 1, (4, 5)), (PRESET, 2, (4, 5)), (PRESET, 3, (4, 5, 0)), (CHOSEN, 3, (4, 5))],
)
def test_one_case_over_seeds(preset, least, seeds):
    (case,) = expand(["a"], ["l2@0"], preset, over_seeds=least, beside=lambda recipe: ["l2@1"])
    assert case == CaseOverSeeds("a", "l2@0", seeds, ("l2@1",))
    assert set(case.trainings()) == {("a", s, r) for s in seeds for r in ("l2@0", "l2@1")}
    assert case.id_on("a") == f"a-l2@0-seeds{','.join(map(str, seeds))}"
