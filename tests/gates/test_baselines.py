import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnperf.gates.baselines import (
    BaselineError,
    CaseBaseline,
    OnMachine,
    Paired,
    file_name,
    parse,
    read_folder,
    to_text,
    write_cases,
)
from gnnperf.system.files import FolderError

from . import mutate_baselines
from .mutate_baselines import ODD, TOKEN, outcome, run
from .records import TEST, baseline

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
numbers = st.integers(0, 10**15) | st.floats(-1e9, 1e9)
ratios = st.builds(Paired, st.floats(1e-3, 1e3), st.floats(0, 0.5), st.integers(5, 99))


def values(*readings, value=numbers):
    return st.dictionaries(st.sampled_from(readings), value)


machines = st.builds(
    OnMachine,
    values("macs", "stored_bytes"),
    st.dictionaries(names, numbers, max_size=2),
    values("cpu_ratio", "energy_ratio", value=ratios),
    st.just({"a": "b"}),
)
cases = st.builds(
    CaseBaseline,
    st.just(("smoke",)),
    names,
    values("parameters", "nonzeros"),
    st.dictionaries(names, machines, max_size=2),
    workload=st.just("w"),
    dataset=st.just("w"),
    source=st.just("real"),
)


@given(st.dictionaries(names, cases, max_size=3))
def test_comes_back_from_its_text(found):
    assert parse(to_text("w", found), Path("w.json")) == found


def test_the_text_is_sorted_and_a_change_is_a_changed_line():
    old = {f"t.py::t[{letter}]": baseline() for letter in "cab"}
    new = {**old, "t.py::t[b]": baseline(stored_bytes=501)}
    before, after = to_text("w", old).splitlines(), to_text("w", new).splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 1
    assert '"stored_bytes": 501' in changed[0][1]
    ids = [line for line in before if "::" in line]
    assert ids == sorted(ids)


def text(**changed):
    return to_text("w", {TEST: baseline(**changed)})


GOOD = text()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (GOOD[:200], r"w\.json: damaged \(.*line .*\); restore it, for instance with git checkout"),
        ("[]", r"w\.json: damaged"),
        ("{}", r"its schema is None, not 2"),
        (GOOD.replace('"schema": 2', '"schema": 3'), "schema 3, and this gnnperf reads 2; upgrade"),
        (GOOD.replace('"schema": 2', '"schema": 1'), "schema 1, and .* reads 2; delete it and acc"),
        (GOOD.replace('"schema": 2', '"schema": "2"'), "its schema is '2', not 2"),
        (GOOD.replace('"schema": 2', '"schema": 2.0'), "schema is 2.0, not a whole number"),
        (GOOD.replace('"nonzeros": 50', '"nonzeros": NaN'), "NaN is no value to compare with"),
        (GOOD.replace('"nonzeros": 50', '"nonzeros": -Infinity'), "-Infinity is no value"),
        (
            GOOD.replace('"nonzeros": 50', '"nonzeros": 1e999'),
            r"exact\['nonzeros'\] is inf, not a number",
        ),
        (
            GOOD.replace('"nonzeros": 50', '"nonzeros": true'),
            r"exact\['nonzeros'\] is True, not a number",
        ),
        (
            GOOD.replace('"nonzeros": 50', '"nonzeros": "5"'),
            r"exact\['nonzeros'\] is '5', not a number",
        ),
        (
            GOOD.replace('"median": 1.0', '"median": 0'),
            "\\['cpu_ratio'\\]: a median of 0 is no ratio, which is above 0",
        ),
        (GOOD.replace('"processes": 5', '"processes": 4'), "4 processes are not 5 at least"),
        (GOOD.replace('"presets"', '"prests"'), "has no 'presets'"),
        (GOOD.replace('"workload": "w"', '"workload": "v"'), "the workload 'v', which belongs"),
        (
            GOOD.replace('  "cases": {', f'  "cases": {{\n"{TEST}": {{}},'),
            r"test_a\[w-global@0.5-seed0\]' stands there twice",
        ),
        (f"<<<<<<< HEAD\n{GOOD}", "line 1 is a conflict marker of a merge; resolve it"),
        (GOOD.replace("\n", "\n=======\n", 1), "line 2 is a conflict marker"),
        ("[" * 100_000, "damaged"),
        (
            GOOD.replace('"nonzeros": 50', f'"nonzeros": {"9" * 400}'),
            r"is 9{60}\.\.\., not a number",
        ),
        (GOOD.replace('"nonzeros": 50', f'"nonzeros": {"9" * 5000}'), "damaged"),
        (
            GOOD.replace('"nonzeros"', '"nonsense"'),
            "0]': 'nonsense' is no reading that is gated so",
        ),
        (GOOD.replace('"nonzeros"', '"macs"'), "0]': 'macs' is no reading that is gated so"),
        (GOOD.replace('"cpu_ratio"', '"macs"'), "0]': 'macs' is no reading that is gated so"),
        (GOOD.replace('"macs"', '"cpu_ratio"'), "0]': 'cpu_ratio' is no reading that is gated so"),
        (GOOD.replace('"processes": 5', '"processes": 1e30'), r"is 1e\+30, not a whole number"),
        (GOOD.replace('"processes": 5', '"processes": 5.5'), "is 5.5, not a whole number"),
        (GOOD.replace('"processes": 5', f'"processes": {10**18}'), "processes are not 5 at least"),
        (
            GOOD.replace('"spread": 0', '"spread": 2'),
            r"spread of 2.00\d* is none that a ratio can be",
        ),
        (GOOD.replace('"spread": 0', '"spread": -0'), "a spread of -0.00"),
        (GOOD.replace('"smoke"', '"\\ud800"'), r"it holds '.ud800', which is no character"),
        (GOOD.replace('"nonzeros"', '"\\ud800"'), r"it holds '.ud800', which is no character"),
        (GOOD.replace('["smoke"]', '"smoke"'), r"presets is 'smoke', not a list"),
        (GOOD.replace('"data": "', '"date": "'), r"has no 'data'"),
        (GOOD.replace('"data": "', '"x": 1, "data": "'), r"has the unknown 'x'"),
        (GOOD.replace('"source": "real"', '"source": 5'), r"source is 5, not text"),
        (GOOD.replace('  "source": "real",\n', ""), r"has no 'source'"),
    ],
)
def test_what_cannot_be_trusted_is_refused(tmp_path, content, sentence):
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(BaselineError, match=sentence):
        read_folder(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "w.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BaselineError, match="it is no UTF-8 text"):
        read_folder(tmp_path)


def test_a_case_in_two_files_is_refused(tmp_path):
    (tmp_path / "v.json").write_text(GOOD.replace('"workload": "w"', '"workload": "v"'))
    (tmp_path / "w.json").write_text(GOOD)
    with pytest.raises(BaselineError, match=r"w\.json: the case 'bench.*' is in .*v\.json too"):
        read_folder(tmp_path)


def test_cases_are_put_in_and_taken_out_and_other_files_left_alone(tmp_path):
    folder = tmp_path / "baselines"
    write_cases(folder, {TEST: baseline()})
    other = folder / "v.json"
    other.write_text(to_text("v", {}))
    before = other.stat().st_mtime_ns
    write_cases(folder, {"t.py::t": baseline()})
    assert set(read_folder(folder)) == {TEST, "t.py::t"}
    write_cases(folder, {TEST: None, "t.py::t": None})
    assert not (folder / "w.json").exists()
    assert other.stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"--gnnperf-baselines .*file cannot be written"):
        write_cases(tmp_path / "file", {TEST: baseline()})


