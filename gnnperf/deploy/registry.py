"""The registry of deployments: how a compressed model is run, by name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice

from torch import nn
from torch_geometric.data import Data

from gnnperf.compression import Compressed
from gnnperf.deploy import bf16, compiled, int8, lean, portable, sparse
from gnnperf.deploy.base import Deployed, DeployError, Deployment
from gnnperf.training import Trained

DEPLOYMENTS: dict[str, Deployment] = {
    "bf16": bf16.DEPLOYMENT,
    "compile": compiled.DEPLOYMENT,
    "int8": int8.DEPLOYMENT,
    "lean": lean.DEPLOYMENT,
    "onnx": portable.DEPLOYMENT,
    "sparse": sparse.DEPLOYMENT,
}
"""Every deployment; a new one is a file in this folder and an entry here."""

# Enough to calibrate and to try on.
EXAMPLES = 8


def register_deployment(name: str, deployment: Deployment) -> None:
    """Add a project's own deployment; raises DeployError when its name is taken by another."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise DeployError(
            f"a deployment's name stands in ids and recipes: {name!r} is not of letters, digits, "
            "- and _; choose another"
        )
    if DEPLOYMENTS.setdefault(name, deployment) is not deployment:
        raise DeployError(f"a deployment {name!r} is registered already; give yours another name")


def find_deployment(name: str) -> Deployment:
    """Look a deployment up; raises DeployError that lists those there are."""
    try:
        return DEPLOYMENTS[name]
    except KeyError:
        known = ", ".join(sorted(DEPLOYMENTS))
        raise DeployError(f"unknown deployment {name!r}; there are {known}") from None


def deploy(
    source: Compressed | Trained | nn.Module, name: str, batches: Sequence[Data] | None = None
) -> Deployed:
    """The model as it runs under a deployment; the source stays as it is.

    Args:
        source: its `model` is lowered: of a quantized one that which simulates it.
        name: in DEPLOYMENTS.
        batches: some of the training part; taken from the source unless it is a module alone.

    Raises DeployError for an unknown deployment, and for one that cannot be had here.
    """
    deployment = find_deployment(name)
    if reason := deployment.available():
        raise DeployError(f"deploy={name}: {reason}")
    trained = source.twin if isinstance(source, Compressed) else source
    if batches is None and isinstance(trained, Trained):
        batches = list(islice(iter(trained.parts.train), EXAMPLES))
    if not batches:
        raise DeployError(
            f"deploy={name}: a {type(trained).__name__} comes without batches; hand some of "
            "its training part over, batches=[...]"
        )
    model = source if isinstance(source, nn.Module) else source.model
    start = time.perf_counter()
    deployed = deployment.lower(model, batches)
    deployed.deploy_seconds = time.perf_counter() - start
    return deployed
