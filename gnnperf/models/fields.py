"""A model that takes tensors, made to take a `Data`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf.errors import GnnperfError


class Fields(nn.Module):
    """Calls a module with fields of the data: `Fields(GCN(...), "x", "edge_index")`.

    By keyword too: `Fields(GINE(...), "x", "edge_index", edge_attr="edge_attr")`. Of a HeteroData
    `x_dict` is x by type, as in PyG.
    """

    def __init__(self, module: nn.Module, *fields: str, **keywords: str) -> None:
        super().__init__()
        self.module, self.fields, self.keywords = module, fields, keywords

    def forward(self, data: Data) -> Tensor:
        """The module's output; raises GnnperfError for a field that the data does not have."""
        positional = (_field(data, name) for name in self.fields)
        keywords = {argument: _field(data, name) for argument, name in self.keywords.items()}
        result: Tensor = self.module(*positional, **keywords)
        return result


def _field(data: Data, name: str) -> Any:
    try:
        found = getattr(data, name)
    except (AttributeError, KeyError, TypeError):
        found = None
    if found is None or callable(found):
        there = sorted({key for store in data.stores for key in store})
        raise GnnperfError(
            f"Fields: the data has no field {name!r}; it has {', '.join(there)}; "
            "set it on the graphs, or name another"
        )
    return found
