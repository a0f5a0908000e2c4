"""`gnnperf compress`."""

import json
import sys

import pytest
import torch

import gnnperf
from gnnperf.cli import main
from gnnperf.cli.project import import_project
from gnnperf.errors import GnnperfError
from gnnperf.meters.registry import METERS
from gnnperf.recipes import METHODS
from gnnperf.records import from_json
from gnnperf.workloads import WORKLOADS

from ..plugin.shipping_project import CONFTEST, NETS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project, the current folder; what it registers and imports goes with the test."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    modules = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in ("nets", "conftest", "bad"):
            del sys.modules[name]
    sys.modules.update({n: modules[n] for n in ("conftest",) if n in modules})
    for registry, name in ((WORKLOADS, "mine-net"), (METHODS, "topk"), (METERS, "answers")):
        registry.pop(name, None)


def compress(*arguments, out="out"):
    options = ["--out", out, "--gnnperf-cache", "cache", "--gnnperf-data", "synthetic"]
    return main(["compress", *arguments, *options])


def test_the_model_its_record_and_a_page_are_written(folder, capsys):
    assert compress("conftest.py", "mine-net", "topk@0.50+ptq@int8") == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[-1] == "out/model.gnnz"
    assert "gnnperf compress: 4 of 4: writing out/model.gnnz" in output.err
    assert {path.name for path in (folder / "out").iterdir()} == {
        "model.gnnz", "record.json", "README.md",
    }  # fmt: skip
    record = from_json(json.loads((folder / "out/record.json").read_text()))
    assert record.case == "mine-net-topk@0.5+ptq@int8-seed0"
    assert [step["step"] for step in record.steps] == ["topk@0.5", "ptq@int8"]
    page = (folder / "out/README.md").read_text()
    assert page.startswith("# Net, topk@0.5+ptq@int8\n")
    assert f"`model.gnnz`: {(folder / 'out/model.gnnz').stat().st_size} bytes" in page
    assert len(page.splitlines()) <= 16
    code = page.partition("```python\n")[2].partition("```")[0].replace("Net(...)", "Net(16)")
    names = {}
    exec(code.replace('"model.gnnz"', '"out/model.gnnz"'), names)
    assert isinstance(names["model"], torch.nn.Module)


def test_safetensors_and_the_models_that_gnnperf_brings(folder, shared_cache):
    arguments = ["gnnperf", "cora_node-spline", "global@0.9", "--format", "safetensors"]
    options = ["--out", "out", "--gnnperf-cache", str(shared_cache), "--gnnperf-data", "synthetic"]
    assert main(["compress", *arguments, *options]) == 0
    assert (folder / "out/model.safetensors").is_file()
    assert "load_file(" in (folder / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.py", "mine-net", "topk@0.5"], "no.py is no file; name a conftest.py, or a module"),
        (["no_module", "mine-net", "topk@0.5"], "no_module cannot be imported (ModuleNotFoundErr"),
        (["bad.py", "mine-net", "topk@0.5"], "bad.py cannot be imported (ZeroDivisionError: div"),
        (["conftest.py", "other", "topk@0.5"], "unknown workload 'other'; there are "),
        (["conftest.py", "mine-net", "topk@2"], "recipe 'topk@2': '2' is no argument for topk ("),
        (["conftest.py", "mine-net", "topk@1", "--seed", "0,1"], "--seed '0,1': name one whole n"),
    ],
    ids=["file", "module", "raising", "workload", "recipe", "seed"],
)
def test_what_cannot_be_done_is_said_in_one_sentence(folder, capsys, arguments, sentence):
    (folder / "bad.py").write_text("1 / 0")
    assert compress(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"gnnperf: error: {sentence}")
    assert len(error.splitlines()) == 1
    assert not (folder / "out").exists()


def test_an_error_of_gnnperfs_passes_through_an_import(folder):
    (folder / "bad.py").write_text("import gnnperf\ngnnperf.register_method('a b', None)")
    with pytest.raises(GnnperfError, match="a method cannot be called 'a b'"):
        import_project("bad.py")


def test_the_public_names_are_there():
    assert {"Meter", "Method", "load", "register_meter", "register_method"} <= set(gnnperf.__all__)