def test_what_lies_there_damaged_is_not_written_over(tmp_path):
    (tmp_path / "w.json").write_text("<<<<<<< HEAD")
    with pytest.raises(BaselineError):
        write_cases(tmp_path, {TEST: baseline()})
    assert (tmp_path / "w.json").read_text() == "<<<<<<< HEAD"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_process_killed_while_it_writes_leaves_the_old_baseline(tmp_path, moment):
    write_cases(tmp_path, {TEST: baseline()})
    script = textwrap.dedent(f"""
        import os, signal
        from dataclasses import replace
        from pathlib import Path
        from gnnperf.gates.baselines import read_folder, write_cases
        os.{moment} = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
        folder = Path({str(tmp_path)!r})
        write_cases(folder, {{t: replace(c, data="x") for t, c in read_folder(folder).items()}})
    """)
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert (tmp_path / "w.json").read_text() == GOOD
    assert read_folder(tmp_path) == {TEST: baseline()}


def test_a_name_that_no_file_can_have_is_escaped():
    assert file_name("cora_node~synthetic-spline") == "cora_node~synthetic-spline.json"
    assert file_name("../a/b") == "..%2Fa%2Fb.json"


def test_whole_numbers_are_written_as_such():
    assert json.loads(text(macs=1000.0))["cases"][TEST]["machines"]
    assert '"macs": 1000,' in text(macs=1000.0)


def test_many_cases_are_read_in_time_that_grows_as_they_do():
    """Looking for doubles among 16,000 names took 2.7 s when each was compared with all."""
    names = [f'"t.py::t[{n}]": 0' for n in range(16_000)]
    begin = time.process_time()
    with pytest.raises(BaselineError):
        parse(f"{{{', '.join(names)}}}", Path("w.json"))
    assert time.process_time() - begin < 1.0


def test_no_damage_to_a_file_gets_more_than_a_sentence():
    counts = run(150, seed=1)
    assert counts["refused"] > 50
    assert counts["other"] > 5


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_everywhere_get_a_sentence_or_are_values(odd):
    good = mutate_baselines.text()
    for token in list(TOKEN.finditer(good[: len(good) // 3]))[::3]:
        outcome(good[: token.start()] + odd + good[token.end() :])
