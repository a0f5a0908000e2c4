from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch_geometric.data import Data

from gnnperf import GraphClassification, NodeClassification, OwnDataset, TrainSettings, codec
from gnnperf.codec import same_state
from gnnperf.datasets import DataOptions
from gnnperf.errors import GnnperfError
from gnnperf.recipes import compress
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.files import FolderError
from gnnperf.system.machine import find_device
from gnnperf.workloads import WORKLOADS, Workload


@pytest.fixture
def quick(monkeypatch):
    """The Cora workload with two epochs under its own name."""
    workload = WORKLOADS["cora_node-spline"]
    quick = replace(workload, train=replace(workload.train, epochs=2))
    monkeypatch.setitem(WORKLOADS, "cora_node-spline", quick)
    return quick


def bench(cache):
    return Workbench(
        WorkbenchOptions(DataOptions("synthetic", None, cache), torch.device("cpu"), 1)
    )


def checkpoints(cache):
    return sorted(path.name for path in (cache / "checkpoints").glob("*.ckpt"))


def test_trained_once_and_read_the_next_time(tmp_path, quick):
    first = bench(tmp_path).trained("cora_node-spline", 0)
    second = bench(tmp_path).trained("cora_node-spline", 0)
    assert len(checkpoints(tmp_path)) == 1
    assert first.report == second.report
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_the_base_tells_what_its_dataset_holds(synthetic_bench):
    data = synthetic_bench.trained("cora_node-spline", 0).data
    dataset = synthetic_bench.dataset(WORKLOADS["cora_node-spline"].dataset)
    assert data["graphs"] == "1"
    assert data["nodes"] == str(dataset.graphs[0].num_nodes)
    assert data["labels"] == str(dataset.classes)


def test_every_caller_has_a_model_of_its_own(synthetic_bench):
    one, two = (synthetic_bench.trained("cora_node-spline", 0) for _ in range(2))
    with torch.no_grad():
        one.model.conv1.bias.add_(1)
    assert not torch.equal(one.model.conv1.bias, two.model.conv1.bias)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: replace(w, train=replace(w.train, learning_rate=0.02)),
        lambda w: replace(w, task=replace(w.task, held_out=800)),
        lambda w: replace(w, model=lambda d: type(w.model(d))(d.features, d.classes, hidden=8)),
    ],
    ids=["settings", "task", "model"],
)
def test_what_decides_the_result_decides_the_key(tmp_path, quick, monkeypatch, change):
    bench(tmp_path).trained("cora_node-spline", 0)
    changed: Workload = change(quick)
    monkeypatch.setitem(WORKLOADS, "cora_node-spline", changed)
    bench(tmp_path).trained("cora_node-spline", 0)
    bench(tmp_path).trained("cora_node-spline", 1)
    assert len(checkpoints(tmp_path)) == 3


def test_a_training_after_a_recipe_is_done_once(tmp_path, quick):
    first = compress(bench(tmp_path).trained("cora_node-spline", 0), "layer@0.9+finetune")
    second = compress(bench(tmp_path).trained("cora_node-spline", 0), "layer@0.9+finetune")
    assert len(checkpoints(tmp_path)) == 2
    assert first.finetuned == second.finetuned
    assert same_state(first.state(), second.state())
    compress(bench(tmp_path).trained("cora_node-spline", 0), "layer@0.8+finetune")
    assert len(checkpoints(tmp_path)) == 3


def test_a_damaged_checkpoint_is_trained_again(tmp_path, quick):
    bench(tmp_path).trained("cora_node-spline", 0)
    (path,) = (tmp_path / "checkpoints").glob("*.ckpt")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.warns(UserWarning, match="is damaged and is trained again"):
        bench(tmp_path).trained("cora_node-spline", 0)
    assert path.stat().st_size == len(whole)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", ["pt", "gnnz"])
