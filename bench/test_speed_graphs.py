"""How much faster are the models of graphs than the plain versions they equal?

Each pair trains the same weights on the same batches, taking turns in one process.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, GINConv, global_add_pool, global_max_pool

from gnnperf.datasets import SPECS
from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.hgpsl import HGPSL
from gnnperf.training import GraphClassification, TrainSettings, prepared, seeded
from gnnperf.training.optimizers.registry import find_optimizer

from .earlier_hgpsl import EarlierHGPSL

pytestmark = pytest.mark.proof


class PlainGNNNet(nn.Module):
    """GNNNet of PyG's edge-wise GCNConv and scattered readout."""

    def __init__(self, net):
        super().__init__()
        self.convs = nn.ModuleList(GCNConv(c.in_channels, c.out_channels) for c in net.gnn_layers)
        self.lin = nn.Linear(net.mlps[0].in_features, net.mlps[0].out_features)
        for mine, theirs in zip(self.parameters(), net.parameters(), strict=True):
            mine.data.copy_(theirs.data)
        self.dropout = net.dropout

    def forward(self, data):
        x = data.x
        for conv in self.convs:
            x = conv(x, data.edge_index).relu()
        x = global_max_pool(x, data.batch)
        return self.lin(functional.dropout(x, self.dropout, self.training))


class PlainGIN(nn.Module):
    """GIN of PyG's edge-wise GINConv and scattered readout."""

    def __init__(self, net):
        super().__init__()
        self.convs = nn.ModuleList(GINConv(conv.nn, train_eps=True) for conv in net.convs)
        self.lin1, self.lin2, self.dropout = net.lin1, net.lin2, net.dropout

    def forward(self, data):
        x = data.x
        for conv in self.convs:
            x = conv(x, data.edge_index)
        nodes = torch.bincount(data.batch).unsqueeze(-1)
        x = self.lin1(global_add_pool(x, data.batch) / (6 * nodes.sqrt())).relu()
        return self.lin2(functional.dropout(x, self.dropout, self.training))


