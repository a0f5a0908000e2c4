"""Small models of both worlds, and a batch for them."""

import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv, GCNConv, GINConv, Linear, SAGEConv, global_add_pool

from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from gnnperf.training import FitReport, GraphClassification, Parts, Trained, TrainSettings, seeded


class PygNet(nn.Module):
    """A convolution of PyG's twice, then PyG's linear layer."""

    def __init__(self, conv, features, hidden=6):
        super().__init__()
        self.conv1, self.conv2 = conv(features, hidden), conv(hidden, hidden)
        self.lin = Linear(hidden, 2)

    def forward(self, data):
        x = self.conv2(self.conv1(data.x, data.edge_index).relu(), data.edge_index)
        return self.lin(global_add_pool(x, data.batch))


def pyg_gin(before, after):
    return GINConv(nn.Sequential(nn.Linear(before, after), nn.ReLU(True), nn.Linear(after, after)))


MODELS = {
    "gin": lambda features: GIN(features, 2, hidden=8, layers=2),
    "gnnnet": lambda features: GNNNet(features, 2, hidden=8, layers=2),
    "pyg-gcn": lambda features: PygNet(GCNConv, features),
    "pyg-gin": lambda features: PygNet(pyg_gin, features),
    "pyg-sage": lambda features: PygNet(SAGEConv, features),
    "pyg-gat": lambda features: PygNet(GATConv, features),
}


def a_batch(graphs=6, features=3):
    """Random connected graphs of 1 to 9 nodes, with labels of two classes."""
    made = []
    for number in range(graphs):
        nodes = 1 + number % 9
        ring = torch.arange(nodes)
        edges = torch.stack([torch.cat([ring, ring]), torch.cat([ring.roll(1), ring.roll(-1)])])
        hub = torch.stack([ring, torch.zeros_like(ring)])
        made.append(
            Data(
                x=torch.randn(nodes, features),
                edge_index=torch.cat([edges, hub], 1),
                y=torch.tensor([number % 2]),
            )
        )
    return Batch.from_data_list(made)


def untrained_gin(**sizes):
    """An untrained GIN on a few small graphs, to be trained for two epochs."""
    with seeded(0):
        parts = Parts([a_batch(), a_batch()], [a_batch()], [a_batch(graphs=20)])
        model = GIN(3, 2, **sizes).eval()
    settings = TrainSettings(epochs=2, learning_rate=0.01)
    return Trained(
        workload="made-up-gin",
        seed=0,
        model=model,
        task=GraphClassification(batch_size=6),
        split=lambda: parts,
        train=settings,
        finetune=settings,
        report=FitReport(0, 0, 0.0, {}),
        data={"dataset": "made-up", "source": "synthetic", "fingerprint": "made up"},
        fresh=lambda: model,
    )
