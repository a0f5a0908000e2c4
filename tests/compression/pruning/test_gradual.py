from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gnnperf.compression import RecipeError, attach_masks, masked_names
from gnnperf.compression.masks import masks_of
from gnnperf.compression.pruning.gradual import GradualPruning, cubic_sparsity
from gnnperf.recipes import compress

finals = st.floats(0, 1, exclude_max=True)


@given(finals, st.lists(st.floats(0, 2), min_size=2).map(sorted))
def test_the_schedule_only_grows_and_ends_at_the_final_sparsity(final, progress):
    levels = [cubic_sparsity(p, final) for p in progress]
    assert all(0 <= a <= b <= final for a, b in pairwise(levels))
    assert cubic_sparsity(0, final) == 0
    assert cubic_sparsity(1, final) == cubic_sparsity(1.5, final) == final


def test_the_schedule_is_the_cube():
    assert cubic_sparsity(0.5, 0.8) == pytest.approx(0.8 * 7 / 8)


@given(finals, st.integers(1, 4), st.integers(1, 3), st.integers(0, 100))
def test_weights_go_and_never_come_back(sparsity, ramp, steps, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 3))
    weights = ["0.weight", "1.weight"]
    attach_masks(
        model, {n: torch.ones_like(model.get_parameter(n), dtype=torch.bool) for n in weights}
    )
    hook = GradualPruning(sparsity, ramp, steps)
    gone = torch.zeros(48, dtype=torch.bool)
    for step in range(1, (ramp + 2) * steps + 1):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        hook(model)
        now = torch.cat([~mask.flatten() for mask in masks_of(model).values()])
        values = torch.cat([model.get_parameter(n).flatten() for n in weights])
        assert bool((now | ~gone).all())
        assert bool((values[now] == 0).all())
        epoch = step // steps
        assert int(now.sum()) == round(48 * cubic_sparsity(epoch / ramp, sparsity))
        gone = now
    assert int(gone.sum()) == round(48 * sparsity)


def test_only_epochs_at_full_sparsity_are_kept(spline_base):
    compressed = compress(spline_base, "gradual@0.9")
    ramp = round(2 / 3 * spline_base.finetune.epochs)
    assert ramp <= compressed.finetuned.best_epoch <= compressed.finetuned.epochs
    zeros = sum(int((compressed.model.get_parameter(n) == 0).sum()) for n in PRUNED)
    changed = sum(part.changed for part in compressed.coverage.values())
    assert changed == round(0.9 * 69120) <= zeros
    assert masked_names(compressed.model) == PRUNED


PRUNED = ["conv1.weight", "conv1.lin.weight", "conv2.weight", "conv2.lin.weight"]


def test_patience_counts_from_full_sparsity_on(spline_base):
    settings = replace(spline_base.finetune, epochs=12, patience=1, learning_rate=0.0)
    compressed = compress(replace(spline_base, finetune=settings), "gradual@0.5")
    assert (compressed.finetuned.best_epoch, compressed.finetuned.epochs) == (8, 9)


def test_a_training_of_one_epoch_prunes_in_it(spline_base):
    short = replace(spline_base, finetune=replace(spline_base.finetune, epochs=1))
    compressed = compress(short, "gradual@0.9")
    assert compressed.finetuned.best_epoch == 1
    assert sum(part.changed for part in compressed.coverage.values()) == round(0.9 * 69120)


def test_bad_input_is_refused_before_any_training(spline_base):
    with pytest.raises(RecipeError, match="removes none of the 69120 weights"):
        compress(spline_base, "gradual@1e-9")
    with pytest.raises(RecipeError, match=r"recipe gradual@0\.5: .* has no prunable parameter"):
        compress(replace(spline_base, model=nn.BatchNorm1d(3)), "gradual@0.5")
    with pytest.raises(RecipeError, match=r"gradual@0\.5 trains by itself; leave \+finetune out"):
        compress(spline_base, "gradual@0.5+finetune")


def own_fit(epochs=None, keep=None):
    """A training of one's own, for so many epochs, that keeps the weights of one of them."""

    def fit(model, parts, settings, seed):
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        states = []
        for _ in range(epochs or settings.epochs):
            for batch in parts.train:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(
                    model(batch)[batch.target_index], batch.y[batch.target_index]
                ).backward()
                optimizer.step()
            states.append({name: value.clone() for name, value in model.state_dict().items()})
        if keep is not None:
            model.load_state_dict(states[keep])

    return fit


def test_a_workloads_own_fit_that_ends_at_full_sparsity(spline_base):
    settings = replace(spline_base.finetune, epochs=4)
    base = replace(spline_base, finetune=settings, own_fit=own_fit())
    compressed = compress(base, "gradual@0.5")
    assert sum(part.changed for part in compressed.coverage.values()) == round(0.5 * 69120)


@pytest.mark.parametrize(("fit", "reached"), [(own_fit(2), "0.48"), (own_fit(keep=1), "0.48")])
def test_a_workloads_own_fit_that_ends_before_it_is_refused(spline_base, fit, reached):
    settings = replace(spline_base.finetune, epochs=4)
    base = replace(spline_base, finetune=settings, own_fit=fit, checkpoints=None)
    with pytest.raises(
        RecipeError, match=rf"gradual@0\.5: the training ended at sparsity {reached} instead of 0.5"
    ):
        compress(base, "gradual@0.5")
