"""Models that came trained: measured and compressed as they are."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, SAGEConv, SuperGATConv, global_mean_pool, to_hetero

import gnnperf
from gnnperf import GraphClassification, NodeClassification, Prediction, Trained
from gnnperf.errors import GnnperfError
from gnnperf.training.ready import device_of


def graph(seed, label=None):
    draw = torch.Generator().manual_seed(seed)
    nodes = 6 + seed % 3
    y = torch.tensor([seed % 2]) if label is None else label
    edges = torch.randint(0, nodes, (2, 3 * nodes), generator=draw)
    return Data(x=torch.randn(nodes, 5, generator=draw) + 3 * (seed % 2), edge_index=edges, y=y)


class Net(nn.Module):
    def __init__(self, outputs=2, pool=True, conv=GCNConv):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.pool = conv(5, 16), nn.Linear(16, outputs), pool

    def forward(self, data):
        x = self.conv(data.x, data.edge_index).relu()
        return self.head(global_mean_pool(x, data.batch) if self.pool else x)


def batches(first=0, **options):
    return [
        Batch.from_data_list([graph(i, **options) for i in range(n, n + 8)])
        for n in (first, first + 8)
    ]


UNKNOWN = torch.tensor([[0.0, 1.0, float("nan")]])


def nodes(label):
    data = graph(7)
    data.y = label(data.num_nodes)
    return data


@pytest.mark.parametrize("recipe", ["global@0.5", "layer@0.5", "width@0.5", "ptq@int8"])
def test_recipes_that_need_no_training(recipe):
    model = Net().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = Trained.of(model, batches(), "accuracy", train=batches(16))
    record = gnnperf.measure(gnnperf.compress(trained, recipe), meters=("scores", "size"))
    assert (record.workload, record.recipe, record.metric) == ("net", recipe, "accuracy")
    assert record.value("size_ratio") > 1
    assert record.provenance["data"]["fingerprint"] == trained.data["fingerprint"]
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_width_and_pruning_need_no_training_batches():
    trained = Trained.of(Net(), batches(), "accuracy")
    for recipe in ("global@0.5", "width@0.5"):
        assert gnnperf.compress(trained, recipe).coverage


@pytest.mark.parametrize(
    "recipe",
    ["global@0.5+finetune", "gradual@0.5", "l2@0.1", "lottery@0.5", "qat@int8", "dq@int4", "a2q@4"],
)
def test_recipes_that_train_are_refused(recipe):
    trained = Trained.of(Net(), batches(), "accuracy", train=batches(16))
    with pytest.raises(GnnperfError, match=r"net (was given|came) ready trained"):
        gnnperf.compress(trained, recipe)


def test_without_training_batches_nothing_is_calibrated():
    with pytest.raises(
        GnnperfError, match=r"without training batches.*Trained\.of\(\.\.\., train="
    ):
        gnnperf.compress(Trained.of(Net(), batches(), "accuracy"), "ptq@int8")


@pytest.mark.parametrize(
    ("model", "test", "metric", "level", "kind"),
    [
        (Net(), batches(), "auc", "graph", "classes"),
        (Net(1), batches(), "accuracy", "graph", "classes"),
        (
            Net(3),
            batches(label=torch.tensor([[0.0, 1.0, float("nan")]])),
            "micro_f1",
            "graph",
            "labels",
        ),
        (Net(3), batches(label=torch.tensor([[0, 1, 1]])), "accuracy", "graph", "labels"),
        (Net(1), batches(label=torch.tensor([0.5])), "mae", "graph", "values"),
        (Net(2, False), [nodes(lambda n: torch.arange(n) % 2)], "macro_f1", "node", "classes"),
        (Net(1, False), [nodes(lambda n: torch.rand(n))], "rmse", "node", "values"),
    ],
)
def test_a_name_and_the_targets_say_the_task(model, test, metric, level, kind):
    trained = Trained.of(model, test, metric)
    assert (trained.task.level, trained.task.kind, trained.task.metric) == (level, kind, metric)
    assert metric in trained.test_scores()


def test_edges_and_types_of_nodes():
    class Edges(Net):
        def forward(self, data):
            x = super().forward(data)
            return (x[data.edge_label_index[0]] * x[data.edge_label_index[1]]).sum(-1)

    data = graph(3)
    data.edge_label_index, data.edge_label = data.edge_index[:, :8], torch.arange(8) % 2
    assert Trained.of(Edges(4, False), [data], "auc").task.level == "edge"

    hetero = HeteroData()
    hetero["paper"].x, hetero["paper"].y = torch.randn(8, 5), torch.arange(8) % 2
    hetero["author"].x = torch.randn(4, 3)
    for ends in (("author", "to", "paper"), ("paper", "of", "author")):
        hetero[ends].edge_index = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
    model = to_hetero(Plain(), hetero.metadata())
    trained = Trained.of(
        gnnperf.Fields(model, "x_dict", "edge_index_dict"), [hetero], "accuracy", train=[hetero]
    )
    assert (trained.workload, trained.task.node_type) == ("graphmodule", "paper")
    record = gnnperf.measure(gnnperf.compress(trained, "ptq@int8"), meters=("scores", "size"))
    assert record.value("export_agreement") == 1.0


class Plain(nn.Module):
    """Lazy, for to_hetero."""

    def __init__(self):
        super().__init__()
        self.a, self.b = SAGEConv((-1, -1), 8), SAGEConv((-1, -1), 2)

    def forward(self, x, edge_index):
        return self.b(self.a(x, edge_index).relu(), edge_index)


def test_a_graphs_own_mask_and_a_loaders_seeds_say_which_nodes_are_scored():
    data = nodes(lambda n: torch.arange(n) % 2)
    data.test_mask = torch.arange(data.num_nodes) < 3
    whole = Trained.of(Net(pool=False), [data], NodeClassification())
    assert whole.parts.test[0].target_index.tolist() == [0, 1, 2]
    # What a NeighborLoader gives: the nodes that it was asked for come first.
    sampled = nodes(lambda n: torch.arange(n) % 2)
    sampled.batch_size = 4
    trained = Trained.of(Net(pool=False), [sampled], "accuracy", train=[sampled])
    assert len(trained.task._target(trained.parts.test[0], rows=True)) == 4


def test_a_task_and_a_loader():
    loader = DataLoader([graph(i) for i in range(16)], batch_size=8)
    trained = Trained.of(Net(), loader, GraphClassification(8, metric="auc"), name="mine")
    assert set(trained.test_scores()) == {"auc", "accuracy", "majority", "loss"}
    assert trained.workload == "mine"


def test_a_function_and_batches_of_any_kind():
    def error(model, batches):
        return sum(float((model(x) - 1).abs().mean()) for x in batches) / len(batches)

    given = [torch.randn(4, 5), torch.randn(4, 5)]
    trained = Trained.of(nn.Linear(5, 2), given, error, higher_is_better=False)
    record = gnnperf.measure(gnnperf.compress(trained, "global@0.9"), meters=("scores", "size"))
    assert record.metric == "error"
    assert not record.higher_is_better
    drop = record.value("error") - record.value("twin_error")
    assert record.value("error_drop") == pytest.approx(drop)
    other = Trained.of(nn.Linear(5, 2), [given[0] + 1], error)
    assert other.data["fingerprint"] != trained.data["fingerprint"]


def test_what_a_forward_left_in_the_model_does_not_matter():
    model = Net(conv=SuperGATConv).train()
    model(batches()[0]).sum().backward()
    assert gnnperf.compress(Trained.of(model, batches(), "accuracy"), "global@0.5").coverage


def test_lazy_models():
    trained = Trained.of(Net(conv=lambda i, o: SAGEConv(-1, o)), batches(), "accuracy")
    assert trained.model.conv.lin_l.weight.shape == (16, 5)


def test_a_model_without_parameters_lies_on_the_processor():
    assert device_of(nn.ReLU()).type == "cpu"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((Net, batches(), "accuracy"), "model is a type; give a torch.nn.Module"),
        ((Net(), batches()[0], "accuracy"), r"test is one \w+; give a list of batches, test="),
        ((Net(), [], "accuracy"), "test holds no batch; give at least one"),
        ((Net(), 7, "accuracy"), "test is one int; give a list"),
        ((Net(), batches(), "f1"), r"metric='f1': by name there are accuracy, .*mae"),
        ((Net(), batches(), "loss"), r"metric='loss': by name there are"),
        ((Net(), batches(), 3), r"metric=3: give a name \(accuracy, .*\), a task"),
        ((Net(), [torch.ones(2, 5)], "auc"), "a batch is a Tensor and not PyG's Data"),
        ((Net(), [Data(x=torch.ones(2, 5))], "auc"), "the first test batch has no targets y"),
        (
            (Net(), batches(label=torch.tensor([0, 1])), "auc"),
            r"targets y \[16\] for 8 graphs of 55 nodes in all, .* say it with a task",
        ),
        ((Net(1), batches(label=torch.tensor([0.5])), "auc"), r"a label that is not 0, 1 or NaN"),
        ((Net(7), batches(label=torch.tensor([0.5])), "mae"), r"gave \[8, 7\], and \[8, 1\] is"),
        ((Net(pool=False), batches(), "auc"), r"the model gave .*; pool its nodes first"),
        ((Net(), batches(), Prediction("node")), r"test batch 0 has the label .*55 class numbers"),
        (
            (Net(), [graph(7)], NodeClassification()),
            r"test batch 0 has the label \[1\], and 7 class",
        ),
        ((Net().half(), batches(), "auc"), "computes in torch.float16 and the data is torch.float"),
        ((nn.Bilinear(5, 5, 2), batches(), "auc"), r"takes input1, input2, not one Data; wrap it"),
        ((Net(), batches(), lambda model, batches: None), "lambda gave a NoneType; let it return"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(arguments, words):
    with pytest.raises(GnnperfError, match=words) as caught:
        Trained.of(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_models_of_other_dtypes_on_data_of_theirs(dtype):
    test = [b.apply(lambda t: t.to(dtype) if t.is_floating_point() else t) for b in batches()]
    trained = Trained.of(Net().to(dtype), test, "accuracy", train=test)
    record = gnnperf.measure(gnnperf.compress(trained, "global@0.5"), meters=("scores", "size"))
    assert record.value("accuracy") >= 0