def test_a_checkpoint_with_a_weight_that_is_no_number_is_refused(
    tmp_path, quick, monkeypatch, bad, suffix
):
    path = tmp_path / f"weights.{suffix}"
    state = bench(tmp_path).trained("cora_node-spline", 0).model.state_dict()
    state["conv2.bias"][3] = bad
    codec.save(state, path) if suffix == "gnnz" else torch.save(state, path)
    monkeypatch.setitem(WORKLOADS, "cora_node-spline", replace(quick, checkpoint=path))
    with pytest.raises(
        GnnperfError, match=r"^checkpoint .*weights\.\w+: 1 of 7 values of conv2\.bias"
    ):
        bench(tmp_path).trained("cora_node-spline", 0)
    assert len(checkpoints(tmp_path)) == 1


def test_a_training_that_left_no_numbers_is_refused_now_and_from_the_cache(
    tmp_path, quick, monkeypatch
):
    lost = replace(quick, train=replace(quick.train, learning_rate=1e39))
    monkeypatch.setitem(WORKLOADS, "cora_node-spline", lost)
    for _ in range(2):
        with pytest.raises(
            GnnperfError, match=r"-spline, seed 0: .* are NaN or infinite in the dense model"
        ):
            bench(tmp_path).trained("cora_node-spline", 0)
    assert len(checkpoints(tmp_path)) == 1


def test_the_source_of_the_data_is_in_the_name(tmp_path, quick):
    assert bench(tmp_path).trained("cora_node-spline", 0).workload == "cora_node~synthetic-spline"
    assert checkpoints(tmp_path)[0].startswith("cora_node~synthetic-spline-seed0-")


def test_an_unknown_workload_is_refused(tmp_path):
    with pytest.raises(
        GnnperfError, match=r"unknown workload 'cora'; there are .*cora_node-spline"
    ):
        bench(tmp_path).trained("cora")


def test_a_cache_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="--gnnperf-cache"):
        bench(tmp_path / "file" / "cache")


def test_mean_accuracy_on_cora(real_data, shared_cache):
    """At least 0.885 over seeds 0..9, as an honest run of this protocol reaches (real data)."""
    options = DataOptions("real", real_data, shared_cache)
    workbench = Workbench(WorkbenchOptions(options, torch.device("cpu"), 1))
    scores = [
        workbench.trained("cora_node-spline", seed).test_scores()["accuracy"] for seed in range(10)
    ]
    assert sum(scores) / len(scores) >= 0.885


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x", ""])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(GnnperfError, match=f"unknown device '{name}'; choose auto, cpu"):
        find_device(name)


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(GnnperfError, match="device cuda:99 is asked for, but torch sees"):
        find_device("cuda:99")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_training_on_a_gpu(tmp_path, quick):
    options = DataOptions("synthetic", None, tmp_path)
    base = Workbench(WorkbenchOptions(options, torch.device("cuda"), 1)).trained(
        "cora_node-spline", 0
    )
    assert base.test_scores()["accuracy"] > base.test_scores()["majority"]


def test_training_on_after_a_recipe_takes_no_average():
    workload = replace(WORKLOADS["proteins-hgpsl"], finetune=None)
    settings = workload.finetune_settings()
    assert workload.train.average == 0.99
    assert (settings.average, settings.epochs) == (None, 30)


@pytest.mark.parametrize(
    ("standardize", "checkpoint", "scaled"),
    [(None, False, True), (None, True, False), (True, True, True), (False, False, False)],
)
def test_inputs_of_a_checkpoint_are_left_alone_unless_asked(standardize, checkpoint, scaled):
    task = GraphClassification(batch_size=32, standardize=standardize)
    workload = Workload(
        OwnDataset("shifted", []), "net", task, lambda d: None,
        checkpoint="ready.pt" if checkpoint else None,
    )  # fmt: skip
    graphs = [
        Data(
            x=torch.randn(3, 2) * 3 + 10,
            edge_index=torch.zeros(2, 1).long(),
            y=torch.tensor([i % 2]),
        )
        for i in range(30)
    ]
    x = workload.task.split(graphs, 0).test[0].x
    assert (x.mean().abs() < 2) == scaled


