import copy
import json

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.records import Record, measured, to_json
from gnnperf.study.gather import gather
from gnnperf.study.shards import digest_of

TESTS = ("test_b.py::one", "test_b.py::two", "test_a.py::three", "test_a.py::four")
OURS = {1: (0, 2), 2: (1, 3)}


def record(test, cpu="cpu A"):
    machine = {"device_name": cpu, "instruction_set": "AVX2", "threads": 1}
    return Record(
        workload="w",
        dataset="d",
        source="synthetic",
        recipe="layer@0",
        seed=TESTS.index(test),
        metric="accuracy",
        readings={"accuracy": measured(0.5, "fraction", "test part")},
        layers={},
        coverage={},
        finetune={},
        provenance={"machine": machine, "versions": {"torch": "2"}},
    )


def share(number):
    positions = {TESTS[at]: at for at in OURS[number]}
    return {
        "number": number,
        "of": 2,
        "positions": positions,
        "sizes": [2, 2],
        "whole": digest_of(TESTS),
    }


def run(number, cpu="cpu A"):
    return {
        "machine_info": {"node": f"node{number}"},
        "commit_info": {"id": "abc", "dirty": False},
        "benchmarks": [
            {"fullname": TESTS[at], "extra_info": {"gnnperf": to_json(record(TESTS[at], cpu))}}
            for at in OURS[number]
        ],
        "datetime": "2026-01-01",
        "version": "5",
        "gnnperf_shard": share(number),
    }


@pytest.fixture
def shards(tmp_path):
    """Two folders, and what their files hold; write it to try it."""
    contents = {number: run(number) for number in (1, 2)}

    def write():
        folders = []
        for number, content in contents.items():
            folder = tmp_path / f"shard{number}"
            folder.mkdir(exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / "run.json").write_text(text)
            folders.append(folder)
        return folders

    return contents, write


def refused(folders, into, message):
    with pytest.raises(GnnperfError, match=message) as caught:
        gather(folders, into)
    assert "\n" not in str(caught.value)
    assert not into.exists()
    assert not list(into.parent.glob(".*tmp"))


def test_tests_come_in_the_order_of_the_whole_run(shards, tmp_path):
    _, write = shards
    first, second = write()
    done = gather([second, first], tmp_path / "out")
    assert (done.files, done.cases) == (("benchmark.json",), 4)
    content = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert [benchmark["fullname"] for benchmark in content["benchmarks"]] == list(TESTS)
    assert content["machine_info"] == {"node": "node1"}
    assert "gnnperf_shard" not in content


def test_each_class_of_machine_has_a_file_of_its_own(shards, tmp_path):
    contents, write = shards
    contents[2] = run(2, "cpu B")
    done = gather(write(), tmp_path / "out")
    assert done.files == (
        "benchmark-cpu-A-AVX2-1-thread-torch-2.json",
        "benchmark-cpu-B-AVX2-1-thread-torch-2.json",
    )


def test_the_same_file_twice_is_one(shards, tmp_path):
    _, write = shards
    folders = write()
    (folders[0] / "copy.json").write_text((folders[0] / "run.json").read_text())
    assert gather([*folders, folders[0]], tmp_path / "out").cases == 4


def test_a_shard_that_is_missing_is_named(shards, tmp_path):
    _, write = shards
    refused(write()[:1], tmp_path / "out", "--gnnperf-shard 2/2 left nothing in these folders")


