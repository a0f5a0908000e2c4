import pytest

from gnnperf.system.store import DamagedFileError, key_of, open_checked, read_checked, write_checked


@pytest.mark.parametrize("content", [b"", b"x", bytes(1000)])
def test_what_is_written_comes_back(tmp_path, content):
    write_checked(tmp_path / "a", content)
    assert bytes(read_checked(tmp_path / "a")) == content


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 32, b"x" * 1000])
def test_what_was_never_written_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DamagedFileError, match="a is damaged; delete it"):
        read_checked(tmp_path / "a")


@pytest.mark.parametrize("at", [0, 31, 32, -1])
def test_any_flipped_bit_is_seen(tmp_path, at):
    write_checked(tmp_path / "a", b"content")
    blob = bytearray((tmp_path / "a").read_bytes())
    blob[at] ^= 1
    (tmp_path / "a").write_bytes(blob)
    with pytest.raises(DamagedFileError):
        read_checked(tmp_path / "a")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DamagedFileError, match="cannot be read"):
        read_checked(tmp_path)


def test_a_file_that_is_absent_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checked(tmp_path / "a")


def test_the_key_is_decided_by_every_setting():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})


def test_a_content_is_read_as_a_file_of_its_own(tmp_path):
    write_checked(tmp_path / "a", bytes(range(100)))
    with open_checked(tmp_path / "a") as file:
        assert file.read(3) == b"\0\1\2"
        assert file.tell() == 3
        assert file.seek(-1, 2) == 99
        assert file.read() == b"c"
        assert file.seek(10) == 10
        assert file.seek(5, 1) == 15
        assert file.read(1) == b"\x0f"


def test_nothing_else_is_opened(tmp_path):
    for content in (b"", b"short", b"x" * 100):
        (tmp_path / "a").write_bytes(content)
        damaged = pytest.raises(DamagedFileError, match="a is damaged; delete it")
        with damaged, open_checked(tmp_path / "a"):
            pass
    with pytest.raises(FileNotFoundError), open_checked(tmp_path / "b"):
        pass
    with pytest.raises(DamagedFileError, match="cannot be read"), open_checked(tmp_path):
        pass
