from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf import codec
from gnnperf.compression import RecipeError
from gnnperf.compression.quantization.mixed import parse_budget, shared_out
from gnnperf.recipes import compress, parse_recipe

from .models import untrained_gin

WIDTHS = range(2, 9)


@pytest.fixture(scope="module")
def base():
    return untrained_gin(hidden=8, layers=2)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mixed@2.0", "mixed@2"), ("mixed@2.5:qat", "mixed@2.5:qat"),
        ("mixed@8:qat,hidden", "mixed@8:hidden,qat"),
    ],
)  # fmt: skip
def test_canonical_spelling(text, canonical):
    assert parse_recipe(text).text == canonical == parse_recipe(canonical).text


@pytest.mark.parametrize("bad", ["1.99", "8.01", "", "nan", "inf", "2:", "2:qat,qat", "2:ste-abs"])
def test_other_budgets_are_refused(bad):
    with pytest.raises(RecipeError, match=f"'{bad}' is no argument for mixed"):
        parse_recipe(f"mixed@{bad}")


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=5),
    st.floats(2, 8),
    st.randoms(use_true_random=False),
)
def test_the_budget_is_kept_and_the_least_sensitive_pays_first(sizes, mean, random):
    named = {f"w{i}": size for i, size in enumerate(sizes)}
    losses = {
        n: dict(zip(WIDTHS, sorted((random.random() for _ in WIDTHS), reverse=True), strict=True))
        for n in named
    }
    bits = shared_out(losses, named, mean)
    assert all(2 <= width <= 8 for width in bits.values())
    spent = sum(named[n] * bits[n] for n in named)
    assert spent <= mean * sum(sizes) or set(bits.values()) == {2}
    free = dict(losses, w0=dict.fromkeys(WIDTHS, 0.0))
    bits = shared_out(free, named, mean)
    assert bits["w0"] < 8 or mean == 8 or all(width == 8 for width in bits.values())


def test_what_costs_nothing_gives_up_all_its_bits():
    losses = {"cheap": dict.fromkeys(WIDTHS, 1.0), "dear": {b: 9.0 - b for b in WIDTHS}}
    assert shared_out(losses, {"cheap": 10, "dear": 10}, 5) == {"cheap": 2, "dear": 8}
    assert shared_out(losses, {"cheap": 10, "dear": 10}, 8) == {"cheap": 8, "dear": 8}
    assert shared_out(losses, {"cheap": 10, "dear": 10}, 2) == {"cheap": 2, "dear": 2}


@pytest.mark.parametrize("recipe", ["mixed@3", "mixed@2.5:qat", "mixed@2:hidden"])
def test_the_logits_keep_eight_bits_and_the_rest_the_budget(base, recipe):
    compressed = compress(base, recipe)
    assert compressed.readings["export_agreement"].value == 1
    state = compressed.state()
    codes = {n: v for n, v in state.items() if isinstance(v, codec.QuantizedTensor)}
    logits = codes.pop("lin2.weight")
    assert logits.bits == 8
    spent = sum(v.bits * v.values.numel() for v in codes.values())
    budget = parse_budget(recipe.partition("@")[2]).bits
    assert spent <= budget * sum(v.values.numel() for v in codes.values())
    assert (compressed.finetuned is None) == ("qat" not in recipe)
    assert ("convs.0.nn.0.weight" in codes) == ("hidden" not in recipe)


def test_where_all_weights_make_the_logits_there_is_nothing_to_share(base):
    from torch import nn
    from torch_geometric.nn import global_add_pool

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(3, 2)

        def forward(self, data):
            return global_add_pool(self.lin(data.x), data.batch)

    with pytest.raises(RecipeError, match=r"mixed@2: all weights of made-up-gin .* take qat@w4a8"):
        compress(replace(base, model=Head().eval()), "mixed@2")
