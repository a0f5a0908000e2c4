import numpy as np
import pytest

from gnnperf.datasets import DataError
from gnnperf.datasets.tables import decimals, whole_numbers


def test_whole_numbers():
    assert whole_numbers("f", b"1\n-2\r\n 30 \n").tolist() == [[1], [-2], [30]]
    assert whole_numbers("f", b"1, 2\n3,4", 2).tolist() == [[1, 2], [3, 4]]
    assert whole_numbers("f", b"999999999\n").tolist() == [[999_999_999]]


def test_decimals_are_rounded_once():
    read = decimals("f", b" 23.000000\n-0.1\n1e3\n7")
    assert read.tolist() == [23.0, float(np.float32(-0.1)), 1000.0, 7.0]
    assert read.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"1\n\n2\n", "line 2 of the file f is '' and not one whole number"),
        (b"1\n1.5\n", "line 2 of the file f is '1.5' and not one whole number"),
        (b"1000000000\n", "line 1 of the file f is '1000000000' and"),
        (b"1, 2\n", "line 1 of the file f is '1, 2' and"),
        (b"1_0\n", "line 1 of the file f is '1_0' and"),
        (b"\xff\x1b\n", r"line 1 of the file f is '\\xff\\x1b' and"),
        (b"nan\n", "line 1 of the file f is 'nan' and"),
        (b"", "the file f is empty"),
    ],
)
def test_any_other_line_is_named(content, words):
    with pytest.raises(DataError, match=words):
        whole_numbers("f", content)


@pytest.mark.parametrize("content", [b"inf\n", b"1e100\n", b"1e9\n", b"0x10\n"])
def test_decimals_are_finite_and_not_huge(content):
    assert decimals("f", b"9e8\n").tolist() == [9e8]
    with pytest.raises(DataError, match="the file f"):
        decimals("f", content)
