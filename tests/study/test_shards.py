import pytest
from hypothesis import given
from hypothesis import strategies as some

from gnnperf.study.shards import Shard, dealt, digest_of, parse_shard


@pytest.mark.parametrize("text", ["1/1", "2/8", "8/8", "10000/10000", "001/2"])
def test_shards_are_read(text):
    number, of = map(int, text.split("/"))
    assert parse_shard(text) == Shard(number, of)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2", "/", "2/", "/8", "0/8", "9/8", "-1/8", "1/0", "0/0", "1/10001", "1.0/2"),
        *("2 /8", "2/8/8", "\u0661/8", "one/two", "1" * 5000),
    ],
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match=r"(?s).*"):
        parse_shard(text)


groups = some.lists(some.tuples(some.sampled_from("abc"), some.sampled_from("0123")))


@given(groups, some.integers(1, 9))
def test_each_group_has_one_shard_whatever_the_order(tests, shards):
    share = dealt(tests, shards)
    assert share.keys() == set(tests)
    assert set(share.values()) <= set(range(1, shards + 1))
    assert dealt(reversed(tests), shards) == share


def test_shards_have_the_same_number_of_tests_where_groups_allow_it():
    tests = [(workload, str(seed)) for workload in "abcd" for seed in range(5) for _ in range(3)]
    share = dealt(tests, 4)
    assert [sum(share[test] == number for test in tests) for number in (1, 2, 3, 4)] == [15] * 4


def test_one_shard_judges_what_all_of_them_lack():
    tests = [f"bench/test_x.py::test_it[{number}]" for number in range(40)]
    judges = [[Shard(number, 3).judges(test) for number in (1, 2, 3)] for test in tests]
    assert all(sum(of_test) == 1 for of_test in judges)
    assert all(any(of_shard) for of_shard in zip(*judges, strict=True))


def test_the_digest_stands_for_the_tests_and_not_their_order():
    assert digest_of(["a", "b"]) == digest_of(["b", "a"]) != digest_of(["a"])
