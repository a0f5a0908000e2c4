import pickle
import struct
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from scipy.sparse import csc_matrix, csr_matrix

from gnnperf.datasets.pickled import unpickled

TABLE = np.array([[0, 2.5, 0], [1, 0, 0], [0, 0, 3], [0, 0, 0]])


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "array",
    [
        TABLE,
        TABLE.astype(">f4"),
        np.asfortranarray(TABLE.astype(np.int64)),
        TABLE[:, 0].astype(np.uint8),
    ],
)
def test_arrays(array, protocol):
    read = unpickled(pickle.dumps(array, protocol))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_sparse_matrices_become_dense(protocol):
    np.testing.assert_array_equal(unpickled(pickle.dumps(csr_matrix(TABLE), protocol)), TABLE)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_containers(protocol):
    neighbours = defaultdict(list, {0: [1, 70000], 1: [], 2: [-1, 1 << 40]})
    assert unpickled(pickle.dumps(neighbours, protocol)) == dict(neighbours)
    plain = {"a": (1, 2.5, None, True), "b": [[], {}, ()], 3: "text"}
    assert unpickled(pickle.dumps(plain, protocol)) == plain


@pytest.mark.parametrize(
    "value",
    [
        print,
        OrderedDict(a=1),
        {1},
        np.float64(1),
        np.array([1, "a"], dtype=object),
        np.array(["text"]),
        np.zeros((2, 2, 2)),
        np.zeros(0),
        csc_matrix(TABLE),
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises((ValueError, KeyError)):
        unpickled(pickle.dumps(value, 2))


def sparse(**changes):
    matrix = csr_matrix(TABLE)
    for name, value in changes.items():
        matrix.__dict__[name] = value
    return pickle.dumps(matrix, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"indptr": np.array([0, 2, 1, 3, 3], np.int32)},
        {"indptr": np.array([1, 1, 2, 3, 3], np.int32)},
        {"indptr": np.array([0, 1, 2, 4, 4], np.int32)},
        {"indptr": np.array([0, 1, 2, 3], np.int32)},
        {"indices": np.array([1, 0, 3], np.int32)},
        {"indices": np.array([1, 0, -1], np.int32)},
        {"indices": np.array([1, 0, 2], np.float32)},
        {"data": np.array([1.0, 2.0])},
        {"_shape": (4, 1 << 40)},
        {"_shape": (-4, -3)},
        {"_shape": (4.0, 3)},
    ],
)
def test_a_sparse_matrix_lies_inside_itself(changes):
    moved = unpickled(sparse(indptr=np.array([0, 1, 2, 2, 3], np.int32)))
    assert (moved[2, 2], moved[3, 2]) == (0, 3)
    with pytest.raises(ValueError, match=r"entries outside itself|it takes a float for a int"):
        unpickled(sparse(**changes))


def test_an_array_is_as_large_as_its_bytes():
    content = pickle.dumps(np.zeros((3, 5), np.int32), 2)
    shape = content.index(b"K\x03K\x05")
    for rows in (2, 4, 255):
        with pytest.raises(ValueError, match="not as large as it says"):
            unpickled(content[: shape + 1] + bytes([rows]) + content[shape + 2 :])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02.",
        b"\x80\x02K\x01K\x02.",
        b"\x80\x02)R.",
        b"\x80\x02(t(K\x01\x85.",
        b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"K\x01s.",  # Hashed, it ends the process.
        b"\x80\x02Nr" + struct.pack("<I", 0xFFFFFFF0) + b"h\x01.",
        b"\x80\x02cos\nsystem\nU\x04true\x85R.",
    ],
)
def test_nonsense_is_refused(content):
    with pytest.raises((ValueError, KeyError, IndexError, AttributeError)):
        unpickled(content)
