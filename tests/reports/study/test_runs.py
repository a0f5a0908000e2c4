import json

import pytest

from gnnperf.records import RecordError, to_json
from gnnperf.reports.study.runs import RunError, read_study
from gnnperf.system.store import write_checked

from .made_up import case


def record(recipe="global@0.5", *, seed=0, commit="a" * 40, when=None, **values):
    (found,) = case("w-a", recipe, values, seeds=[seed])
    found.provenance["git_commit"] = commit
    if when:
        found.provenance["measured_at"] = when
    return found


def benchmark_json(path, *records, when="2026-11-25T12:00:00+00:00"):
    content = {
        "datetime": when,
        "benchmarks": [{"extra_info": {"gnnperf": to_json(one)}} for one in records],
    }
    path.write_text(json.dumps(content))
    return path


def test_a_run_of_pytest_benchmark(tmp_path):
    study = read_study([benchmark_json(tmp_path / "run.json", record(accuracy=0.9))])
    assert [r.value("accuracy") for r in study.records] == [0.9]
    assert study.notes == ()


def test_records_of_gnnperfs_own_json(tmp_path):
    path = tmp_path / "gate.json"
    path.write_text(json.dumps({"records": {"a test": to_json(record(accuracy=0.9))}}))
    assert len(read_study([path]).records) == 1


def test_the_newest_of_the_same_code_is_kept_and_readings_are_united(tmp_path):
    old = benchmark_json(
        tmp_path / "a.json", record(accuracy=0.8, cpu_ratio=1.0), when="2026-11-24T12:00:00"
    )
    new = benchmark_json(tmp_path / "b.json", record(accuracy=0.9), when="2026-11-25T12:00:00")
    for order in ([old, new], [new, old]):
        (found,) = read_study(order).records
        assert (found.value("accuracy"), found.value("cpu_ratio")) == (0.9, 1.0)


def test_other_code_fills_in_and_is_named(tmp_path):
    most = [record(seed=0, accuracy=0.9), record(seed=1, accuracy=0.9)]
    other = [
        record(seed=0, accuracy=0.1, commit="b" * 40),
        record(seed=2, accuracy=0.2, commit="b" * 40),
    ]
    study = read_study([benchmark_json(tmp_path / "run.json", *most, *other)])
    assert [r.value("accuracy") for r in study.records] == [0.9, 0.9, 0.2]
    assert study.notes == (
        "1 cases are of commit bbbbbbbbbbbb, CPU X, AVX2, 1 thread, torch 2.13",
        "1 cases of commit bbbbbbbbbbbb, CPU X, AVX2, 1 thread, torch 2.13 are left out, as others "
        "measured them",
    )


def test_the_cache(tmp_path):
    content = {"decides": {}, "record": to_json(record(accuracy=0.9)), "round_seconds": [1.0]}
    (tmp_path / "results" / "w").mkdir(parents=True)
    write_checked(tmp_path / "results" / "w" / "a.result", json.dumps(content).encode())
    old = {**content, "record": {**content["record"], "schema": 1}}
    write_checked(tmp_path / "results" / "w" / "b.result", json.dumps(old).encode())
    (tmp_path / "results" / "w" / "c.result").write_bytes(b"damaged")
    study = read_study([tmp_path])
    assert len(study.records) == 1
    assert sorted(study.notes) == [
        f"1 files without a record are left out in {tmp_path.name}",
        f"1 records of another version of gnnperf are left out in {tmp_path.name}",
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "holds no record"),
        ('{"benchmarks": [1, {"extra_info": {}}]}', "holds no record"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, content, sentence):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(RunError, match=f"run.json {sentence}"):
        read_study([path])


def test_records_of_another_schema_are_refused_where_the_file_was_named(tmp_path):
    path = tmp_path / "run.json"
    old = {**to_json(record()), "schema": 1}
    path.write_text(json.dumps({"benchmarks": [{"extra_info": {"gnnperf": old}}]}))
    with pytest.raises(RecordError, match="schema 1"):
        read_study([path])


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        read_study([tmp_path / "none.json"])
    with pytest.raises(RunError, match="neither"):
        read_study([tmp_path])
