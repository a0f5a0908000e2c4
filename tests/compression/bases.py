"""Bases on small graphs, without a workload: what recipes begin with."""

import torch
from torch_geometric.data import Batch, Data

from gnnperf.training import FitReport, GraphClassification, Parts, Trained, TrainSettings
from gnnperf.training.seeding import seeded

FEATURES = 5
SETTINGS = TrainSettings(epochs=1, learning_rate=0.01)


def batch(seed, count=8):
    """Graphs of 6 to 9 nodes with edge features, types and labels of two classes."""
    graphs, generator = [], torch.Generator().manual_seed(seed)
    for number in range(count):
        nodes = 6 + number % 4
        graphs.append(
            Data(
                x=torch.randn(nodes, FEATURES, generator=generator) + number % 2,
                edge_index=torch.randint(0, nodes, (2, 3 * nodes), generator=generator),
                edge_attr=torch.rand(3 * nodes, 3, generator=generator),
                edge_type=torch.randint(0, 4, (3 * nodes,), generator=generator),
                kind=torch.randint(0, 7, (nodes,), generator=generator),
                y=torch.tensor([number % 2]),
            )
        )
    return Batch.from_data_list(graphs)


def base(make, dtype=torch.float32):
    """A base whose model `make` gives, seeded and untrained."""

    def fresh(draw=0):
        with seeded(draw):
            return make().to(dtype)

    def floats(data):
        return data.apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    parts = Parts(*([floats(batch(seed))] for seed in range(3)))
    return Trained(
        "mine-net", 0, fresh().eval(), GraphClassification(8), lambda: parts, SETTINGS, SETTINGS,
        FitReport(1, 1, 0.1, {"accuracy": 0.5, "loss": 0.7, "majority": 0.5}),
        {"dataset": "mine", "source": "real", "fingerprint": "f" * 64}, fresh,
    )  # fmt: skip
