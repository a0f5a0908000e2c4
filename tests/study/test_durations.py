import pytest

from gnnperf.study.durations import (
    FILE,
    Expected,
    estimate,
    keep_durations,
    left,
    read_durations,
    told,
)


def key(recipe="global@0.5", seed="0", *, test="test_a", workload="cora_node-spline"):
    return ("paper", test, workload, recipe, seed)


def test_kept_times_come_back_and_are_added_to(tmp_path):
    keep_durations(tmp_path / "new", {key(): 1.5})
    keep_durations(tmp_path / "new", {key(seed="1"): 2.5, key(): 3.5})
    assert read_durations(tmp_path / "new") == {key(): 3.5, key(seed="1"): 2.5}


@pytest.mark.parametrize(
    "content", ["", "{", "7", "[7]", '[[["a"], "x"]]', "[" * 100_000, '{"a": 1}']
)
def test_a_damaged_file_is_as_good_as_none(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert read_durations(tmp_path) == {}
    keep_durations(tmp_path, {key(): 1.0})
    assert read_durations(tmp_path) == {key(): 1.0}


def test_what_cannot_be_kept_is_let_go(tmp_path):
    (tmp_path / "file").write_text("")
    keep_durations(tmp_path / "file" / "cache", {key(): 1.0})
    assert read_durations(tmp_path / "file" / "cache") == {}


def test_times_that_are_none_are_left_out(tmp_path):
    (tmp_path / FILE).write_text('[[["a", "b"], NaN], [["a", "c"], -1], [["a", "d"], 0]]')
    assert read_durations(tmp_path) == {("a", "d"): 0.0}


def test_the_most_alike_decides():
    expected = Expected(
        {
            key(): 10.0,
            key(seed="1"): 20.0,
            key("layer@0.5"): 60.0,
            key(workload="bbbp-gin"): 200.0,
        }
    )
    assert expected.of(key()) == 10
    assert expected.of(key(seed="2")) == 15
    assert expected.of(key("l2@1")) == 30
    assert expected.of(key(workload="proteins-gin")) == pytest.approx(72.5)
    assert expected.of(key(test="test_b")) is None
    assert expected.of(("quick", *key()[1:])) is None


def test_the_estimate_says_what_it_cannot_tell():
    known = {key(): 600.0}
    assert estimate([key(test="test_b")], known) == ""
    assert estimate([], known) == ""
    assert estimate([key(), key(seed="1")], known) == "about 20 min for 2 cases, by earlier runs"
    assert estimate([key(), key(test="test_b")], known).endswith("; 1 of them never ran")


def test_what_is_left_is_told_by_this_run_first():
    todo = [key(seed="1")]
    assert left(todo, 2, {key(): 120.0}, {key(): 900.0}) == "1 of 2 cases are left, about 2 min"
    other = [key(test="test_b"), key(seed="1")]
    assert left(other, 3, {key(): 120.0}, {}) == "2 of 3 cases are left, about 4 min"
    assert left(other, 4, {}, {}) == "2 of 4 cases are left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute"),
        (29, "less than a minute"),
        (31, "about 1 min"),
        (59 * 60 + 29, "about 59 min"),
        (59 * 60 + 31, "about 1 h 0 min"),
        (4 * 3600 + 600, "about 4 h 10 min"),
    ],
)
def test_a_time_for_people(seconds, text):
    assert told(seconds) == text
