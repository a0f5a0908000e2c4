"""Each model of the zoo as a trained base, with settings of a training that takes no time."""

from dataclasses import replace
from functools import cache

import torch

from gnnperf import Trained, TrainSettings
from gnnperf.training import FitReport, Parts, prepared, seeded
from gnnperf.training.modules import lazy_names, materialize

from .zoo import ZOO, batch

TRAIN, VALIDATION, TEST = ([batch(first)] for first in (0, 8, 16))
SETTINGS = TrainSettings(epochs=1, learning_rate=0.01)


@cache
def base(name):
    """As it is drawn: nothing here asks for a model that has learned."""

    def fresh(draw=0):
        with seeded(draw):
            model = ZOO[name]()
            if lazy_names(model):
                materialize(model, TRAIN[0])
            return model

    ready = Trained.of(fresh(), TEST, "accuracy", train=TRAIN, name=name)
    parts = prepared(ready.model, Parts(TRAIN, VALIDATION, TEST))
    return replace(
        ready,
        split=lambda: parts,
        train=SETTINGS,
        finetune=SETTINGS,
        report=FitReport(1, 1, 0.0, {"accuracy": 0.5, "majority": 0.5}),
        fresh=fresh,
        trainable=True,
    )


def outputs(model):
    """What the model gives on the test part."""
    with torch.no_grad():
        return torch.cat([model.eval()(batch) for batch in TEST])
