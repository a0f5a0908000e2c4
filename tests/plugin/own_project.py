"""A project with a small workload of its own, `mine-net`; a test takes it out of the registry."""

CONFTEST = """
import torch
from torch import nn
from torch_geometric.data import Data
from gnnperf.datasets import OwnDataset
from gnnperf.training import NodeClassification, TrainSettings
from gnnperf.workloads import Workload, register

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(8, 16), nn.Linear(16, 2)

    def forward(self, data):
        return self.head(self.hidden(data.x).relu())

def graphs():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    return [Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=(x[:, 0] > 0).long())]

register(Workload(OwnDataset("mine", graphs), "net", NodeClassification(held_out=100),
    lambda data: Net(), TrainSettings(epochs=60, learning_rate=0.05)))
"""

SIZES = """
import pytest
from gnnperf.recipes import compress

@pytest.mark.gnnperf_cases(workloads=["mine-net"], recipes=["global@0.5"])
def test_sizes(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe), meters=("size",))
"""
