"""Every model of the zoo under every recipe: what was done is what is said, or one sentence."""

import re
from itertools import product

import pytest
import torch

from gnnperf import codec, compress
from gnnperf.codec import QuantizedTensor
from gnnperf.compression import Deployed
from gnnperf.compression.shipped import encoded
from gnnperf.errors import GnnperfError
from gnnperf.study.finite import require_finite
from gnnperf.study.sizes import size_readings
from gnnperf.training.modules import copied

from .bases import base, outputs
from .zoo import ZOO

SHORT = ("global@0.5", "width@0.5", "ptq@int8")
"""They train nothing."""
LONG = (
    *("layer@0.9", "global@0.5+finetune", "gradual@0.5", "lottery@0.5", "l2@1e-3"),
    *("qat@int8", "dq@int8", "a2q@4", "a2q@4:target=2", "mixed@3:qat", "ptq@w2a8:channels"),
)

# A quarter of its linear layers is for nodes of degrees that no graph here has.
IDLE = "quantizers of the model have seen no data .* on batches that reach every layer"
# The score of a node is divided by the norm of a vector that is pruned as a whole.
DIVIDED = r"\d+ of \d+ logits are NaN or infinite in the compressed model, .* a milder recipe"

REFUSED = {
    ("mf", "ptq qat dq a2q mixed"): IDLE,
    ("sag", "layer"): DIVIDED,
    ("bilinear", "width"): r"what _trilinear does to them is not known.*channel_groups\(\)",
}
"""What one sentence says of the cases that cannot be."""


def refusal(name, recipe):
    """The expected sentence, or None."""
    method = recipe.partition("@")[0]
    return next(
        (
            words
            for (model, methods), words in REFUSED.items()
            if model == name and method in methods.split()
        ),
        None,
    )


def in_turn():
    """Every tenth, all recipes in turn; the others are in the long part."""
    for number, (name, recipe) in enumerate(product(ZOO, SHORT)):
        first = number % (3 * len(SHORT) + 1) == 0
        yield pytest.param(name, recipe, marks=[] if first else pytest.mark.long)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "recipe"), in_turn())
def test_a_recipe_that_trains_nothing(name, recipe):
    check(name, recipe)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "recipe"), product(ZOO, LONG))
def test_the_others(name, recipe):
    check(name, recipe)


def check(name, recipe):
    torch.manual_seed(0)
    trained, words = base(name), refusal(name, recipe)
    before = {n: p.clone() for n, p in trained.model.state_dict().items()}
    if words is not None:
        with pytest.raises(GnnperfError) as caught:
            require_finite(compress(trained, recipe))
        assert re.search(words, str(caught.value))
        assert "\n" not in str(caught.value)
        return
    compressed = compress(trained, recipe)
    require_finite(compressed)
    assert all(torch.equal(p, before[n]) for n, p in trained.model.state_dict().items())
    require_coverage(compressed)
    require_agreement(compressed)
    require_round_trip(compressed)
    encoded(compressed)  # Raises unless the file alone gives a model that computes the same.
    if not recipe.startswith("l2"):
        assert size_readings(compressed)["size_ratio"].value > 1


def require_coverage(compressed):
    """Each claim is borne out by the tensors."""
    method, stored = compressed.recipe.partition("@")[0], compressed.state()
    model = dict(compressed.model.named_parameters())
    twin = dict(compressed.twin.model.named_parameters())
    assert compressed.coverage
    for name, part in compressed.coverage.items():
        if method in ("ptq", "qat", "dq", "a2q", "mixed"):
            assert isinstance(stored[name], QuantizedTensor), name
            assert part.total == stored[name].values.numel()
        elif method == "width":
            assert part.changed == twin[name].numel() - model[name].numel()
        elif method == "l2":
            assert part.changed == int((model[name] != twin[name]).sum())
        else:
            assert part.changed <= int((model[name] == 0).sum())
            assert torch.equal(stored[name], model[name])


def require_agreement(compressed):
    """What is shipped computes what was simulated."""
    if compressed.deployed is not None:
        simulated, shipped = outputs(compressed.model), outputs(compressed.deployed)
        torch.testing.assert_close(shipped, simulated, rtol=1e-4, atol=1e-4)
        assert compressed.readings["export_agreement"].value == 1.0


def require_round_trip(compressed):
    """The file's content, read back into the model, computes the same."""
    state = compressed.state()
    read = codec.decode(codec.encode(state, level="fast")).state
    assert codec.same_state(state, read)
    expected, other = outputs(compressed.shipped), copied(compressed.shipped)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    if isinstance(other, Deployed):
        other.restore(read)
    else:
        other.load_state_dict(read, strict=False)
    assert torch.equal(outputs(other), expected)
