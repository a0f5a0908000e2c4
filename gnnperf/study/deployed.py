"""A case under a deployment: it and its dense twin deployed alike, and what they are held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch_geometric.data import Batch, Data

from gnnperf.compression import Compressed
from gnnperf.deploy import (
    Deployed,
    DeployError,
    agreement,
    broken_promise,
    deploy,
    find_deployment,
)
from gnnperf.meters.base import Readings
from gnnperf.meters.latency import Pair
from gnnperf.meters.looks import Budget
from gnnperf.records import Reading, measured, unavailable
from gnnperf.study.whole import whole_graph

# Beside the case and its twin, which the user's own rounds measure.
ROUNDS, SECONDS = 60, 5.0
SINGLES = 32
"""How many graphs are computed one at a time."""


def deploy_as(compressed: Compressed, name: str) -> Compressed:
    """The same case, to be run under a deployment; raises DeployError for an unknown one."""
    find_deployment(name)
    recipe = f"{compressed.recipe}+deploy={name}" if compressed.recipe else f"deploy={name}"
    return replace(compressed, deployment=name, recipe=recipe)


@dataclass(frozen=True)
class DeployedPair:
    """A case and its twin as they run, with their batches ready.

    Attributes:
        name: of the deployment.
        case, twin: deployed.
        case_batches, twin_batches: the test part or what stands for it, prepared by each.
    """

    name: str
    case: Deployed
    twin: Deployed
    case_batches: Sequence[Data]
    twin_batches: Sequence[Data]

    @staticmethod
    def of(compressed: Compressed) -> DeployedPair:
        """Deploy both; raises DeployError where that cannot be had."""
        name, timed = compressed.deployment, compressed.twin.parts.measured
        case, twin = deploy(compressed, name), deploy(compressed.twin, name)
        return DeployedPair(
            name, case, twin, list(map(case.prepare, timed)), list(map(twin.prepare, timed))
        )

    @property
    def calls(self) -> tuple[Computing, Computing]:
        """The case's inference over the batches, and the twin's."""
        return Computing(self.case, self.case_batches), Computing(self.twin, self.twin_batches)

    def checked(self, compressed: Compressed) -> Readings:
        """Agreement with the model before it was deployed, and what deploying cost.

        Raises DeployError where the deployment's promise is broken.
        """
        return {**self._agreement(compressed), **self._costs()}

    def ratios(
        self,
        compressed: Compressed,
        run_pair: Callable[[Pair], None],
        eager: nn.Module | None,
        cap_seconds: float = math.inf,
    ) -> Readings:
        """Time beside the deployed twin and the eager form, and one graph at a time.

        The rounds of each of the latter two end by the cap, in wall seconds.
        Raises DeployError where something is compiled while it is timed.
        """
        case, twin = self.calls
        case()
        twin()
        compiled = self._compilations()
        pair = Pair(case, twin, seed=compressed.twin.seed)
        run_pair(pair)
        readings = pair.readings()
        if readings["cpu_ratio"].value is not None:
            readings["eager_ratio"] = self._eager_ratio(compressed, eager, cap_seconds)
            readings["single_cpu_ratio"] = self._single_cpu_ratio(compressed, cap_seconds)
            models = {"": self.case, "twin_": self.twin}
            readings.update(whole_graph(models, compressed.twin.parts, cap_seconds))
        if self._compilations() != compiled:
            raise DeployError(
                f"deploy={self.name} compiled while it was timed; let its prepare() meet every "
                "shape of the test part"
            )
        return readings

    def _compilations(self) -> int:
        return self.case.compilations + self.twin.compilations

    def _agreement(self, compressed: Compressed) -> Readings:
        promise = find_deployment(self.name).promise
        found = agreement(compressed.model, self.case, compressed.twin.parts.test, promise)
        if complaint := broken_promise(found, promise):
            raise DeployError(
                f"{compressed.twin.workload}, {compressed.recipe}: deploy={self.name} broke its "
                f"promise: {complaint}; deploy the case otherwise"
            )
        source = f"{found.rows} rows of the test part, deployed and not"
        return {
            "deployed_agreement": measured(found.classes, "fraction", source),
            "deployed_logit_difference": measured(found.logit_difference, "ratio", source),
        }

    def _costs(self) -> Readings:
        result: Readings = {}
        for side, deployed in {"": self.case, "twin_": self.twin}.items():
            what = "; ".join(filter(None, [*deployed.done, deployed.left]))
            seconds, size = deployed.deploy_seconds, deployed.deployed_bytes
            result[f"{side}deploy_seconds"] = measured(seconds, "seconds", f"wall time: {what}")
            result[f"{side}deployed_bytes"] = measured(size, "bytes", "weights in memory, packed")
        return result

    def _eager_ratio(
        self, compressed: Compressed, eager: nn.Module | None, cap_seconds: float
    ) -> Reading:
        if eager is None:
            reason = "nobody handed over the model as it is written in PyG; measure(eager=...)"
            return unavailable("ratio", "beside PyG eager", reason)
        timed = compressed.twin.parts.measured
        return _ratio(self.calls[0], Computing(eager.eval(), timed), compressed, cap_seconds)

    def _single_cpu_ratio(self, compressed: Compressed, cap_seconds: float) -> Reading:
        graphs = single_graphs(compressed.twin.parts.test)
        if not graphs:
            reason = "the test part is one graph, which is computed as a whole"
            return unavailable("ratio", "one graph at a time", reason)
        case, twin = (
            Computing(deployed, [deployed.prepare(graph) for graph in graphs])
            for deployed in (self.case, self.twin)
        )
        case()
        twin()
        return _ratio(case, twin, compressed, cap_seconds)


def single_graphs(batches: Sequence[Data], count: int = SINGLES) -> list[Data]:
    """The first graphs of batches, each a batch of its own; none where they are no batches."""
    found: list[Data] = []
    for batch in batches:
        if not isinstance(batch, Batch):
            return []
        for number in range(min(batch.num_graphs, count - len(found))):
            found.append(Batch.from_data_list([batch.get_example(number)]))
    return found


@dataclass(frozen=True)
class Computing:
    """A call that computes a model on all batches once."""

    model: nn.Module
    batches: Sequence[Data]

    def __call__(self) -> None:
        """Compute; the results are thrown away."""
        with torch.inference_mode():
            for batch in self.batches:
                self.model(batch)


def _ratio(
    case: Computing, other: Computing, compressed: Compressed, cap_seconds: float
) -> Reading:
    pair = Pair(case, other, rounds=ROUNDS, seed=compressed.twin.seed)
    pair.run_within(Budget(SECONDS, cap_seconds=cap_seconds))
    return pair.readings()["cpu_ratio"]
