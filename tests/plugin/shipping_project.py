"""A project of three files that brings a model, a method and a meter of its own."""

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.hidden, self.head = nn.Linear(8, hidden), nn.Linear(hidden, 2)

    def forward(self, data):
        return self.head(self.hidden(data.x).relu())
"""

CONFTEST = """
from copy import deepcopy

import torch
from torch_geometric.data import Data

import gnnperf
from gnnperf.compression import Compressed, attach_masks, prunable
from gnnperf.records import measured
from nets import Net

def graphs():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    return [Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=(x[:, 0] > 0).long())]

def share(text):
    number = float(text)
    if not 0 < number <= 1:
        raise ValueError
    return number

def topk(trained, kept):
    model, masks = deepcopy(trained.model), {}
    for name, weight in prunable(model).items():
        rank = weight.abs().argsort(1, descending=True).argsort(1)
        masks[name] = rank < max(1, round(kept * weight.size(1)))
    attach_masks(model, masks)
    return Compressed(trained, model)

class Answers(gnnperf.Meter):
    units = {"answers": "count"}
    source = "counted by hand"
    window_seconds = 0.0

    def start(self):
        pass

    def stop(self, calls, window_seconds):
        return {"answers": measured(42, "count", self.source)}

gnnperf.register_workload(gnnperf.Workload(gnnperf.OwnDataset("mine", graphs), "net",
    gnnperf.NodeClassification(held_out=100), lambda data: Net(16),
    gnnperf.TrainSettings(epochs=20, learning_rate=0.05)))
gnnperf.register_method(
    "topk", gnnperf.Method("the largest of a row; share in (0, 1]", share, topk)
)
gnnperf.register_meter("answers", lambda options: [Answers()])
"""

BENCH = """
import pytest
import gnnperf
from gnnperf.compression import RecipeError
from gnnperf.training.checkpoints import only_cached

@pytest.mark.gnnperf_cases(workloads=["mine-net"], recipes=["topk@0.5"], seeds=[0])
def test_shipping(case, trained):
    compressed = gnnperf.compress(trained(case.workload, case.seed), case.recipe + "+ptq@int8")
    compressed.save("model.gnnz")
    with open("expected.txt", "w") as file:
        file.write(repr(compressed.shipped(compressed.twin.parts.test[0]).sum().item()))
    with pytest.raises(RecipeError, match="quantizes, and then nothing can be removed"):
        gnnperf.compress(trained(case.workload, case.seed), "ptq@int8+topk@0.5")

@pytest.mark.gnnperf_cases(
    workloads=["mine-net"], recipes=["topk@0.50+finetune", "topk@0.25"], seeds=[0, 1]
)
def test_it(case, trained, measure):
    with only_cached():
        compressed = gnnperf.compress(trained(case.workload, case.seed), case.recipe)
    record = measure(compressed, meters=("scores", "size", "answers"))
    assert record.value("covered") == 1.0
    assert record.value("answers") == record.value("twin_answers") == 42
    assert record.steps[0]["coverage"]["hidden.weight"][1] == 128
"""

ELSEWHERE = """
import sys, torch, gnnperf
from nets import Net
model = gnnperf.load("model.gnnz", Net(16))
assert "gnnperf.recipes" not in sys.modules and "conftest" not in sys.modules
x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
from torch_geometric.data import Data
print(type(model.model).__name__, model(Data(x=x)).shape)
"""
