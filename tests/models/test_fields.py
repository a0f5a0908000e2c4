import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData

from gnnperf import Fields
from gnnperf.errors import GnnperfError


class Net(nn.Module):
    def forward(self, x, edge_index, *, edge_attr=None, batch=None):
        return x, edge_index, edge_attr, batch


DATA = Data(x=torch.ones(2, 1), edge_index=torch.zeros(2, 0), edge_attr=torch.zeros(0, 3))


def test_fields_by_place_and_by_keyword():
    found = Fields(Net(), "x", "edge_index", edge_attr="edge_attr")(DATA)
    assert found[0] is DATA.x
    assert found[1] is DATA.edge_index
    assert found[2] is DATA.edge_attr
    assert found[3] is None
    assert Fields(Net(), "x", edge_index="edge_attr")(DATA)[1] is DATA.edge_attr


def test_fields_by_type():
    data = HeteroData()
    data["a"].x = torch.ones(2, 1)
    data["a", "to", "a"].edge_index = torch.zeros(2, 0)
    x, edges, *_ = Fields(Net(), "x_dict", "edge_index_dict")(data)
    assert x == {"a": data["a"].x}
    assert list(edges) == [("a", "to", "a")]


@pytest.mark.parametrize("data", [DATA, HeteroData(x=DATA.x, a={"edge_attr": DATA.edge_attr})])
@pytest.mark.parametrize("name", ["edge_atr", "y", "batch", "clone", "ptr_dict", ""])
def test_a_field_that_is_not_there_is_named_with_those_that_are(data, name):
    words = f"the data has no field {name!r}; it has .*edge_attr.*x.*; set it on"
    for model in (Fields(Net(), name, "x"), Fields(Net(), "x", edge_index=name)):
        with pytest.raises(GnnperfError, match=words):
            model(data)
