import json
import sys

import pytest

from gnnperf.cli import main
from gnnperf.records import to_json

from ..reports.study.made_up import case

pytest.importorskip("matplotlib")


@pytest.fixture
def run(tmp_path):
    records = case("cora_node-spline", "global@0.5", accuracy=0.88, accuracy_drop=0.01)
    path = tmp_path / "run.json"
    content = {"benchmarks": [{"extra_info": {"gnnperf": to_json(one)}} for one in records]}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    monkeypatch.setattr("gnnperf.reports.study.page.pictures", lambda evidence: [])


def test_a_page_and_what_it_comes_to(run, tmp_path, capsys):
    page = tmp_path / "study.html"
    assert main(["report", str(run), "--html", str(page)]) == 0
    assert "cora-node" in page.read_text()
    out = capsys.readouterr().out
    assert out.startswith("1 of 1,516 figures of the paper's tables have ours beside them, from 3 ")
    assert f"written: {page}\n" in out


def test_markdown(run, tmp_path, capsys):
    assert main(["report", str(run), "--markdown", str(tmp_path / "md")]) == 0
    assert (tmp_path / "md" / "study.md").read_text().startswith("# ")
    assert "written: 2 files, " in capsys.readouterr().out


def test_without_anything_to_write(run, capsys):
    assert main(["report", str(run)]) == 2
    assert "name --html FILE, --markdown DIR or --figures DIR" in capsys.readouterr().err


def test_a_run_that_is_not_there(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none.json"), "--html", str(tmp_path / "a")]) == 2
    assert "none.json cannot be read (No such file" in capsys.readouterr().err


def test_without_the_packages(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", str(run), "--html", str(tmp_path / "a.html")]) == 2
    assert "pip install 'gnnperf[report]'" in capsys.readouterr().err
