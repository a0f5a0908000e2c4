"""A foreign project measures a model of its own."""

import pytest
import torch

from gnnperf.workloads import WORKLOADS

LINEAR = """
import torch
from torch import nn
from torch_geometric.data import Data
from gnnperf.datasets import OwnDataset
from gnnperf.models.fields import Fields
from gnnperf.training import NodeClassification, TrainSettings
from gnnperf.workloads import Workload, register_workload

def graphs():
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    return [Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=(x[:, 0] > 0).long())]

register_workload(Workload(OwnDataset("mine", graphs), "linear", NodeClassification(held_out=100),
    lambda data: Fields(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)), "x"),
    TrainSettings(epochs=60, learning_rate=0.05)))
"""

GRAPHS = """
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GIN, MLP, global_add_pool
from gnnperf.datasets import OwnDataset
from gnnperf.training import GraphClassification, TrainSettings
from gnnperf.workloads import Workload, register_workload

def ring(n, label):
    node = torch.arange(n)
    edges = torch.stack([node, (node + 1 + label) % n])
    return Data(x=torch.ones(n, 3) + label, edge_index=edges, y=torch.tensor([label]))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gnn, self.head = GIN(3, 8, 2), MLP([8, 2])

    def forward(self, data):
        return self.head(global_add_pool(self.gnn(data.x, data.edge_index), data.batch))

register_workload(Workload(OwnDataset("mine", [ring(5 + i % 7, i % 2) for i in range(60)]), "gin",
    GraphClassification(batch_size=16), lambda data: Net(), TrainSettings(20, 0.01)))
"""

LARGE = """
import torch
from torch_geometric.datasets import FakeDataset
from torch_geometric.nn import GCN
from torch_geometric.transforms import RandomNodeSplit
from gnnperf.datasets import OwnDataset
from gnnperf.models.fields import Fields
from gnnperf.training import NodeClassification, TrainSettings
from gnnperf.workloads import Workload, register_workload

torch.manual_seed(0)
data = FakeDataset(1, avg_num_nodes=5_000, avg_degree=8, task="node", transform=RandomNodeSplit())
register_workload(Workload(OwnDataset("mine", data), "gcn", NodeClassification(),
    lambda d: Fields(GCN(d.features, 16, 2, d.classes), "x", "edge_index"), TrainSettings(3, 0.01)))
"""

TEST = """
import pytest
from gnnperf.recipes import compress

@pytest.mark.gnnperf_cases(workloads=["mine-{model}"], recipes=["global@0.5", "layer@0.9+finetune"])
def test_mine(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe))
    assert record.value("size_ratio") > 1.2
"""


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    for name in [name for name in WORKLOADS if name.startswith("mine-")]:
        monkeypatch.delitem(WORKLOADS, name)
    yield
    for name in [name for name in WORKLOADS if name.startswith("mine-")]:
        del WORKLOADS[name]


@pytest.mark.parametrize(
    ("model", "conftest"), [("linear", LINEAR), ("gin", GRAPHS), ("gcn", LARGE)]
)
def test_a_model_of_ones_own(pytester, shared_cache, model, conftest):
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_mine=TEST.replace("{model}", model))
    result = pytester.runpytest("-v", f"--gnnperf-cache={shared_cache}")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "gnnperf: mine: the project's own",
            f"mine-{model}-global@0.5-seed0 *accuracy *x *[[]*, *]*",
            f"mine-{model}-layer@0.9+finetune-seed0 *accuracy *x *[[]*, *]*",
        ]
    )


def with_checkpoint(pytester, state):
    torch.save(state, pytester.path / "ready.pt")
    settings = "TrainSettings(epochs=60, learning_rate=0.05)"
    pytester.makeconftest(
        "from pathlib import Path\n"
        + LINEAR.replace(settings, f"checkpoint=Path({str(pytester.path / 'ready.pt')!r})")
    )
    pytester.makepyfile(
        test_mine="""
        def test_it(trained):
            assert trained("mine-linear").model.module[0].bias.tolist() == [7.0] * 16
        """
    )


def test_a_ready_checkpoint_is_not_trained(pytester, shared_cache):
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    torch.nn.init.constant_(model[0].bias, 7.0)
    with_checkpoint(pytester, model.state_dict())
    pytester.runpytest(f"--gnnperf-cache={shared_cache}").assert_outcomes(passed=1)


@pytest.mark.parametrize("kind", ["Path", "str"])
@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ("held_out=100", "tested on the last 50 nodes"),
        ("parts=([*range(200)], [*range(200, 250)], [*range(250, 300)])", "tested on the given*"),
    ],
)
def test_the_header_says_what_a_checkpoint_is_tested_on(pytester, shared_cache, kind, parts, words):
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    with_checkpoint(pytester, model.state_dict())
    conftest = pytester.path / "conftest.py"
    text = conftest.read_text(encoding="utf-8").replace("held_out=100", parts)
    conftest.write_text(text.replace("checkpoint=Path(", f"checkpoint={kind}("), encoding="utf-8")
    pytester.makepyfile(test_mine=TEST.replace("{model}", "linear"))
    result = pytester.runpytest(f"--gnnperf-cache={shared_cache}", "-k", "global")
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines([f"gnnperf: mine-linear: checkpoint *ready.pt, {words}"])


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("optimizer='sgd'", "*unknown optimizer 'sgd'; there are adam, adamw, *"),
        ("select='lost'", "*select='lost': NodeClassification has no such score; it gives accu*"),
    ],
)
def test_settings_that_there_are_none_of_are_refused(pytester, shared_cache, setting, sentence):
    pytester.makeconftest(LINEAR.replace("learning_rate=0.05", f"learning_rate=0.05, {setting}"))
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest(f"--gnnperf-cache={shared_cache}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([sentence])


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"0.weight": torch.zeros(1)}, "checkpoint *ready.pt does not fit the workload's model: *"),
        ([1, 2], "checkpoint *ready.pt does not fit the workload's model: *"),
        (torch.nn.Linear(2, 2), "checkpoint *ready.pt is no state_dict file (*"),
        (
            {
                "0.bias": torch.full((16,), 7.0),
                "0.weight": torch.zeros(16, 8).fill_diagonal_(float("nan")),
                "2.weight": torch.zeros(2, 16),
                "2.bias": torch.zeros(2),
            },
            "checkpoint *ready.pt: 8 of 128 values of 0.weight are NaN or infinite, and *",
        ),
    ],
)
def test_a_wrong_checkpoint_is_refused(pytester, shared_cache, state, sentence):
    with_checkpoint(pytester, state)
    result = pytester.runpytest(f"--gnnperf-cache={shared_cache}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([sentence])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_name_that_is_taken_is_refused(pytester, shared_cache):
    pytester.makeconftest(
        LINEAR.replace(
            'OwnDataset("mine", graphs), "linear"',
            '''OwnDataset(
        "cora_node", graphs), "spline"''',
        )
    )
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest(f"--gnnperf-cache={shared_cache}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a workload 'cora_node-spline' is registered already; give *"])
