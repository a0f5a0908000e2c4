from contextlib import contextmanager
from dataclasses import replace

import cloudpickle
import pytest

from gnnperf import Trained
from gnnperf.compression import Compressed
from gnnperf.meters.registry import MeterOptions
from gnnperf.recipes import compress
from gnnperf.study import training_cost as module
from gnnperf.study.training_cost import training_cost
from gnnperf.training.modules import copied

OFF = MeterOptions(energy="off")


@pytest.fixture
def base(spline_base):
    """With few epochs, told apart by their numbers; what is not in the cache is trained."""
    settings = replace(spline_base.train, epochs=3)
    return replace(spline_base, train=settings, finetune=replace(settings, epochs=2))


@pytest.fixture
def here(monkeypatch):
    """Trains in this process; gives what was trained, in words, and the epochs of each window."""
    seen = []

    def run(work, options, what):
        windows = []

        @contextmanager
        def window():
            windows.append("open")
            yield

        # As it would come out over there.
        epochs = cloudpickle.loads(cloudpickle.dumps(work))(window)
        seen.append((what, len(windows), epochs))
        return {}

    monkeypatch.setattr(module, "training_readings", run)
    return seen


@pytest.mark.parametrize(
    ("recipe", "what", "windows", "epochs"),
    [
        ("global@0", "the dense base's training", 1, 3),
        ("global@0.5", "the dense base's training", 1, 3),
        ("ptq@int8", "the dense base's training", 1, 3),
        ("l2@0.1", "the recipe's training", 1, 3),
        ("global@0.5+finetune", "the recipe's training", 1, 2),
        ("lottery@0.5:rounds=2", "the recipe's training", 2, 6),
        # The fine-tuning's two epochs would be a continuation.
        ("qat@int8", "the recipe's training from initial weights", 1, 3),
    ],
)
def test_whose_training_is_metered(base, here, recipe, what, windows, epochs):
    training_cost(compress(base, recipe), OFF)
    assert here == [(what, windows, epochs)]


def test_quantization_begins_with_initial_weights(base):
    quantized = module._plain(base, anew=True)
    assert all(
        one.equal(other)
        for one, other in zip(
            quantized.model.state_dict().values(), base.fresh().state_dict().values(), strict=True
        )
    )
    assert module._plain(base, anew=False).model is base.model


def test_what_was_not_trained_here_says_so(base, here):
    ready = Trained.of(copied(base.model), base.parts.test, "accuracy")
    loaded = replace(base, report=replace(base.report, epochs=0))
    by_hand = Compressed(base, copied(base.model), finetuned=base.report)
    for compressed, why in (
        (compress(ready, "global@0.5"), "was given ready trained"),
        (compress(loaded, "global@0.5"), "from a checkpoint"),
        (by_hand, "not made by a recipe"),
    ):
        assert why in training_cost(compressed, OFF)["training_cpu_seconds"].reason
    assert here == []


@pytest.mark.long
def test_in_a_process_of_its_own(base):
    base = replace(base, train=replace(base.train, epochs=1))
    readings = training_cost(compress(base, "l2@0.1"), OFF)
    assert readings["training_cpu_seconds"].value > 0, readings["training_cpu_seconds"].reason
    assert readings["metered_training_epochs"].value == 1
    assert readings["training_cpu_seconds"].source.startswith("the recipe's training, trained ag")
