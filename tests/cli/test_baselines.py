import subprocess

import pytest

from gnnperf.cli import main
from gnnperf.gates.baselines import write_cases

from ..gates.records import TEST, baseline


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_cases(tmp_path / "baselines", {TEST: baseline()})
    return tmp_path / "baselines"


def test_show(folder, capsys):
    assert main(["baselines", "show", "w"]) == 0
    out = capsys.readouterr().out
    assert "test_a[w-global@0.5-seed0]" in out
    assert "1.000 +- 0.22% (5 processes)" in out


def test_diff_since_a_commit_and_between_folders(folder, tmp_path, capsys):
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path))
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "a")):
        subprocess.run([*git, *command], check=True)
    assert main(["baselines", "diff"]) == 0
    assert capsys.readouterr().out == "no difference\n"
    write_cases(folder, {TEST: baseline(stored_bytes=501)})
    main(["baselines", "diff"])
    assert f"{TEST}: stored_bytes 500 -> 501" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    main(["baselines", "diff", "empty"])
    assert capsys.readouterr().out == f"{TEST}: new\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "v"], "no baseline of a workload 'v'; there are w"),
        (["show", "--gnnperf-baselines", "no"], "no holds no baseline; accept some"),
        (["diff", "nothing"], "git ls-tree: fatal"),
        (["diff", "baselines", "no"], "no: there is no such folder of baselines"),
        (["calibrate", "--processes", "0"], "--processes 0 are too few; take 5 at least"),
    ],
)
def test_wrong_use_gets_one_sentence(folder, capsys, arguments, sentence):
    assert main(["baselines", *arguments]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_prune_takes_out_what_is_not_collected(folder, tmp_path, capsys):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "test_a.py").write_text("def test_b(): ...")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    arguments = ["bench", "--gnnperf-preset=smoke", "--gnnperf-data=real"]
    assert main(["baselines", "prune", "--dry-run", *arguments]) == 0
    assert f"would take out: {TEST}" in capsys.readouterr().out
    assert main(["baselines", "prune", *arguments]) == 0
    assert not list(folder.glob("*.json"))


def test_names_from_a_file_steer_no_terminal(folder, capsys):
    evil = f"{TEST[:-1]}\x1b[2J\n\u202e]"
    write_cases(folder, {evil: baseline()})
    for command in (["show"], ["diff", "nowhere", "baselines"]):
        (folder.parent / "nowhere").mkdir(exist_ok=True)
        assert main(["baselines", *command]) == 0
        out = capsys.readouterr().out
        assert r"\x1b[2J\n\u202e]" in out
        assert all(sign.isprintable() for line in out.split("\n") for sign in line)