class PlainHGPSL(nn.Module):
    """HGP-SL one graph at a time with dense adjacencies, and sparsemax one row at a time."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, data):
        graphs = [self._embedding(graph) for graph in data.to_data_list()]
        x = self.net.lin1(torch.stack(graphs)).relu()
        return self.net.lin3(self.net.lin2(x).relu())

    def _embedding(self, graph):
        net, nodes = self.net, graph.num_nodes
        dense = torch.zeros(nodes, nodes)
        dense[graph.edge_index[0], graph.edge_index[1]] = 1
        loops = dense + torch.eye(nodes)
        scale = loops.sum(1).rsqrt()
        hidden = (scale[:, None] * loops * scale) @ net.conv1.lin(graph.x)
        x, dense = self._pool(net.pool1, (hidden + net.conv1.bias).relu(), dense)
        total = self._read(x)
        x = (dense.t() @ net.conv2.lin(x) + net.conv2.bias).relu()
        x, dense = self._pool(net.pool2, x, dense)
        total = total + self._read(x)
        x = (dense.t() @ net.conv3.lin(x) + net.conv3.bias).relu()
        return total + self._read(x)

    @staticmethod
    def _read(x):
        return torch.cat([x.amax(0), x.mean(0)]).relu()

    def _pool(self, pool, x, dense):
        degree = dense.sum(1)
        scale = torch.where(degree > 0, degree.rsqrt(), 0)
        score = (x - (scale[:, None] * dense * scale).t() @ x).abs().sum(1).round(decimals=4)
        count = -(-len(x) // 2)
        order = x.abs().sum(1).argsort(descending=True, stable=True)
        order = order[score[order].argsort(descending=True, stable=True)]
        kept = order[:count].sort().values
        near = (dense != 0).float()
        for _ in range(2):
            near = ((near + near @ near) > 0).float()
        near = near[kept][:, kept] + torch.eye(count) > 0
        x, left, right = x[kept], *(x[kept] @ pool.att.view(2, -1).t()).t()
        weight = functional.leaky_relu(left[:, None] + right, 0.2) + dense[kept][:, kept]
        rows = []
        for row, candidate in zip(weight, near, strict=True):
            rows.append(torch.zeros(count).masked_scatter(candidate, _sparsemax(row[candidate])))
        return x, torch.stack(rows)


def _sparsemax(z):
    ordered = z.sort(descending=True).values
    total = ordered.cumsum(0)
    rank = torch.arange(1, len(z) + 1)
    size = int((1 + rank * ordered > total).sum())
    return (z - (total[size - 1] - 1) / size).clamp(min=0)


def epoch(model, task, optimizer, train, validation):
    """A call that trains on the batches and validates on the others, as every epoch does."""

    def run():
        model.train()
        for batch in train:
            optimizer.zero_grad()
            task.loss(model, batch).backward()
            optimizer.step()
        if validation:
            model.eval()
            with torch.no_grad():
                task.evaluate(model, list(validation))

    return run


@pytest.fixture
def relative_time(workbench, latency):
    """Check that both models give the same; CPU time of ours over the plain version's.

    As public codes do, the plain version collates its batches anew in every pass and takes Adam
    as it comes. With `batches` the training batches alone are compared, without validation.
    """

    def compare(model, plain, dataset, task, rounds, batches=None):
        parts = task.split(workbench.dataset(SPECS[dataset]).graphs, 0)
        ready = prepared(model, parts)
        with torch.no_grad():
            mine, theirs = model.eval()(ready.test[0]), plain.eval()(parts.test[0])
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)
        settings = TrainSettings(epochs=1, learning_rate=0.0)
        part = slice(batches)
        validation = slice(0 if batches else None)

        def loader(collated):
            graphs = [graph for batch in collated for graph in batch.to_data_list()]
            return DataLoader(graphs, task.batch_size) if graphs else []

        ours = epoch(
            model,
            task,
            find_optimizer("adam")(model, settings),
            ready.train[part],
            ready.validation[validation],
        )
        theirs = epoch(
            plain,
            task,
            torch.optim.Adam(plain.parameters(), lr=0.0),
            loader(parts.train[part]),
            loader(parts.validation[validation]),
        )
        ratio = latency(ours, theirs, rounds=rounds, warmup_rounds=1)["cpu_ratio"]
        return 0 if ratio.status == "unavailable" else ratio.value

    return compare


def test_hgpsl_training_step(relative_time):
    """At least 3 times faster than per graph and per row."""
    with seeded(0):
        model = HGPSL(4, 2)
    task = GraphClassification(batch_size=128)
    assert relative_time(model, PlainHGPSL(model), "proteins", task, 2, batches=1) <= 1 / 3


# Aimed at: 1.5. What is left is arithmetic, which both have.
HGPSL_EPOCH = 1.4


def test_hgpsl_epoch_over_the_earlier_forward(workbench, latency, closing_row):
    """The same numbers, bit for bit, in less time."""
    task = GraphClassification(batch_size=128)
    with seeded(0):
        model = HGPSL(4, 2)
    earlier = EarlierHGPSL(4, 2)
    earlier.load_state_dict(model.state_dict())
    parts = prepared(model, task.split(workbench.dataset(SPECS["proteins"]).graphs, 0))
    losses = [task.loss(m.train(), parts.train[0]) for m in (model, earlier)]
    for loss in losses:
        loss.backward()
    assert losses[0] == losses[1]
    for mine, theirs in zip(model.parameters(), earlier.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)
    settings = TrainSettings(epochs=1, learning_rate=0.0)
    ours, theirs = (
        epoch(m, task, find_optimizer("adam")(m, settings), parts.train, parts.validation)
        for m in (model, earlier)
    )
    ratio = latency(ours, theirs, rounds=8, warmup_rounds=1)["cpu_ratio"]
    closing_row(
        "epoch of HGP-SL on PROTEINS over the earlier forward, bit for bit the same",
        faster=f"{1 / ratio.value:.2f} [{1 / ratio.high:.2f}, {1 / ratio.low:.2f}]",
        aim=1.5,
    )
    assert 1 / ratio.value > HGPSL_EPOCH / 1.1


def test_gnnnet_epoch(relative_time):
    """At least 1.5 times faster than PyG's layers."""
    with seeded(0):
        model = GNNNet(9, 2)
    task = GraphClassification(batch_size=32)
    assert relative_time(model, PlainGNNNet(model), "bbbp", task, rounds=3) <= 1 / 1.5


@pytest.mark.parametrize(
    ("dataset", "features", "first_feature"), [("proteins", 3, 1), ("bbbp", 9, 0)]
)
def test_gin_epoch(relative_time, dataset, features, first_feature):
    """At least 1.25 times faster than PyG's layers.

    Linear layers and batch normalisation, which both versions have, take so much that aggregation
    in no time at all would give 1.6.
    """
    task = GraphClassification(batch_size=128, first_feature=first_feature)
    with seeded(0):
        model = GIN(features, 2)
    assert relative_time(model, PlainGIN(model), dataset, task, rounds=5) <= 1 / 1.25
