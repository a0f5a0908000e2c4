import pytest

from gnnperf.system.store import DamagedFileError, read_checked, write_checked


@pytest.mark.parametrize("content", [b"", b"some content"])
def test_what_was_written_is_read(tmp_path, content):
    write_checked(tmp_path / "file", content)
    assert read_checked(tmp_path / "file") == content


@pytest.mark.parametrize("position", [0, 31, 32, 43])
def test_every_bit_counts(tmp_path, position):
    write_checked(tmp_path / "file", b"some content")
    blob = bytearray((tmp_path / "file").read_bytes())
    blob[position] ^= 1
    (tmp_path / "file").write_bytes(blob)
    with pytest.raises(DamagedFileError, match="file is damaged; delete it"):
        read_checked(tmp_path / "file")


@pytest.mark.parametrize("kept", [0, 20, 32, 43])
def test_a_truncated_file_is_refused(tmp_path, kept):
    write_checked(tmp_path / "file", b"some content")
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:kept])
    with pytest.raises(DamagedFileError):
        read_checked(tmp_path / "file")