def test_a_shard_without_cases_may_be_missing(shards, tmp_path):
    contents, write = shards
    for content in contents.values():
        content["gnnperf_shard"] |= {"of": 3, "sizes": [2, 2, 0]}
    assert gather(write(), tmp_path / "out").cases == 4


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c[2]["gnnperf_shard"].update(whole="other"), "is of another run than"),
        (lambda c: c[2]["gnnperf_shard"].update(of=3), "is of another run than"),
        (lambda c: c[2]["commit_info"].update(id="def"), "gather runs of one commit"),
        (lambda c: c[2]["gnnperf_shard"].pop("sizes"), "run.json is damaged"),
        (lambda c: c[2]["gnnperf_shard"].update(number="two"), "run.json is damaged"),
        (lambda c: c[2]["benchmarks"].append(7), "run.json is damaged"),
        (lambda c: c[2]["benchmarks"][0].pop("fullname"), "run.json is damaged"),
        (lambda c: c[2]["benchmarks"][0].update(fullname=[1]), "run.json is damaged"),
        (lambda c: c[2]["benchmarks"][0]["extra_info"]["gnnperf"].pop("seed"), "is damaged"),
        (lambda c: c[2].update(gnnperf_shard=[]), "run.json is damaged"),
        (lambda c: c.update({2: json.dumps(c[2])[:-20]}), "run.json is damaged, no JSON"),
        (lambda c: c.update({2: ""}), "run.json is damaged, no JSON"),
        (lambda c: c.update({2: "[" * 100_000}), "run.json is damaged, no JSON"),
        (
            lambda c: c[2]["benchmarks"].append({**c[1]["benchmarks"][0], "name": "other"}),
            "test_b.py::one was measured twice, in .*shard1.* and in .*shard2",
        ),
        (lambda c: c.update({2: '{"something": "else"}'}), "shard2 holds nothing to gather"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence_and_nothing_is_written(
    shards, tmp_path, spoil, message
):
    contents, write = shards
    spoil(contents)
    refused(write(), tmp_path / "out", message)


def test_folders_that_are_none_and_results_that_are_there_are_refused(shards, tmp_path):
    _, write = shards
    folders = write()
    refused([tmp_path / "nowhere"], tmp_path / "out", "nowhere is no folder; name one that")
    with pytest.raises(GnnperfError, match=r"--into .*shard1 is there already; name a folder"):
        gather(folders, folders[0])


def test_a_damaged_result_of_a_store_is_named(shards, tmp_path):
    _, write = shards
    folders = write()
    (folders[0] / "results" / "case").mkdir(parents=True)
    (folders[0] / "results" / "case" / "key.result").write_bytes(b"x" * 100)
    refused(folders, tmp_path / "out", "key.result is damaged")


def gate(number):
    """A shard's verdicts, as `--gnnperf-json` writes them."""
    tests = [TESTS[at] for at in OURS[number]]
    return {
        "schema": 1,
        "mode": "gate",
        "counts": {},
        "cases": [{"test": test, "verdict": "ok", "findings": [], "notes": []} for test in tests],
        "accepted": {},
        "complaints": [f"of {number}", "of both"],
        "records": {test: to_json(record(test)) for test in tests},
        "shard": share(number),
        "scores": {},
    }


def test_verdicts_come_in_order_and_what_is_said_twice_once(shards, tmp_path):
    contents, write = shards
    contents.update({number: gate(number) for number in (1, 2)})
    done = gather(write(), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert [case["test"] for case in content["cases"]] == list(TESTS) == list(content["records"])
    assert content["complaints"] == ["of 1", "of both", "of 2"]
    assert content["counts"] == {"ok": 4}
    assert "shard" not in content
    assert done.files == ("gate.json", "gate.md")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda gates: gates[2].update(mode="strict"), "is of mode gate and .* of strict"),
        (lambda gates: gates[2].pop("cases"), "run.json is damaged"),
        (lambda gates: gates[2]["cases"][0].update(verdict="fine"), "run.json is damaged"),
        (lambda gates: gates[2].update(scores=7), "run.json is damaged"),
        (
            lambda gates: gates[2]["cases"].append(
                {**copy.deepcopy(gates[1]["cases"][0]), "verdict": "improved"}
            ),
            "test_b.py::one was measured twice",
        ),
    ],
)
def test_verdicts_that_do_not_fit_are_refused(shards, tmp_path, spoil, message):
    contents, write = shards
    contents.update({number: gate(number) for number in (1, 2)})
    spoil(contents)
    refused(write(), tmp_path / "out", message)


SEEDS = [f"test_b.py::it[w-layer@0-seed{seed}]" for seed in (0, 1)]


def test_a_score_is_judged_over_the_seeds_of_all_shards(tmp_path):
    folders = []
    for number, (test, now) in enumerate(zip(SEEDS, (0.5, 0.9), strict=True), 1):
        content = gate(1)
        finding = {"metric": "accuracy", "verdict": "regressed", "sentence": "of one seed"}
        finding |= dict.fromkeys(("before", "now", "change", "limit"))
        content["cases"] = [{"test": test, "verdict": "regressed", "findings": [finding]}]
        content["records"] = {test: to_json(record(TESTS[number]))}
        content["shard"] = {**share(1), "number": number, "positions": {test: number}}
        pair = {"before": 0.7, "now": now, "elsewhere": False}
        content["scores"] = {"test_b.py::it[w-layer@0]": {"pairs": {test: pair}, "limits": {}}}
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        (folders[-1] / "gate.json").write_text(json.dumps(content))
    gather(folders, tmp_path / "out")
    first, last = json.loads((tmp_path / "out" / "gate.json").read_text())["cases"]
    assert (first["verdict"], first["findings"]) == ("ok", [])
    (finding,) = last["findings"]
    assert (finding["verdict"], finding["before"], finding["now"]) == ("ok", 0.7, 0.7)
    assert "over 2 seeds" in finding["sentence"]