class Learns(nn.Module):
    """A small net on x alone; `first` may be lazy."""

    def __init__(self, first):
        super().__init__()
        self.first, self.last = first, nn.Linear(8, 2)

    def forward(self, data):
        return self.last(self.first(data.x).relu())


def own(tmp_path, monkeypatch, model, **settings):
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    edges = torch.zeros(2, 0, dtype=torch.long)
    data = Data(x=x, edge_index=edges, y=(x[:, 0] > 0).long())
    workload = Workload(
        OwnDataset("own", [data]), "net", NodeClassification(held_out=20), model,
        TrainSettings(epochs=3, learning_rate=0.05), **settings,
    )  # fmt: skip
    monkeypatch.setitem(WORKLOADS, workload.name, workload)
    return bench(tmp_path)


def test_lazy_layers_are_drawn_by_the_seed(tmp_path, monkeypatch):
    workbench = own(tmp_path, monkeypatch, lambda data: Learns(nn.LazyLinear(8)))
    base = workbench.trained("own-net", 0)
    assert base.model.first.weight.shape == (8, 4)
    assert same_state(base.fresh().state_dict(), base.fresh(0).state_dict())
    assert not same_state(base.fresh().state_dict(), base.fresh(1).state_dict())
    assert compress(base, "global@0.5").coverage


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: lambda data: model])
def test_a_model_that_is_an_object_is_copied_and_never_trained_in_place(
    tmp_path, monkeypatch, wrap
):
    model = Learns(nn.Linear(4, 8)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    workbench = own(tmp_path, monkeypatch, wrap(model))
    base = workbench.trained("own-net", 0)
    assert not same_state(base.model.state_dict(), before)
    assert same_state(base.fresh().state_dict(), before)
    compress(base, "layer@0.5+finetune")
    assert same_state(model.state_dict(), before)
    assert model.training
    with pytest.raises(GnnperfError, match=r"own-net: its model is an object, .* drawn anew"):
        compress(base, "lottery@0.5:random-init")


def test_what_is_no_model_is_refused(tmp_path, monkeypatch):
    workbench = own(tmp_path, monkeypatch, lambda data: data)
    with pytest.raises(GnnperfError, match=r"own-net: model gave a Dataset; let it return a torch"):
        workbench.trained("own-net")


class Small(torch.nn.Module):
    """40 and 16 weights; the head's are computed anew in every forward."""

    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(5, 8)
        self.head = spectral_norm(torch.nn.Linear(8, 2))

    def forward(self, data):
        return self.head(self.hidden(data.x).relu())


@pytest.mark.parametrize(
    "wrap", [torch.nn.DataParallel, lambda model: torch.compile(model, backend="eager")]
)
def test_a_base_is_plain_whatever_its_model_was_wrapped_in(tmp_path, monkeypatch, wrap):
    x = torch.randn(90, 5, generator=torch.Generator().manual_seed(0))
    edges = torch.empty(2, 0, dtype=torch.long)
    data = Data(x=x, edge_index=edges, y=(x[:, 0] > 0).long())
    workload = Workload(
        OwnDataset("mine", [data]), "small", NodeClassification(held_out=30),
        lambda _: wrap(Small()), TrainSettings(2, 0.05),
    )  # fmt: skip
    monkeypatch.setitem(WORKLOADS, workload.name, workload)
    bases = [bench(tmp_path).trained(workload.name) for _ in range(2)]
    assert len(checkpoints(tmp_path)) == 1
    for base in bases:
        # The weights that it was trained with, as it computed them.
        assert set(dict(base.model.named_parameters())) == {
            "hidden.weight", "hidden.bias", "head.weight", "head.bias",
        }  # fmt: skip
        assert torch.linalg.matrix_norm(base.model.head.weight, 2) < 1.1
        assert torch.equal(base.model.head.weight, bases[0].model.head.weight)
        assert compress(base, "global@0.5").readings["covered"].value == 1.0
