"""Files of every version that ever was must decode to what they held."""

import gzip
import io
from pathlib import Path

import pytest
import torch

from gnnperf.codec import QuantizedTensor, first_difference, load

FILES = sorted((Path(__file__).parent / "golden").glob("*.gnnz"))


def test_there_are_files() -> None:
    assert {path.stem.partition("-")[0] for path in FILES} == {"v1", "v2"}
    assert len(FILES) >= 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_file(path: Path) -> None:
    version_and_name = path.stem.rpartition("-")[0]
    blob = gzip.decompress(path.with_name(f"{version_and_name}.pt.gz").read_bytes())
    held = torch.load(io.BytesIO(blob), weights_only=True)
    expected = {
        name: QuantizedTensor(**value) if isinstance(value, dict) else value
        for name, value in held.items()
    }
    decoded = load(path)
    assert first_difference(expected, decoded.state) is None
    assert decoded.metadata == {"name": version_and_name.partition("-")[2], "epoch": 3}
