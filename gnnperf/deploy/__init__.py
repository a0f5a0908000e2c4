"""How a compressed model is run: deployments, by name, and what each promises."""

from gnnperf.deploy.base import (
    EXACT,
    Agreement,
    Deployed,
    DeployError,
    Deployment,
    Promise,
    agreement,
    broken_promise,
    resident_bytes,
)
from gnnperf.deploy.registry import DEPLOYMENTS, deploy, find_deployment, register_deployment
from gnnperf.deploy.shipped import load_deployed

__all__ = [
    "DEPLOYMENTS",
    "EXACT",
    "Agreement",
    "DeployError",
    "Deployed",
    "Deployment",
    "Promise",
    "agreement",
    "broken_promise",
    "deploy",
    "find_deployment",
    "load_deployed",
    "register_deployment",
    "resident_bytes",
]
