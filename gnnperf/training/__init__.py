"""Training and evaluation per task, and the checkpoint cache."""

from gnnperf.training.fit import FitReport, evaluate, fit, prepared
from gnnperf.training.metrics import METRICS, Metric
from gnnperf.training.seeding import seeded
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks.base import Parts, Scores, Task
from gnnperf.training.tasks.graphs import GraphClassification
from gnnperf.training.tasks.links import LinkPrediction
from gnnperf.training.tasks.nodes import NodeClassification
from gnnperf.training.tasks.prediction import Prediction
from gnnperf.training.tasks.sampled import Sampled
from gnnperf.training.trained import Trained, fit_cached

__all__ = [
    "METRICS",
    "FitReport",
    "GraphClassification",
    "LinkPrediction",
    "Metric",
    "NodeClassification",
    "Parts",
    "Prediction",
    "Sampled",
    "Scores",
    "Task",
    "TrainSettings",
    "Trained",
    "evaluate",
    "fit",
    "fit_cached",
    "prepared",
    "seeded",
]
