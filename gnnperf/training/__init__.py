"""Training and evaluation per task, and the checkpoint cache."""

from gnnperf.training.fit import FitReport, evaluate, fit, prepared, seeded
from gnnperf.training.graph_classification import GraphClassification
from gnnperf.training.link_prediction import LinkPrediction
from gnnperf.training.settings import TrainSettings
from gnnperf.training.tasks import NodeClassification, Parts, Scores, Task
from gnnperf.training.trained import Trained, fit_cached

__all__ = [
    "FitReport",
    "GraphClassification",
    "LinkPrediction",
    "NodeClassification",
    "Parts",
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
