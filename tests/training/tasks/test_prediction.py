import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader, ImbalancedSampler
from torch_geometric.nn import GCN, MLP, SAGEConv, global_mean_pool, to_hetero

from gnnperf import Fields, GraphClassification, NodeClassification, Prediction, TrainSettings
from gnnperf.datasets import DataError
from gnnperf.errors import GnnperfError
from gnnperf.training import LinkPrediction, evaluate, fit, prepared, seeded
from gnnperf.training.tasks.loaders import Drawn


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


SETTINGS = TrainSettings(epochs=15, learning_rate=0.05)


def graphs_with(label, count=60, **more):
    """Graphs of 4 to 8 nodes whose first feature is their number's remainder by 2, about."""
    graphs = []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        nodes = 4 + number % 5
        x = torch.randn(nodes, 3, generator=generator) * 0.1 + number % 2
        edges = torch.randint(nodes, (2, 6), generator=generator)
        graphs.append(Data(x=x, edge_index=edges, y=label(number), **more))
    return graphs


class Pooled(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.lin = nn.Linear(3, outputs)

    def forward(self, data):
        return self.lin(global_mean_pool(data.x.to(self.lin.weight.dtype), data.batch))


def learned(task, graphs, model, settings=SETTINGS):
    parts = prepared(model, task.split(graphs, 0))
    fit(model, task, parts, settings, seed=0)
    return evaluate(model, task, parts.test)


def number(i):
    return torch.tensor([i % 2])


def test_one_logit_is_two_classes():
    scores = learned(GraphClassification(batch_size=16), graphs_with(number), Pooled(1))
    assert scores["accuracy"] == 1.0
    model, task = Pooled(1), GraphClassification(batch_size=100)
    (batch,) = task.split(graphs_with(number), 0).train
    logit = model(batch)
    expected = nn.functional.binary_cross_entropy_with_logits(logit.view(-1), batch.y.float())
    torch.testing.assert_close(task.loss(model, batch), expected)


def test_labels_some_of_them_unknown():
    def label(i):
        y = torch.tensor([[float(i % 2), float(i % 2 == 0), float(i % 3 == 0)]])
        y[0, i % 3] = math.nan
        return y

    task = Prediction("graph", "binary_cross_entropy", ("auc", "micro_f1", "loss"))
    scores = learned(task, graphs_with(label), Pooled(3))
    assert set(scores) == set(task.score_names) == {"auc", "majority", "micro_f1", "loss"}
    assert scores["auc"] > 0.6


def test_unknown_labels_give_no_gradient():
    task = Prediction("graph", "binary_cross_entropy", batch_size=100)
    graphs = graphs_with(lambda i: torch.full((4,), math.nan))
    model = Pooled(4)
    task.loss(model, task.split(graphs, 0).train[0]).backward()
    assert model.lin.weight.grad.abs().max() == 0


@pytest.mark.parametrize("criterion", ["mse", "mae", "huber"])
def test_regression_beside_the_training_mean(criterion):
    task = Prediction("graph", criterion, ("mae", "rmse", "r2"))
    graphs = graphs_with(lambda i: torch.tensor([3.0 * (i % 2)]))
    scores = learned(task, graphs, Pooled(1), TrainSettings(60, 0.1))
    assert scores["train_mean"] == pytest.approx(1.5, abs=0.1)
    assert scores["mae"] < 0.5
    assert scores["r2"] > 0.8


def test_the_least_error_is_the_best_epoch():
    task = Prediction("graph", "mse")
    parts = task.split(graphs_with(lambda i: torch.tensor([3.0 * (i % 2)])), 0)
    model = Pooled(1)
    report = fit(model, task, parts, TrainSettings(8, 0.05), seed=0, keep_start=True)
    assert report.best_epoch == 8
    assert report.validation["mae"] == evaluate(model, task, parts.validation)["mae"]


def test_a_column_is_no_row():
    model, task = Pooled(1), Prediction("graph", "mse", batch_size=100)
    (batch,) = task.split(graphs_with(lambda i: torch.tensor([float(i)])), 0).train
    expected = (model(batch).view(-1) - batch.y.view(-1)).pow(2).mean()
    torch.testing.assert_close(task.loss(model, batch), expected)


def test_several_graphs_with_labels_of_nodes():
    graphs = graphs_with(lambda i: None)
    for i, graph in enumerate(graphs):
        graph.y = torch.full((graph.num_nodes, 2), float(i % 2))
        graph.y[:, 1] = 1 - graph.y[:, 1]
    task = Prediction("node", "binary_cross_entropy", ("micro_f1",), batch_size=4)
    assert learned(task, graphs, Fields(MLP([3, 8, 2], norm=None), "x"))["micro_f1"] == 1.0


def node_graph(**changes):
    nodes = torch.arange(60)
    x = torch.stack([nodes % 2, torch.ones(60), nodes / 60], 1).float()
    edges = torch.stack([nodes, nodes])
    return Data(x=x, edge_index=edges, y=nodes % 2, **changes)


def test_regression_of_nodes():
    graph = node_graph()
    graph.y = graph.x[:, 0] * 2
    model = Fields(MLP([3, 8, 1], norm=None), "x")
    scores = learned(Prediction("node", "mse"), [graph], model, TrainSettings(60, 0.05))
    assert scores["mae"] < 0.5 < scores["train_mean"]


class Pairs(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.lin = nn.Linear(3, outputs)

    def forward(self, data):
        source, target = data.edge_label_index
        return self.lin(data.x[source] - data.x[target])


@pytest.mark.parametrize(
    ("criterion", "outputs", "best"), [("cross_entropy", 2, "accuracy"), ("mse", 1, "mae")]
)
@pytest.mark.parametrize("own_pairs", [True, False])
def test_targets_of_edges(criterion, outputs, best, own_pairs):
    graph = node_graph()
    pairs = torch.randint(60, (2, 80), generator=torch.Generator().manual_seed(0))
    label = graph.x[pairs[0], 0] > graph.x[pairs[1], 0]
    graph.edge_label = label.long() if outputs == 2 else label.float()
    graph["edge_label_index" if own_pairs else "edge_index"] = pairs
    task = Prediction("edge", criterion)
    assert len(task.split([graph], 0).train[0].edge_label) > 60
    scores = learned(task, [graph], Pairs(outputs), TrainSettings(60, 0.1))
    assert scores[best] == 1.0 if outputs == 2 else scores[best] < 0.35


def hetero(masks=True):
    data = HeteroData()
    data["paper"].x = torch.arange(40.0).view(40, 1) % 2 + torch.zeros(40, 3)
    data["author"].x = torch.ones(10, 3)
    data["author", "writes", "paper"].edge_index = torch.stack(
        [torch.arange(40) % 10, torch.arange(40)]
    )
    data["paper", "by", "author"].edge_index = data["author", "writes", "paper"].edge_index.flip(0)
    data["paper"].y = torch.arange(40) % 2
    if masks:
        part = torch.arange(40) // 4 % 4
        data["paper"].train_mask, data["paper"].val_mask = part < 2, part == 2
        data["paper"].test_mask = part == 3
    return data


class Homogeneous(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = SAGEConv((-1, -1), 8), SAGEConv((-1, -1), 2)

    def forward(self, x, edge_index):
        return self.b(self.a(x, edge_index).relu(), edge_index)


@pytest.mark.parametrize("masks", [True, False])
def test_nodes_of_a_type(masks):
    data = hetero(masks)
    model = Fields(to_hetero(Homogeneous(), data.metadata()), "x_dict", "edge_index_dict")
    with torch.no_grad():
        model(data)
    task = Prediction("node", node_type="paper")
    assert learned(task, [data], model)["accuracy"] == 1.0


def test_graphs_of_types():
    graphs = []
    for i in range(40):
        data = hetero()
        del data["paper"].y
        data["paper"].x = torch.full((40, 3), float(i % 2))
        data.y = torch.tensor([i % 2])
        graphs.append(data)

    class Net(Pooled):
        def forward(self, data):
            return self.lin(global_mean_pool(data["paper"].x, data["paper"].batch))

    assert learned(GraphClassification(batch_size=8), graphs, Net(2))["accuracy"] == 1.0


def test_the_type_of_nodes_is_asked_for():
    with pytest.raises(DataError, match=r"is a HeteroData; name whose nodes .* node_type='paper'"):
        Prediction("node").split([hetero()], 0)
    with pytest.raises(DataError, match="has no nodes of type 'papr'"):
        Prediction("node", node_type="papr").split([hetero()], 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.update({"x": torch.arange(g.num_nodes).view(-1, 1)}),
        lambda g: g.update({"x": torch.arange(g.num_nodes)}),
        lambda g: g.update({"x": g.x.to_sparse()}),
        lambda g: g.update({"x": g.x.to_sparse_csr()}),
        lambda g: g.update({"pos": g.x, "x": None, "edge_index": None}),
        lambda g: g.update({"x": None, "num_nodes": g.num_nodes}),
        lambda g: g.update({"adj_t": torch.eye(g.num_nodes).to_sparse_csr(), "edge_index": None}),
    ],
)
def test_features_go_to_the_model_as_they_are(change):
    graphs = graphs_with(number)
    for graph in graphs:
        change(graph)
        for name in [name for name, value in graph.to_dict().items() if value is None]:
            del graph[name]
    parts = GraphClassification(batch_size=100, standardize=True).split(graphs, 0)
    batch, first = parts.train[0], graphs[0]
    assert set(first.keys()) <= set(batch.keys())
    if "x" in first:
        assert (batch.x.dtype, batch.x.layout) == (first.x.dtype, first.x.layout)


# Loaders.


class Anew:
    """Gives other batches each time, drawn from torch's generator."""

    def __init__(self, graphs):
        self.graphs = graphs

    def __iter__(self):
        index = torch.randperm(len(self.graphs)).tolist()
        return iter(DataLoader([self.graphs[i] for i in index[:20]], batch_size=10))


def drawn_parts(graphs, seed):
    held_out = DataLoader(graphs[40:], batch_size=5, shuffle=True)
    return Anew(graphs[:40]), held_out, held_out


def test_a_loader_draws_anew_and_what_is_held_out_is_kept():
    task = GraphClassification(batch_size=8, parts=drawn_parts)
    graphs = graphs_with(number)
    parts = task.split(graphs, 0)
    assert isinstance(parts.train, Drawn)
    assert isinstance(parts.validation, list)
    one, other = ([b.x.sum().item() for b in parts.train.anew()] for _ in range(2))
    assert one != other
    assert [b.x.sum().item() for b in parts.train] == [b.x.sum().item() for b in parts.train]
    assert len(parts.train) == 2
    assert parts.train[0].num_graphs == 10
    again = task.split(graphs, 0)
    for mine, same in zip(parts.test, again.test, strict=True):
        assert torch.equal(mine.x, same.x)
    assert torch.equal(parts.train[0].x, again.train[0].x)
    states = []
    for _ in range(2):
        with seeded(3):
            model = Pooled(2)
        scores = learned(task, graphs, model)
        states.append(model.lin.weight)
    assert torch.equal(*states)
    assert scores["accuracy"] == 1.0


def test_a_sampler_of_pygs():
    def parts(graphs, seed):
        train = graphs[:40]
        label = torch.cat([graph.y for graph in train])
        loader = DataLoader(train, batch_size=8, sampler=ImbalancedSampler(label))
        return {"train": loader, "valid": [next(iter(DataLoader(graphs[40:50], 10)))],
                "test": DataLoader(graphs[50:], 5)}  # fmt: skip

    assert learned(GraphClassification(8, parts=parts), graphs_with(number), Pooled(2))[
        "accuracy"
    ] == pytest.approx(1.0)


def test_loaders_of_nodes_score_their_seeds_or_their_part():
    graph = node_graph()
    part = torch.arange(60) % 3
    graph.train_mask, graph.val_mask, graph.test_mask = part == 0, part == 1, part == 2

    class Neighbours:
        """As NeighborLoader: the first `batch_size` nodes are those that were asked for."""

        def __iter__(self):
            for index in torch.randperm(20).split(10):
                batch = graph.subgraph(torch.cat([index * 3, torch.arange(5)]))
                batch.batch_size = 10
                yield batch

    def clusters(mask):
        return [graph.subgraph(torch.arange(60) // 20 == i) for i in range(3)]

    task = Prediction(
        "node", parts=lambda graphs, seed: (Neighbours(), iter(clusters(1)), iter(clusters(2)))
    )
    parts = task.split([graph], 0)
    assert [task._scored(Fields(nn.Linear(3, 2), "x"), b)[1].numel() for b in parts.train] == [
        10
    ] * 2
    assert [len(b.target_index) for b in parts.validation] == [7, 6, 7]
    assert learned(task, [graph], Fields(MLP([3, 8, 2], norm=None), "x"))["accuracy"] == 1.0


def test_loaders_come_by_a_function():
    graphs = graphs_with(number)
    task = GraphClassification(
        8, parts=(DataLoader(graphs), DataLoader(graphs), DataLoader(graphs))
    )
    with pytest.raises(DataError, match="loaders are given by a function"):
        task.split(graphs, 0)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (lambda g, seed: (iter(DataLoader(g)), [g[0]], [g[0]]), "train part is an iterator, which"),
        (lambda g, seed: (DataLoader(g), DataLoader([]), [g[0]]), "validation part has no batch"),
    ],
)
def test_loaders_that_give_nothing(parts, words):
    with pytest.raises(DataError, match=words):
        GraphClassification(8, parts=parts).split(graphs_with(number), 0)


# What cannot be done is said in a sentence.


class Gives(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.give = give

    def forward(self, data):
        return self.give(data)


@pytest.mark.parametrize(
    ("give", "words"),
    [
        (lambda d: torch.zeros(d.num_nodes, 2), r"graph classification: the model gave \[\d+, 2\]"),
        (lambda d: torch.zeros(48, 2, 1), r"gave \[48, 2, 1\], and \[48, 2\], or one logit"),
        (lambda d: torch.zeros(48), None),
        (
            lambda d: (torch.zeros(48, 2), d.x),
            r"gave a tuple of 2 \(\[48, 2\], .*tensor alone",
        ),
        (lambda d: {"out": d.x}, "gave a dict, and one tensor, a row a graph, is needed"),
        (lambda d: None, "gave a NoneType"),
        (lambda d: torch.zeros(d.dim()), "cannot work on a Data .*'dim'.* gnnperf.Fields"),
    ],
)
def test_an_output_of_another_shape_is_refused(give, words):
    task = GraphClassification(batch_size=100)
    (batch,) = task.split(graphs_with(number), 0).train
    if words is None:
        assert task.loss(Gives(give), batch) == pytest.approx(math.log(2))
        return
    with pytest.raises(GnnperfError, match=words):
        task.loss(Gives(give), batch)
    with pytest.raises(GnnperfError, match=words):
        evaluate(Gives(give), task, [batch])


def test_too_few_classes_are_refused():
    task = GraphClassification(batch_size=100)
    (batch,) = task.split(graphs_with(lambda i: torch.tensor([i % 3])), 0).train
    for outputs in (1, 2):
        with pytest.raises(GnnperfError, match=rf"gave \[48, {outputs}\], and \[48, 3\] is needed"):
            task.loss(Pooled(outputs), batch)


def test_nodes_need_a_row_each():
    task = NodeClassification(held_out=20)
    (batch,) = task.split([node_graph()], 0).train
    with pytest.raises(GnnperfError, match=r"gave \[1, 2\], and \[60, outputs\] .*leave out the p"):
        task.loss(Gives(lambda d: torch.zeros(1, 2)), batch)


def test_pairs_need_a_logit_each():
    task = LinkPrediction()
    nodes = torch.arange(40)
    graph = Data(x=torch.eye(41), edge_index=torch.stack([nodes, nodes + 1]))
    (batch,) = task.split([graph], 0).train
    with pytest.raises(GnnperfError, match=r"link prediction: the model gave \[41, 41\], and \[64"):
        task.loss(Gives(lambda d: d.x), batch)


@pytest.mark.parametrize(
    "model", [GCN(3, 8, 2, 2), nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 2))]
)
def test_a_forward_that_takes_tensors_is_told_how_to_wrap_it(model):
    (batch,) = NodeClassification(held_out=20).split([node_graph()], 0).train
    with pytest.raises(GnnperfError, match=rf"the model {type(model).__name__} .*gnnperf.Fields"):
        NodeClassification(held_out=20).loss(model, batch)


def test_errors_of_a_model_itself_pass():
    (batch,) = NodeClassification(held_out=20).split([node_graph()], 0).train
    with pytest.raises(ZeroDivisionError):
        NodeClassification(held_out=20).loss(Gives(lambda d: 1 / 0), batch)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        NodeClassification(held_out=20).loss(Fields(nn.Linear(4, 2), "x"), batch)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_model_and_data_of_different_dtypes_are_told_apart(dtype):
    task, graph = NodeClassification(held_out=20), node_graph()
    (batch,) = task.split([graph], 0).train
    words = f"node classification: the model computes in {dtype} and the data is torch.float32"
    with pytest.raises(GnnperfError, match=words):
        task.loss(Fields(nn.Linear(3, 2), "x").to(dtype), batch)
    graph.x = graph.x.to(dtype)
    model = Fields(MLP([3, 8, 2], norm=None), "x").to(dtype)
    assert learned(task, [graph], model)["accuracy"] >= 0.5


def test_a_part_on_which_the_metric_is_not_defined():
    graph = node_graph()
    graph.y[50:] = 1
    task = Prediction("node", metrics=("auc",), parts=(range(40), range(40, 50), range(50, 60)))
    parts = task.split([graph], 0)
    with pytest.raises(DataError, match="auc is not defined on the 10 targets of a part"):
        evaluate(Fields(nn.Linear(3, 2), "x"), task, parts.test)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"level": "nodes"}, "level='nodes': choose graph, node or edge"),
        ({"criterion": "hinge"}, "unknown criterion 'hinge'; there are cross_entropy, "),
        ({"metrics": ("f1",)}, "unknown metric 'f1'; for classes there are accuracy"),
        ({"metrics": "auc"}, r"metrics='auc': write a tuple, \('auc',\)"),
        ({"metrics": ("mae",)}, "no metric of classes is 'mae'"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_settings_that_there_are_none_of(settings, words):
    with pytest.raises(GnnperfError, match=words):
        Prediction(**{"level": "graph", **settings})


@pytest.mark.parametrize(
    "make", [NodeClassification, LinkPrediction, lambda **k: GraphClassification(8, **k)]
)
def test_an_unknown_metric_is_refused_by_every_task(make):
    with pytest.raises(GnnperfError, match=r"unknown metric 'acuracy'; for .* there are accuracy"):
        make(metric="acuracy")


@pytest.mark.parametrize("metric", ["auc", "balanced_accuracy", "macro_f1", "log_loss"])
def test_another_headline(metric):
    task = GraphClassification(batch_size=16, metric=metric)
    scores = learned(task, graphs_with(number), Pooled(2))
    assert list(scores) == list(dict.fromkeys([metric, "majority", "accuracy", "loss"]))
    assert task.metric == metric


@pytest.mark.parametrize(
    ("y", "criterion", "words"),
    [
        (lambda i: torch.tensor([[2.0]]), "binary_cross_entropy", "label that is not 0, 1 or NaN"),
        (lambda i: torch.tensor([math.inf]), "mse", "graph 0 has an infinite target"),
        (lambda i: None, "mse", "graph 0 has the target None"),
        (lambda i: torch.zeros(1, 1 + i % 2), "mse", "graph 1 has 2 targets and graph 0 has 1"),
    ],
)
def test_targets_that_there_are_none_of(y, criterion, words):
    with pytest.raises(DataError, match=words):
        Prediction("graph", criterion).split(graphs_with(y), 0)
