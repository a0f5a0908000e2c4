from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gnnperf.compression import RecipeError
from gnnperf.compression.masks import masks_of
from gnnperf.compression.pruning import lottery
from gnnperf.compression.pruning.lottery import Ticket, parse_ticket, round_sparsity, shuffled
from gnnperf.recipes import compress, parse_recipe

tickets = st.builds(
    Ticket,
    sparsity=st.floats(0, 1, exclude_max=True),
    rounds=st.integers(1, 20),
    rewind=st.integers(0, 50),
    control=st.sampled_from(["", "random-mask", "random-init"]),
)


@pytest.fixture(scope="module")
def short(spline_base):
    return replace(spline_base, train=replace(spline_base.train, epochs=6))


@pytest.fixture
def starts(monkeypatch):
    """The models as they are before each training of a recipe, with masks."""
    seen = []
    fit_cached = lottery.fit_cached

    def spy(trained, model, settings, **options):
        state = {name: value.clone() for name, value in model.state_dict().items()}
        seen.append((settings.epochs, state, masks_of(model)))
        return fit_cached(trained, model, settings, **options)

    monkeypatch.setattr(lottery, "fit_cached", spy)
    return seen


@given(tickets)
def test_every_ticket_survives_its_spelling(ticket):
    assert parse_ticket(str(ticket)) == ticket
    assert parse_recipe(f"lottery@{ticket}").text == f"lottery@{ticket}"


def test_options_are_spelt_in_one_order():
    text = "lottery@0.80:random-mask,rewind=2,rounds=3"
    assert parse_recipe(text).text == "lottery@0.8:rounds=3,rewind=2,random-mask"
    assert parse_recipe("lottery@0.8:rounds=1,rewind=0").text == "lottery@0.8"


@pytest.mark.parametrize(
    "bad",
    [
        *("1", "-0.1", "nan", "", "0.8:", "0.8:magic", "0.8:control=x", "0.8:random-mask=1"),
        *("0.8:rounds", "0.8:rounds=0", "0.8:rounds=1.5", "0.8:rewind=-1", "0.8:rounds=2,"),
        *("0.8:rounds=2,rounds=3", "0.8:random-mask,random-init"),
    ],
)
def test_bad_options_are_refused_with_an_example(bad):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"lottery@{bad}")
    assert f"'{bad}' is no argument for lottery" in str(caught.value)
    assert "as in lottery@0.8:rounds=3,rewind=2,random-mask" in str(caught.value)


@given(tickets)
def test_each_round_leaves_the_same_share_of_the_survivors(ticket):
    kept = [1 - round_sparsity(ticket, number) for number in range(ticket.rounds + 1)]
    assert kept[0] == 1
    assert kept[-1] == 1 - ticket.sparsity
    for before, after in pairwise(kept):
        assert after == pytest.approx(before * (1 - ticket.sparsity) ** (1 / ticket.rounds))


def test_survivors_begin_with_exactly_their_initial_values(short, starts):
    compressed = compress(short, "lottery@0.8:rounds=3")
    initial = short.fresh().state_dict()
    gone = None
    assert [epochs for epochs, _, _ in starts] == [6, 6, 6]
    for number, (_, state, masks) in enumerate(starts, start=1):
        for name, mask in masks.items():
            assert torch.equal(state[name], torch.where(mask, initial[name], 0.0))
        for name in initial.keys() - masks.keys():
            assert torch.equal(state[name], initial[name])
        now = torch.cat([~mask.flatten() for mask in masks.values()])
        assert int(now.sum()) == round(69120 * (1 - 0.2 ** (number / 3)))
        assert gone is None or bool((now | ~gone).all())
        gone = now
    assert sum(part.changed for part in compressed.coverage.values()) == round(0.8 * 69120)
    for name, mask in masks_of(compressed.model).items():
        assert bool((compressed.model.get_parameter(name)[~mask] == 0).all())


def test_the_first_pruning_is_that_of_the_dense_base(short):
    ticket, pruned = compress(short, "lottery@0.8"), compress(short, "global@0.8")
    assert ticket.coverage == pruned.coverage
    for name, mask in masks_of(pruned.model).items():
        assert torch.equal(mask, masks_of(ticket.model)[name])


def test_rewinding_goes_back_to_that_epoch_of_the_dense_training(spline_base, starts):
    trained = replace(spline_base, train=replace(spline_base.train, epochs=6))
    compress(trained, "lottery@0.8:rewind=2")
    (dense_epochs, dense, _), (epochs, state, masks) = starts
    assert (dense_epochs, epochs) == (2, 4)
    assert all(torch.equal(dense[n], v) for n, v in trained.fresh().state_dict().items())
    # The same steps once more, by hand.
    model = trained.fresh()
    from gnnperf.training import seeded
    from gnnperf.training.optimizers.registry import find_optimizer

    optimizer = find_optimizer("adam")(model, trained.train)
    with seeded(trained.seed):
        for _ in range(2):
            optimizer.zero_grad()
            trained.task.loss(model.train(), trained.parts.train[0]).backward()
            optimizer.step()
    for name, mask in masks.items():
        assert torch.equal(state[name], torch.where(mask, model.get_parameter(name), 0.0).detach())


def test_the_random_mask_leaves_as_much_of_each_parameter_elsewhere(short, starts):
    ticket = compress(short, "lottery@0.8")
    control = compress(short, "lottery@0.8:random-mask")
    assert control.coverage == ticket.coverage
    (_, _, mine), (_, state, random) = starts
    initial = short.fresh().state_dict()
    for name, mask in mine.items():
        assert not torch.equal(mask, random[name])
        assert torch.equal(state[name], torch.where(random[name], initial[name], 0.0))


def test_random_initialisation_keeps_the_places_alone(short, starts):
    compress(short, "lottery@0.8")
    compress(short, "lottery@0.8:random-init")
    (_, mine, masks), (_, redrawn, same) = starts
    for name, mask in masks.items():
        assert torch.equal(mask, same[name])
        assert not bool((mine[name][mask] == redrawn[name][mask]).any())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_shuffling_keeps_counts_and_shapes(sizes, seed):
    torch.manual_seed(seed)
    masks = {str(n): torch.rand(n, 3) < 0.5 for n in sizes}
    for name, mask in shuffled(masks, seed).items():
        assert mask.shape == masks[name].shape
        assert mask.sum() == masks[name].sum()


def test_what_cannot_be_rewound_is_refused(short):
    with pytest.raises(RecipeError, match="rewind=6 leaves none of the 6 epochs"):
        compress(short, "lottery@0.8:rewind=6")
    assert compress(short, "lottery@0.8:rewind=5").readings["training_epochs"].value == 1
    ready = replace(short, report=replace(short.report, epochs=0))
    with pytest.raises(RecipeError, match="came ready trained from a file"):
        compress(ready, "lottery@0.8")
    with pytest.raises(RecipeError, match=r"recipe lottery@0\.5: .* no prunable parameter"):
        compress(replace(short, model=nn.BatchNorm1d(3)), "lottery@0.5")
    with pytest.raises(RecipeError, match="removes none of the 69120 weights"):
        compress(short, "lottery@1e-9")
