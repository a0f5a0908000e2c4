"""Claims about single layers and lottery tickets: sections 1 and 3.2.1, Figures 1 and 2."""

from __future__ import annotations

from itertools import product

from gnnperf.gates.tickets import TicketScores, judge_tickets
from gnnperf.reports.study.claims.pruning import GNNNET, HGPSL, SPLINE, layers_cost_more
from gnnperf.reports.study.evidence import Evidence
from gnnperf.reports.study.ledger import Check, Judgement, above, below, claim, gather, judged
from gnnperf.reports.study.places import LEVELS, PRUNED
from gnnperf.reports.study.series import CannotBeJudgedError, Series, all_above, mean_of, rounded

IN_MOST_SEEDS = 0.9
FOLLOWS_WITHIN = 0.05
FAR_ABOVE = 0.1
TICKETS = tuple(
    f"lottery@{sparsity}:rounds=3{rewind}"
    for sparsity, rewind in product(("0.5", "0.8", "0.9"), ("", ",rewind=2"))
)
CONTROLS = ("random-mask", "random-init")


def zeros(evidence: Evidence, workload: str, level: str, part: str) -> Series:
    """The share of zeros in the weights whose name holds `part`, mean over them."""
    layers = evidence.zeros(workload, f"global@{level}")
    found = [share for name, share in layers.items() if part in name]
    if not found:
        raise CannotBeJudgedError(f"{workload} has no layer {part}; it has {', '.join(layers)}")
    return mean_of(found)


@claim(
    "L0",
    "Figure 1",
    "half of SplineConv's first layer, before and after global pruning",
    "zeros of that layer at 0.5 within 0.05 of a half: the picture is of that layer",
    "test_pruning",
)
def first_layer_halved(evidence: Evidence) -> Judgement:
    """L0."""
    share = zeros(evidence, SPLINE, "0.5", "conv1")
    holds = abs(rounded(share.mean - 0.5)) <= FOLLOWS_WITHIN
    share.require_seeds()
    return judged([Check("zeros in conv1", holds, str(share))])


@claim(
    "L1",
    "3.2.1, Figure 2",
    "on BBBP the first graph layer keeps the most weights at every sparsity",
    "its share of zeros is the least of all layers in 9 of 10 seeds, at each of 0.1 to 0.9",
    "test_pruning",
)
def first_layer_keeps_most(evidence: Evidence) -> Judgement:
    """L1."""

    def check(level: str) -> Check:
        layers = evidence.zeros(GNNNET, f"global@{level}")
        first = next((n for n in layers if n.startswith("gnn_layers.0")), None)
        if first is None:
            raise CannotBeJudgedError(
                f"{GNNNET} has no layer gnn_layers.0; it has {', '.join(layers)}"
            )
        layers[first].require_seeds()
        least = [
            all(layers[first].values[s] <= share.values[s] for share in layers.values())
            for s in layers[first].values
        ]
        holds = sum(least) >= IN_MOST_SEEDS * len(least)
        return Check(level, holds, f"the least in {sum(least)} of {len(least)} seeds")

    return judged(gather(check, LEVELS))


@claim(
    "L2",
    "3.2.1, Figure 2",
    "on BBBP the second and third graph layers follow the sparsity asked for",
    "mean share of zeros within 0.05 of it, at every sparsity",
    "test_pruning",
)
def middle_layers_follow(evidence: Evidence) -> Judgement:
    """L2."""

    def check(layer: str, level: str) -> Check:
        share = zeros(evidence, GNNNET, level, layer)
        share.require_seeds()
        holds = abs(rounded(share.mean - float(level))) <= FOLLOWS_WITHIN
        return Check(f"{layer} at {level}", holds, str(share))

    return judged(gather(lambda of: check(*of), product(("gnn_layers.1", "gnn_layers.2"), LEVELS)))


def _excess(evidence: Evidence, workload: str, level: str, part: str) -> Series:
    return zeros(evidence, workload, level, part).each(lambda share: share - float(level))


@claim(
    "L3",
    "3.2.1, Figure 2",
    "on BBBP the MLP has far more zeros than asked for at low sparsity",
    "its share less the sparsity above 0.1 at 0.1 to 0.4 (95 %)",
    "test_pruning",
)
def mlp_is_emptied(evidence: Evidence) -> Judgement:
    """L3."""
    return judged(
        gather(
            lambda level: above(level, _excess(evidence, GNNNET, level, "mlps"), FAR_ABOVE),
            LEVELS[:4],
        )
    )


@claim(
    "L4",
    "3.2.1",
    "on Cora's nodes spline kernels outlast the linear parts beside them",
    "share of zeros of each kernel below that of its linear part at 0.5, both layers (paired 95 %)",
    "test_pruning",
)
def kernels_outlast(evidence: Evidence) -> Judgement:
    """L4."""

    def check(layer: str) -> Check:
        kernel = zeros(evidence, SPLINE, "0.5", f"{layer}.weight")
        return below(layer, kernel - zeros(evidence, SPLINE, "0.5", f"{layer}.lin"), 0.0)

    return judged(gather(check, ("conv1", "conv2")))


