"""`--gnnperf-workloads` and `--gnnperf-recipes`."""

import pytest

from gnnperf.plugin.gone import WholeFiles
from gnnperf.plugin.selection import split_names

CASES = """
import pytest

@pytest.mark.gnnperf_cases(
    workloads=["cora_node-spline", "cora_node-gcn"],
    recipes=["global@0.5", "layer@0.5", "lottery@0.8:rounds=3,rewind=2", "layer@0.5+finetune"],
)
def test_it(case): ...

@pytest.mark.gnnperf_cases(workloads=["cora_node-gcn"], recipes=["global@0.9"], over_seeds=3)
def test_over_seeds(case): ...

@pytest.mark.parametrize("case", ["global@0.5"])
def test_another_case(case): ...

def test_without(): ...
"""


@pytest.fixture
def run(project, pytester):
    pytester.makepyfile(test_cases=CASES)
    return lambda *options: project("test_cases.py", "--collect-only", "-q", *options)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--gnnperf-workloads=cora_node-gcn"], 5),
        (["--gnnperf-workloads=cora_node-gcn,cora_node-spline"], 9),
        (["--gnnperf-workloads=*-spline"], 4),
        (["--gnnperf-recipes=global@0.50"], 2),
        (["--gnnperf-recipes", "global@*"], 3),
        (["--gnnperf-recipes=layer@0.5"], 2),
        (["--gnnperf-recipes=*+finetune, global@0.9"], 3),
        (["--gnnperf-recipes=lottery@0.8:rounds=3,rewind=2,layer@0.5"], 4),
        (["--gnnperf-recipes=*@0.5", "--gnnperf-workloads=*gcn"], 2),
        (["--gnnperf-recipes=layer@0.5+*"], 2),
        (["--gnnperf-recipes=layer@*", "-k", "gcn and finetune"], 1),
    ],
)
def test_they_choose_cases(run, options, found):
    result = run(*options)
    assert len([line for line in result.outlines if line.startswith("test_cases.py::")]) == found
    result.stdout.no_fnmatch_line("*no case collected*")
    result.stdout.no_fnmatch_line("*::test_another_case*")
    result.stdout.no_fnmatch_line("*::test_without*")


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("workloads=cora_nod-gcn", "'cora_nod-gcn': * no such workload; the * is cora_node-gcn"),
        ("workloads=*-gcm", "'*-gcm': there is no such workload; the nearest is cora_node-gcn"),
        ("recipes=globl@0.5", "'globl@0.5': there is no such recipe; the nearest is global@0.5"),
        ("recipes=layer@0.5,global", "'global': * no such recipe; the nearest is global@0.?"),
        ("recipes=globl@*", "'globl@*': there is no such recipe; the nearest is global@0.?"),
        ("recipes=globl*", "'globl*': there is no such recipe; the nearest is global@0.?"),
        ("recipes=layer@1.5", "'layer@1.5': there is no such recipe; the nearest is layer@0.5"),
        ("recipes=", "'': name recipes with a comma between them"),
        ("workloads=cora_node-gcn,", "'cora_node-gcn,': name workloads with a comma *"),
    ],
)
def test_unknown_names_are_refused(run, option, sentence):
    result = run(f"--gnnperf-{option}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --gnnperf-{option.partition('=')[0]} {sentence}"])


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("recipes=global@0.6", "'global@0.6': no case * has it; the nearest is global@0.?"),
        ("recipes=qat@*", "'qat@?': no case collected here has it; the nearest is *"),
        ("workloads=bbbp-gnnnet", "'bbbp-gnnnet': no case collected here has it; the nearest is *"),
    ],
)
def test_names_that_no_case_has_are_said(run, option, sentence):
    result = run(f"--gnnperf-{option}")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines([f"gnnperf: --gnnperf-{option.partition('=')[0]} {sentence}"])


def test_files_that_fail_keep_their_own_error(run, pytester):
    pytester.makepyfile(test_cases="import nothing_of_that_name")
    result = run("--gnnperf-recipes=globl@0.5")
    result.stdout.fnmatch_lines(["*nothing_of_that_name*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ["a"]),
        ("a@1, b@2", ["a@1", "b@2"]),
        ("a*,b*", ["a*", "b*"]),
        ("a@1:x=1,y,b@2", ["a@1:x=1,y", "b@2"]),
        ("a@1:*,y,b@2:x,z", ["a@1:*,y", "b@2:x,z"]),
        ("a,,b", ["a", "", "b"]),
        ("a@1:x,", ["a@1:x", ""]),
        ("a@1:x,y=2+b@3,c@1+d", ["a@1:x,y=2+b@3", "c@1+d"]),
        ("a@1:x,y+b@3:z,w,*@5+c", ["a@1:x,y+b@3:z,w", "*@5+c"]),
        ("a@1:x,dense,y", ["a@1:x", "dense", "y"]),
    ],
)
def test_commas_part_names_but_not_the_options_of_a_recipe(text, names):
    assert split_names(text) == names


def test_a_fresh_process_takes_names_of_files_that_it_leaves_out(run, pytester):
    pytester.mkdir("again").joinpath("tests.json").write_text("[]")
    names = "--gnnperf-workloads=mine-net,cora_node-gcn"
    assert run(names).ret == pytest.ExitCode.USAGE_ERROR
    assert run(names, "--gnnperf-again=again").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    ("options", "whole"),
    [([], True), (["--gnnperf-workloads=*"], False), (["--gnnperf-recipes=*"], False)],
)
def test_a_selection_misses_no_case(pytester, options, whole):
    files = WholeFiles(pytester.parseconfig(pytester.path, *options))
    assert files.ran("test_that_is_away.py::test_it") is whole
