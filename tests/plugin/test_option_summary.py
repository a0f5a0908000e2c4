"""`--gnnperf-summary` and GitHub's annotations."""

import pytest

from .gate_project import accept


def test_the_verdicts_as_markdown_and_annotations(project, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    accept(project, pytester, stored_bytes=117_000)
    result = project("--gnnperf-gate", "--gnnperf-summary=out/summary.md")
    text = (pytester.path / "out" / "summary.md").read_text()
    assert text.startswith("### gnnperf gate: 1 regressed\n- regressed: test\\_project.py::")
    assert "| test\\_pruning\\[cora\\_node\\~synthetic-spline-global@0.5-seed0\\] |" in text
    result.stdout.fnmatch_lines(
        ["::error file=test_project.py,line=*,title=gnnperf regressed::*stored_bytes grew *%25); *"]
    )


def test_without_a_gate_the_cases_alone(project, pytester):
    project("--gnnperf-summary=summary.md").assert_outcomes(passed=1)
    text = (pytester.path / "summary.md").read_text()
    assert text.startswith("### gnnperf records\n")
    assert "1 case" in text


@pytest.mark.parametrize("option", ["--gnnperf-summary", "--gnnperf-json"])
def test_what_is_no_file_is_refused(pytester, option):
    (pytester.path / "file").touch()
    for name, sentence in ((".", f"*{option} '.' is no file; *"), ("file/x", f"*{option} *file *")):
        result = pytester.runpytest(f"{option}={name}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([sentence])
