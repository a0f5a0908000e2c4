from dataclasses import replace

import pytest
import torch

from gnnperf.datasets import DataOptions
from gnnperf.recipes import compress
from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system import sources
from gnnperf.training.checkpoints import NotCachedError, only_cached
from gnnperf.training.keys import attributes_of
from gnnperf.workloads import WORKLOADS

BASES = ("cora_node-spline", "cora_node-ssp", "cora_link-ness")
RECIPES = ("global@0.5+finetune", "gradual@0.5", "l2@1e-3", "lottery@0.8", "qat@int8", "a2q@4")
EVERYTHING = {*BASES, *RECIPES}
# An edit to the file, and whose trainings it changes; recipes are applied to the GCN of `ssp`.
EDITS = {
    "ops/spline.py": {"cora_node-spline"},
    "ops/sparse.py": {"cora_node-spline", "cora_link-ness", "qat@int8", "a2q@4"},
    "models/ness.py": {"cora_link-ness"},
    "models/gcn.py": {"cora_node-ssp", *RECIPES},
    "training/fit.py": EVERYTHING,
    "training/tasks/links.py": {"cora_link-ness"},
    "training/tasks/nodes.py": EVERYTHING - {"cora_link-ness"},
    "training/optimizers/kfac.py": {"cora_node-ssp", *RECIPES} - {"a2q@4"},
    "training/optimizers/role_adam.py": {"a2q@4"},
    "compression/finetune.py": {"global@0.5+finetune"},
    "compression/masks.py": {*RECIPES},
    "compression/pruning/gradual.py": {"gradual@0.5"},
    "compression/pruning/magnitude.py": {"gradual@0.5", "lottery@0.8"},
    "compression/quantization/gradients.py": {"qat@int8", "a2q@4"},
    "compression/quantization/methods.py": {"qat@int8"},
    "compression/quantization/a2q/function.py": {"a2q@4"},
    "meters/latency.py": set(),
    "study/measure.py": set(),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Gives the key of each training by its name, as the sources are now."""
    cache = tmp_path_factory.mktemp("cache")
    options = WorkbenchOptions(DataOptions("synthetic", None, cache), torch.device("cpu"), 1)
    with pytest.MonkeyPatch.context() as patch:
        for name in BASES:
            short = replace(WORKLOADS[name].train, epochs=1, validate_every=1)
            patch.setitem(WORKLOADS, name, replace(WORKLOADS[name], train=short))
        bench = Workbench(options, show_progress=False)
        base = bench.trained("cora_node-ssp")

        def found():
            names = {name: bench._start(WORKLOADS[name], 0).checkpoint.name for name in BASES}
            for recipe in RECIPES:
                with only_cached(), pytest.raises(NotCachedError) as missing:
                    compress(base, recipe)
                names[recipe] = str(missing.value)
            return names

        yield found


@pytest.fixture(scope="module")
def before(keys):
    return keys()


def test_the_same_sources_give_the_same_keys(keys, before):
    sources._source.cache_clear()
    assert keys() == before


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_the_keys_of_what_uses_the_file_alone(
    keys, before, name, tmp_path, monkeypatch
):
    module = "gnnperf." + name.removesuffix(".py").replace("/", ".")
    edited = tmp_path / "edited.py"
    edited.write_bytes(sources._file(module).read_bytes() + b"# edited\n")
    # The others were read before, and stay as they are.
    read = sources._source
    with monkeypatch.context() as patch:
        patch.setattr(sources, "_file", lambda m: edited)
        source = read.__wrapped__(module)
    monkeypatch.setattr(sources, "_source", lambda m: source if m == module else read(m))
    after = keys()
    assert {what for what in before if before[what] != after[what]} == EDITS[name]


def test_plain_attributes_count():
    layer = torch.nn.Linear(2, 2)
    layer.rate, layer.sizes, layer.unknown = 0.5, (1, {"a": torch.float32}), object()
    layer.act = torch.relu
    found = attributes_of(torch.nn.Sequential(layer))
    assert found["0.rate"] == "0.5"
    assert found["0.sizes"] == "(1, {'a': torch.float32})"
    assert "0.unknown" not in found
    assert "0.training" not in found
