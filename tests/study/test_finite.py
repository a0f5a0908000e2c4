import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from gnnperf.recipes import compress
from gnnperf.study import measure as room
from gnnperf.study.finite import NotFiniteError
from gnnperf.study.measure import measure, score_readings


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch):
    def fail(*_):
        raise AssertionError("a meter was read")

    for name in room.PASSES:
        monkeypatch.setitem(room.PASSES, name, fail)


def broken(model, bad=math.nan):
    model = deepcopy(model)
    with torch.no_grad():
        model.conv2.bias[0] = bad
    return model


class Lost(nn.Module):
    """A model whose weights are sound, and whose logits are not."""

    def __init__(self, model, share=1.0):
        super().__init__()
        self.model, self.share = model, share

    def forward(self, batch):
        logits = self.model(batch).clone()
        logits[: round(self.share * len(logits))] = math.nan
        return logits


def refused(compressed):
    for take in (lambda: measure(compressed, None), lambda: score_readings(compressed)):
        with pytest.raises(NotFiniteError) as caught:
            take()
    return str(caught.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_no_number(spline_base, bad):
    good = compress(spline_base, "global@0.5")
    end = (
        "so that nothing was measured; train with a lower learning rate, choose a milder recipe, "
        "or mend data or checkpoint"
    )
    case = "cora_node~synthetic-spline-global@0.5-seed0: 1 of 7 values of conv2.bias are NaN or"
    assert refused(replace(good, model=broken(good.model, bad))) == (
        f"{case} infinite in the compressed model, {end}"
    )
    twin = replace(spline_base, model=broken(spline_base.model, bad))
    for compressed in (replace(good, twin=twin), compress(twin, "global@0.5")):
        assert refused(compressed) == f"{case} infinite in the dense twin, {end}"


@pytest.mark.parametrize("share", [1.0, 0.01])
def test_logits_that_are_no_numbers(spline_base, share):
    good = compress(spline_base, "global@0.5")
    lost = Lost(good.model, share)
    assert "logits are NaN or infinite in the compressed model" in refused(
        replace(good, model=lost)
    )
    twin = replace(spline_base, model=Lost(spline_base.model, share))
    assert "logits are NaN or infinite in the dense twin" in refused(replace(good, twin=twin))
    assert "in the model that is shipped" in refused(replace(good, deployed=lost))


def test_a_sound_case_is_measured(spline_base):
    with pytest.raises(AssertionError, match="a meter was read"):
        measure(compress(spline_base, "global@0.5"), None)


def test_a_training_that_diverged_is_a_result_and_its_twin_still_has_to_be_sound(spline_base):
    short = replace(spline_base, train=replace(spline_base.train, epochs=2))
    compressed = compress(short, "l2@1e39")
    reading = score_readings(compressed)["accuracy"]
    assert (reading.status, reading.reason[:21]) == ("unavailable", "the training diverged")
    assert measure(compressed, None, meters=()).readings["accuracy"] == reading
    twin = replace(short, model=broken(short.model))
    assert "in the dense twin" in refused(replace(compressed, twin=twin))


def test_finite_weights_with_logits_that_are_not_are_a_training_that_diverged_too(spline_base):
    def fresh(draw=0):
        model = spline_base.fresh(draw)
        model.register_forward_hook(lambda m, _, out: out if m.training else out * math.nan)
        return model

    lost = replace(spline_base, fresh=fresh, checkpoints=None)
    lost = replace(lost, train=replace(lost.train, epochs=1))
    reading = measure(compress(lost, "l2@0.001"), None, meters=()).readings["accuracy"]
    assert reading.status == "unavailable"
    assert reading.reason == (
        "the training diverged: none of 1 epochs had a finite validation score"
    )
