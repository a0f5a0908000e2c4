import io

import pytest
import torch
from torch_geometric.data import Data

from gnnperf.datasets.base import fingerprint
from gnnperf.datasets.processed import Reading, keep, kept
from gnnperf.system.store import DamagedFileError, write_checked

GRAPHS = (
    Data(x=torch.rand(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]), y=torch.tensor([1])),
    Data(x=torch.rand(1, 2), edge_index=torch.zeros(2, 0, dtype=torch.long), y=torch.tensor([0])),
)


def test_graphs_come_back_bit_by_bit_each_in_memory_of_its_own(tmp_path):
    keep(tmp_path / "new" / "file", Reading(GRAPHS, left_out=3))
    reading = kept(tmp_path / "new" / "file")
    assert (fingerprint(reading.graphs), reading.left_out) == (fingerprint(GRAPHS), 3)
    assert reading.graphs[1].x.untyped_storage().nbytes() == 8


FIELDS = {
    "x": (torch.rand(4, 2), torch.tensor([3, 1])),
    "edge_index": (torch.tensor([[0], [1]]), torch.tensor([1, 0])),
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {**FIELDS, "x": (torch.rand(4, 2), torch.tensor([3, 2]))},
        {**FIELDS, "x": (torch.rand(4, 2), torch.tensor([4]))},
        {**FIELDS, "x": (torch.full((4, 2), torch.nan), torch.tensor([3, 1]))},
        {**FIELDS, "edge_index": (torch.tensor([[0], [3]]), torch.tensor([1, 0]))},
    ],
)
def test_a_structural_error_is_the_files(tmp_path, fields):
    def written(fields):
        buffer = io.BytesIO()
        torch.save({"fields": fields, "left_out": 0}, buffer)
        write_checked(tmp_path / "file", buffer.getvalue())
        return tmp_path / "file"

    assert len(kept(written(FIELDS)).graphs) == 2
    with pytest.raises(DamagedFileError, match=r"file holds no graphs \("):
        kept(written(fields))