@claim(
    "L5",
    "3.2.1",
    "on Proteins the first convolution stays the fullest of the three",
    "its share of zeros below those of the second and third at 0.5 (paired 95 %)",
    "test_pruning",
)
def first_convolution_stays_full(evidence: Evidence) -> Judgement:
    """L5."""

    def check(other: str) -> Check:
        first = zeros(evidence, HGPSL, "0.5", "conv1")
        return below(f"conv1 - {other}", first - zeros(evidence, HGPSL, "0.5", other), 0.0)

    return judged(gather(check, ("conv2", "conv3")))


@claim(
    "L6",
    "3.2.1",
    "on Proteins the first two linear layers empty early",
    "share of zeros more than 0.1 above the sparsity at 0.3, each (95 %)",
    "test_pruning",
)
def linear_layers_empty_early(evidence: Evidence) -> Judgement:
    """L6."""
    return judged(
        gather(
            lambda part: above(part, _excess(evidence, HGPSL, "0.3", part), FAR_ABOVE),
            ("lin1", "lin2"),
        )
    )


_FIRST = {SPLINE: "conv1.weight", GNNNET: "gnn_layers.0.", HGPSL: "conv1."}
_LINEAR = {SPLINE: (".lin",), GNNNET: ("mlps",), HGPSL: ("lin1", "lin2", "lin3")}


@claim(
    "L7",
    "3.2.1, 4",
    "first convolutions stand pruning better than linear layers do",
    "each layer alone pruned at 0.9: the first convolution's drop below that of every linear layer "
    "(paired, Holm), by workload that has both; NESS has none. The paper reads it from zeros alone",
    "test_layers",
)
def early_layers_are_tolerant(evidence: Evidence) -> Judgement:
    """L7."""

    def check(workload: str) -> Check:
        layers = list(evidence.zeros(workload, "layer@0"))
        first = [n for n in layers if n.startswith(_FIRST[workload])]
        # The linear part inside of SplineConv is a linear layer, as in L4.
        others = [n for n in layers if any(part in n for part in _LINEAR[workload])]
        if not first or not others:
            raise CannotBeJudgedError(f"{workload} has the layers {', '.join(layers)}")
        drops = {
            name: evidence.series(workload, "layer@0", f"sensitivity {name}@0.9")
            for name in (*first, *others)
        }
        mine = mean_of([drops[name] for name in first])
        gaps = {name: drops[name] - mine for name in others}
        least = min(gaps, key=lambda name: gaps[name].mean)
        return Check(f"{workload}: {least}", all_above(list(gaps.values())), str(gaps[least]))

    return judged(gather(check, _FIRST))


@claim(
    "L8",
    "3.2.1",
    "the same sparsity in every layer hurts more than thresholds over the whole model",
    "as P8, on all four workloads",
    "test_pruning",
)
def uniform_sparsity_hurts(evidence: Evidence) -> Judgement:
    """L8."""
    return judged(layers_cost_more(evidence, PRUNED))


@claim(
    "LT",
    "1, 4",
    "graph neural networks hold no lottery tickets",
    "a ticket wins where it is within 0.01 of dense and above random masks and random weights "
    "(paired, one-sided, Holm), Holm over a workload's tickets, 5 seeds at least; one win on any "
    "workload refutes the claim, none leaves it unrefuted",
    "test_lottery",
)
def no_tickets(evidence: Evidence) -> Judgement:
    """LT."""

    def check(workload: str) -> Check:
        found = {}
        for ticket in TICKETS:
            try:
                found[ticket] = _ticket(evidence, workload, ticket)
            except CannotBeJudgedError:
                continue
        if not found:
            _ticket(evidence, workload, TICKETS[0])
        verdicts = judge_tickets(found)
        unjudged = [verdict.unjudged for verdict in verdicts.values() if verdict.unjudged]
        if len(unjudged) == len(verdicts):
            raise CannotBeJudgedError(f"{workload}: {unjudged[0]}")
        won = [ticket for ticket, verdict in verdicts.items() if verdict.found]
        told = f"{', '.join(won)} won" if won else f"none of {len(found)} won"
        return Check(workload, not won, told)

    checks = gather(check, PRUNED, least=0.5)
    held = all(one.holds for one in checks)
    found = "; ".join(map(str, checks))
    return Judgement("reproduced" if held else "not reproduced", found)


def _ticket(evidence: Evidence, workload: str, ticket: str) -> TicketScores:
    parts = {
        name: evidence.series(workload, f"{ticket}{tail}", "score")
        for name, tail in (("ticket", ""), *((name, f",{name}") for name in CONTROLS))
    }
    dense = evidence.series(workload, ticket, "twin_score")
    seeds = [s for s in dense.values if all(s in part.values for part in parts.values())]

    def scores(part: Series) -> list[float]:
        return [part.values[seed] for seed in seeds]

    return TicketScores(
        scores(dense), scores(parts["ticket"]), {name: scores(parts[name]) for name in CONTROLS}
    )
