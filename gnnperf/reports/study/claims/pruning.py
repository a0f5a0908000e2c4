"""Claims about accuracy under pruning: section 3.2.2, Tables 9 to 12."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from scipy.stats import spearmanr

from gnnperf.reports.study.agreement import score_cells
from gnnperf.reports.study.evidence import Evidence
from gnnperf.reports.study.ledger import (
    Check,
    Judgement,
    Rule,
    above,
    at_most,
    claim,
    gather,
    judged,
    within,
)
from gnnperf.reports.study.places import LEVELS, PRUNED
from gnnperf.reports.study.series import Series, mean_of

SPLINE, NESS, GNNNET, HGPSL = PRUNED
SAFE = 0.02
"""A drop whose upper end is no higher is none to speak of."""
TUNED = "+finetune"


def drop(evidence: Evidence, workload: str, recipe: str) -> Series:
    """How much worse than its dense twin, seed by seed."""
    return evidence.series(workload, recipe, "drop")


def tuning_gain(evidence: Evidence, workload: str, recipe: str) -> Series:
    """How much better with fine-tuning than without, seed by seed."""
    return evidence.series(workload, recipe + TUNED, "score") - evidence.series(
        workload, recipe, "score"
    )


def safe(
    evidence: Evidence, workload: str, recipes: Iterable[str], limit: float = SAFE
) -> list[Check]:
    """Upper end of each drop at or below the limit."""
    return gather(
        lambda recipe: at_most(f"{workload} {recipe}", drop(evidence, workload, recipe), limit),
        recipes,
    )


def _table(method: str, tail: str) -> Rule:
    levels = ("0", *LEVELS)
    cells = [(w, f"{method}@{level}{tail}") for w, level in product(PRUNED, levels)]
    return lambda evidence: score_cells(evidence, cells)


for _table_number, _method, _tail, _words in (
    (9, "global", "", "40 accuracies of global pruning"),
    (10, "global", TUNED, "40 accuracies of global pruning with fine-tuning"),
    (11, "layer", "", "40 accuracies of fine-grained pruning"),
    (12, "layer", TUNED, "40 accuracies of fine-grained pruning with fine-tuning"),
):
    claim(
        f"PT{_table_number}",
        f"5, Table {_table_number}",
        _words,
        "a cell agrees within twice the standard errors of both means together, or where its drop "
        "is the paper's within 0.02; reproduced from 90 % of the cells on, in part from half",
        "test_pruning",
        is_table=True,
    )(_table(_method, _tail))


@claim(
    "P1",
    "3.2.2",
    "without fine-tuning, the more weights go the more accuracy goes",
    "Spearman's correlation of sparsity and mean drop above 0, and the drop at 0.9 above that at "
    "0.1 (paired 95 %); by workload and method",
    "test_pruning",
)
def more_goes_more_is_lost(evidence: Evidence) -> Judgement:
    """P1."""

    def check(workload: str, method: str) -> Check:
        drops = [drop(evidence, workload, f"{method}@{level}") for level in LEVELS]
        # Where all drops are the same there is no correlation, and NaN is not above 0.
        means = [part.mean for part in drops]
        rises = len(set(means)) > 1 and spearmanr(range(len(means)), means).statistic > 0
        ends = above(f"{workload} {method}", drops[-1] - drops[0], 0.0)
        return Check(ends.what, bool(rises) and ends.holds, ends.found)

    return judged(gather(lambda of: check(*of), product(PRUNED, ("global", "layer"))))


@claim(
    "P2",
    "3.2.2",
    "fine-tuning brings Cora's nodes back, and lifts them at 0.2 and 0.7 (fine-grained)",
    "mean gain of fine-tuning not below 0 at each sparsity, and gain over the dense model above 0 "
    "at 0.2 and 0.7 (95 %)",
    "test_pruning",
)
def tuning_helps_cora_nodes(evidence: Evidence) -> Judgement:
    """P2."""

    def gains(level: str) -> Check:
        gain = tuning_gain(evidence, SPLINE, f"layer@{level}")
        gain.require_seeds()
        return Check(f"tuned at {level}", gain.mean >= 0, str(gain))

    def lifts(level: str) -> Check:
        lift = drop(evidence, SPLINE, f"layer@{level}{TUNED}").each(lambda value: -value)
        return above(f"over dense at {level}", lift, 0.0)

    return judged(gather(gains, LEVELS) + gather(lifts, ("0.2", "0.7")))


@claim(
    "P3",
    "3.2.2",
    "global pruning costs Cora's links and Proteins little until the highest sparsity",
    "drop at most 0.02 up to 0.7 (upper end), and that at 0.9 above that at 0.7 (paired 95 %)",
    "test_pruning",
)
def little_until_the_end(evidence: Evidence) -> Judgement:
    """P3."""
    recipes = [f"global@{level}" for level in LEVELS[:7]]
    checks = [check for w in (NESS, HGPSL) for check in safe(evidence, w, recipes)]

    def falls(workload: str) -> Check:
        more = drop(evidence, workload, "global@0.9") - drop(evidence, workload, "global@0.7")
        return above(f"{workload} falls at 0.9", more, 0.0)

    return judged(checks + gather(falls, (NESS, HGPSL)))


def _tuning_is_idle(evidence: Evidence, workload: str, method: str, margin: float) -> list[Check]:
    return gather(
        lambda level: within(
            f"{workload} {level}",
            tuning_gain(evidence, workload, f"{method}@{level}"),
            -margin,
            margin,
        ),
        LEVELS,
    )


@claim(
    "P4",
    "3.2.2",
    "under global pruning fine-tuning does nothing for links",
    "gain of fine-tuning within 0.005 of 0 at every sparsity (equivalence, paired 95 %)",
    "test_pruning",
)
def tuning_is_idle_on_links(evidence: Evidence) -> Judgement:
    """P4."""
    return judged(_tuning_is_idle(evidence, NESS, "global", 0.005))


@claim(
    "P5",
    "3.2.2",
    "under global pruning fine-tuning does nothing for Proteins, and pruning is safe below 0.7",
    "gain of fine-tuning within 0.02 of 0 at every sparsity; drop at most 0.02 up to 0.6 "
    "(upper end)",
    "test_pruning",
)
def tuning_is_idle_on_proteins(evidence: Evidence) -> Judgement:
    """P5."""
    recipes = [f"global@{level}" for level in LEVELS[:6]]
    idle = _tuning_is_idle(evidence, HGPSL, "global", 0.02)
    return judged(idle + safe(evidence, HGPSL, recipes))


@claim(
    "P6",
    "3.2.2",
    "Cora's nodes stand any global pruning, fine-tuned or not",
    "drop at most 0.02 at all 9 sparsities (upper end), with and without fine-tuning",
    "test_pruning",
)
def cora_nodes_are_stable(evidence: Evidence) -> Judgement:
    """P6."""
    recipes = [f"global@{level}{tail}" for level, tail in product(LEVELS, ("", TUNED))]
    return judged(safe(evidence, SPLINE, recipes))


@claim(
    "P7",
    "3.2.2",
    "on BBBP fine-tuning brings global pruning back, and lifts it at high sparsity",
    "tuned drop at most 0.01 at all sparsities (upper end); gain over dense above 0 at 0.8 and 0.9",
    "test_pruning",
)
def tuning_helps_bbbp(evidence: Evidence) -> Judgement:
    """P7."""

    def lifts(level: str) -> Check:
        lift = drop(evidence, GNNNET, f"global@{level}{TUNED}").each(lambda value: -value)
        return above(f"over dense at {level}", lift, 0.0)

    recipes = [f"global@{level}{TUNED}" for level in LEVELS]
    return judged(safe(evidence, GNNNET, recipes, 0.01) + gather(lifts, ("0.8", "0.9")))


def gap(evidence: Evidence, workload: str) -> Series:
    """How much more fine-grained pruning costs than global, mean over 0.5 to 0.9."""
    return mean_of(
        [
            drop(evidence, workload, f"layer@{level}") - drop(evidence, workload, f"global@{level}")
            for level in LEVELS[4:]
        ]
    )


def layers_cost_more(evidence: Evidence, workloads: Iterable[str]) -> list[Check]:
    """Whether the gap is above 0 on each."""
    return gather(lambda workload: above(workload, gap(evidence, workload), 0.0), workloads)


@claim(
    "P8",
    "3.2.2",
    "fine-grained pruning costs more than global on BBBP, Cora's nodes and Proteins",
    "difference of the drops, mean over 0.5 to 0.9, above 0 on each (paired 95 %)",
    "test_pruning",
)
def fine_grained_costs_more(evidence: Evidence) -> Judgement:
    """P8."""
    return judged(layers_cost_more(evidence, (GNNNET, SPLINE, HGPSL)))


@claim(
    "P9",
    "3.2.2",
    "on Cora's links both cost the same when pruning is extreme",
    "difference of the drops within 0.01 at 0.8 and 0.9 (equivalence, paired 95 %)",
    "test_pruning",
)
def same_on_links(evidence: Evidence) -> Judgement:
    """P9."""

    def check(level: str) -> Check:
        difference = drop(evidence, NESS, f"layer@{level}") - drop(
            evidence, NESS, f"global@{level}"
        )
        return within(level, difference, -0.01, 0.01)

    return judged(gather(check, ("0.8", "0.9")))


@claim(
    "P10",
    "3.2.2",
    "fine-grained pruning with fine-tuning works for BBBP and Cora's nodes, not for its links",
    "drop at most 0.02 up to 0.8 (upper end) for the two; for links no gain of fine-tuning above 0 "
    "at any of 0.5 to 0.9 (its mean, paired 95 %)",
    "test_pruning",
)
def fine_grained_with_tuning(evidence: Evidence) -> Judgement:
    """P10."""
    recipes = [f"layer@{level}{TUNED}" for level in LEVELS[:8]]
    checks = [check for w in (GNNNET, SPLINE) for check in safe(evidence, w, recipes)]
    gain = mean_of([tuning_gain(evidence, NESS, f"layer@{level}") for level in LEVELS[4:]])
    helps = above("links gain nothing", gain, 0.0)
    return judged([*checks, Check(helps.what, not helps.holds, helps.found)])


@claim(
    "P11",
    "3.2.2",
    "global pruning is the more robust on every task",
    "as P8 on all four, and the worst mean drops add up to less than those of fine-grained pruning",
    "test_pruning",
)
def global_is_more_robust(evidence: Evidence) -> Judgement:
    """P11."""
    worst = [
        sum(max(drop(evidence, w, f"{method}@{level}").mean for level in LEVELS) for w in PRUNED)
        for method in ("global", "layer")
    ]
    total = Check("worst drops", worst[0] < worst[1], f"{worst[0]:.3g} against {worst[1]:.3g}")
    return judged([*layers_cost_more(evidence, PRUNED), total])
