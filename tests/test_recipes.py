from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.compression import RecipeError
from gnnperf.compression.compressed import Changed, Compressed
from gnnperf.compression.pruning.magnitude import parse_sparsity
from gnnperf.recipes import METHODS, Method, compress, own_methods, parse_recipe, register_method

SPARSE = sorted(n for n, m in METHODS.items() if m.parse is parse_sparsity and m.kind == "prune")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("global@0.50", "global@0.5"),
        ("global@0", "global@0"),
        ("layer@0.9+finetune", "layer@0.9+finetune"),
        ("global@.123456789", "global@0.123456789"),
        ("gradual@0.80", "gradual@0.8"),
        ("l2@1e-3", "l2@0.001"),
        ("l2@1e6+global@0.50", "l2@1e+06+global@0.5"),
    ],
)
def test_canonical_spelling(text, canonical):
    assert parse_recipe(text).text == canonical
    assert parse_recipe(canonical).text == canonical


@given(st.sampled_from(SPARSE), st.floats(0, 1, exclude_max=True), st.booleans())
def test_every_sparsity_survives_its_spelling(name, sparsity, finetuned):
    recipe = parse_recipe(f"{name}@{sparsity!r}" + "+finetune" * finetuned)
    again = parse_recipe(recipe.text)
    assert again == recipe
    assert (again.argument, len(again.steps)) == (sparsity, 1 + finetuned)


@pytest.mark.parametrize("bad", ["1.2", "-0.1", "nan", "inf", "1", "", "half", "0.5+", "0,5"])
def test_a_sparsity_out_of_range_is_refused(bad):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"global@{bad}")
    assert f"recipe 'global@{bad}': '{bad}' is no argument for global" in str(caught.value)
    assert "sparsity in [0, 1)" in str(caught.value)


@pytest.mark.parametrize("text", ["prune@0.5", "global", "@0.5", "", "global 0.5"])
def test_an_unknown_recipe_is_refused_with_those_there_are(text):
    with pytest.raises(RecipeError, match=r"unknown recipe .* there are .*layer@\.\.\., "):
        parse_recipe(text)


def test_a_method_knows_its_argument_alone_and_compress_adds_the_text(monkeypatch, spline_base):
    def halve(trained, argument):
        if argument != "0.50":
            raise RecipeError(f"{argument} halves nothing")
        return Compressed(trained, deepcopy(trained.model), {"conv1.weight": Changed(0, 1)})

    monkeypatch.setitem(METHODS, "halve", Method("halves", str, halve))
    assert compress(spline_base, "halve@0.50").recipe == "halve@0.50"
    with pytest.raises(RecipeError, match=r"^recipe halve@0\.6: 0\.6 halves nothing$"):
        compress(spline_base, "halve@0.6")


@pytest.mark.parametrize(
    ("name", "method", "why"),
    [
        ("1st", Method("", str, print), "a method cannot be called '1st'; take letters"),
        ("a+b", Method("", str, print), "a method cannot be called"),
        ("global", Method("", str, print), "a method 'global' is registered already"),
        (
            "mine",
            Method("", str, print, "deploy"),
            "'mine' cannot be of kind 'deploy'; choose d",
        ),
        (
            "mine",
            Method("", str, print, "shrink"),
            "'mine' cannot be of kind 'shrink'; choose d",
        ),
        ("mine", Method("", str, None), r"'mine' needs apply\(trained, argument\), and parse"),
        ("mine", Method("", "0.5", print), r"'mine' needs apply\(trained, argument\), and parse"),
    ],
)
def test_what_is_no_method_cannot_be_registered(name, method, why):
    before = dict(METHODS)
    with pytest.raises(RecipeError, match=why):
        register_method(name, method)
    assert before == METHODS


def test_a_projects_own_methods_are_told_from_gnnperfs(monkeypatch):
    mine = Method("", str, lambda trained, argument: None)
    monkeypatch.setitem(METHODS, "mine", mine)
    assert own_methods("global@0.5+mine@1+ptq@int8") == {"mine": mine}
    assert own_methods("dense") == {}


def test_a_method_refuses_an_argument_in_its_own_words(monkeypatch):
    def parse(text):
        raise RecipeError(f"there are no {text} heads; name fewer")

    monkeypatch.setitem(METHODS, "mine", Method("", parse, print))
    with pytest.raises(RecipeError, match=r"^recipe 'mine@9': there are no 9 heads; name fewer$"):
        parse_recipe("mine@9")
