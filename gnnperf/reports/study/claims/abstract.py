"""Claims of the abstract and the conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.stats import kendalltau

from gnnperf.reports.study.agreement import SIZE_WITHIN
from gnnperf.reports.study.evidence import PAPER, Evidence
from gnnperf.reports.study.ledger import Check, Judgement, at_most, claim, gather, judged
from gnnperf.reports.study.places import PRUNED, QUANTIZED, QUANTIZERS
from gnnperf.reports.study.series import CannotBeJudgedError, Series, rounded

KEPT_WITHIN = 0.01
"""A score that falls by no more is kept."""
ACCURATE_WITHIN = 0.02
DRAWS = 300
RATIO = "algorithm1_ratio"
_PRUNINGS = ("global", "layer", "gradual", "width", "lottery")
_QUANTIZATIONS = ("ptq", "qat", "dq", "a2q")


@claim(
    "A1",
    "abstract, 4",
    "half of the weights can go, either way, and fine-tuning keeps or lifts the accuracy",
    "drop at 0.5 with fine-tuning at most 0.01 (upper end, paired 95 %); 4 workloads x 2 methods: "
    "all 8 reproduced, 6 in part",
    "test_pruning",
)
def half_of_the_weights(evidence: Evidence) -> Judgement:
    """A1."""

    def check(workload: str, method: str) -> Check:
        drop = evidence.series(workload, f"{method}@0.5+finetune", "drop")
        return at_most(f"{workload} {method}", drop, KEPT_WITHIN)

    return judged(gather(lambda of: check(*of), product(PRUNED, ("global", "layer"))), part=0.75)


@claim(
    "A2",
    "abstract, 3.2.3",
    "at a sparsity of 0.5 the stored model halves, by factors of 1.95 to 2.31",
    f"Algorithm 1's ratio within {SIZE_WITHIN:.0%} of Table 5, all 8 cells; better where the "
    "decodable file is smaller still in all of them",
    "test_pruning",
)
def half_the_bytes(evidence: Evidence) -> Judgement:
    """A2."""
    cells = [(w, f"{m}@0.5+finetune") for w, m in product(PRUNED, ("global", "layer"))]

    def check(workload: str, recipe: str) -> Check:
        ours = evidence.series(workload, recipe, RATIO)
        ours.require_seeds()
        paper = PAPER.figure(workload, recipe, RATIO).mean
        holds = abs(rounded(ours.mean / paper - 1)) <= SIZE_WITHIN
        return Check(f"{workload} {recipe}", holds, f"{ours.mean:.3g}, paper {paper:.3g}")

    judgement = judged(gather(lambda of: check(*of), cells))
    if judgement.verdict != "reproduced" or evidence is PAPER:
        return judgement
    try:
        files = [evidence.series(w, recipe, "size_ratio") for w, recipe in cells]
    except CannotBeJudgedError:
        return judgement
    found = f"{judgement.found}; decodable files {min(f.mean for f in files):.3g} at least"
    smaller = all(
        file.mean > PAPER.figure(w, recipe, RATIO).mean * (1 + SIZE_WITHIN)
        for file, (w, recipe) in zip(files, cells, strict=True)
    )
    return Judgement("better" if smaller else "reproduced", found)


@claim(
    "A3",
    "abstract, 4",
    "what quantization costs depends on the dataset",
    "the order of the five quantizers differs between the two datasets: Kendall's tau over seeds "
    "drawn again (300 draws), 97.5 % of it below 1; a weak claim, which two orders seldom fail",
    "test_quantization",
)
def order_of_quantizers(evidence: Evidence) -> Judgement:
    """A3."""
    recipes = [recipe for recipe in QUANTIZERS.values() if recipe != "global@0"]
    scores = [[evidence.series(w, recipe, "score") for recipe in recipes] for w in QUANTIZED]
    tau = kendalltau(*[[part.mean for part in side] for side in scores]).statistic
    high = tau if scores[0][0].exact else _highest_tau(scores)
    return judged([Check("tau", rounded(high) < 1, f"{tau:.2f}, at most {high:.2f} (97.5 %)")])


def _highest_tau(scores: Sequence[Sequence[Series]]) -> float:
    sides = []
    for side in scores:
        common = [s for s in side[0].values if all(s in part.values for part in side)]
        Series(dict.fromkeys(common, 0.0)).require_seeds()
        sides.append(np.array([[part.values[seed] for seed in common] for part in side]))
    draw = np.random.default_rng(0)
    taus = []
    for _ in range(DRAWS):
        drawn = [s[:, draw.integers(s.shape[1], size=s.shape[1])].mean(1) for s in sides]
        taus.append(kendalltau(*drawn).statistic)
    # Without an order on one side there is no tau.
    return float(np.nanquantile(taus, 0.975)) if np.isfinite(taus).any() else 1.0


@claim(
    "A4",
    "4",
    "pruning and quantization together give models that are small and accurate",
    "of the recipes whose drop is at most 0.02 (upper end) the one of fewest stored bytes does "
    "both, on some workload. Sharper than a Pareto front, on which noise alone puts a recipe",
    "test_quantization",
)
def both_together(evidence: Evidence) -> Judgement:
    """A4."""
    checks = gather(
        lambda workload: _smallest_does_both(evidence, workload),
        [w for w in (*PRUNED, *QUANTIZED) if _combined(evidence.recipes(w))] or ["none"],
    )
    held = [check for check in checks if check.holds]
    return Judgement("reproduced" if held else "not reproduced", "; ".join(map(str, checks)))


def _combined(recipes: Sequence[str]) -> list[str]:
    return [r for r in recipes if _does(r, _PRUNINGS) and _does(r, _QUANTIZATIONS)]


def _does(recipe: str, methods: Sequence[str]) -> bool:
    return any(step.partition("@")[0] in methods for step in recipe.split("+"))


def _smallest_does_both(evidence: Evidence, workload: str) -> Check:
    recipes = evidence.recipes(workload) if workload != "none" else ()
    if not _combined(recipes):
        raise CannotBeJudgedError("no recipe that prunes and quantizes was run")
    drops, sizes = {}, {}
    for recipe in recipes:
        try:
            drops[recipe] = evidence.series(workload, recipe, "drop").high
            sizes[recipe] = evidence.series(workload, recipe, "stored_bytes").mean
        except CannotBeJudgedError:  # Of too few seeds, or without a size.
            continue
    if not any(recipe in sizes for recipe in _combined(recipes)):
        raise CannotBeJudgedError(
            f"no recipe that prunes and quantizes ran on enough seeds of {workload}"
        )
    sizes = {recipe: size for recipe, size in sizes.items() if drops[recipe] <= ACCURATE_WITHIN}
    if not sizes:
        raise CannotBeJudgedError(f"no recipe of {workload} kept the accuracy")
    smallest = min(sizes, key=lambda recipe: sizes[recipe])
    does_both = smallest in _combined(recipes)
    return Check(workload, does_both, f"smallest is {smallest}, {sizes[smallest]:.0f} bytes")
