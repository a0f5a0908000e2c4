"""A file that ships, run as its recipe says, where neither the base nor its data need be."""

from __future__ import annotations

import os
from collections.abc import Sequence

from torch import nn
from torch_geometric.data import Data

from gnnperf.compression.shipped import read
from gnnperf.deploy.base import Deployed, DeployError
from gnnperf.deploy.registry import deploy


def load_deployed(
    path: str | os.PathLike[str], model: nn.Module, batches: Sequence[Data], name: str = ""
) -> Deployed:
    """The model of a file that `Compressed.save` wrote, as it runs under a deployment.

    Args:
        path: the file; nothing in it is executed.
        model: of the class that was compressed, as for `gnnperf.load`.
        batches: some like those that it is to meet, for shapes and ranges; at least one.
        name: of the deployment; empty: that of the recipe, `global@0.9+deploy=lean`.

    Raises DeployError where there is no deployment, no batch, or what `deploy` refuses;
    ShippedError and CodecError as `gnnperf.load`.
    """
    shipped = read(path, model)
    name = name or shipped.deployment
    if not name:
        raise DeployError(
            f"{path} says nothing of how it is run; name a deployment, name='lean', or load it "
            "with gnnperf.load"
        )
    return deploy(shipped.model, name, batches)
