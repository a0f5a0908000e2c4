"""Claims about time, memory, energy and CPU of pruned models: 3.2.3, 3.2.4, Tables 6, 13 to 16."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import product

from scipy.stats import spearmanr

from gnnperf.reports.study.claims.pruning import GNNNET, SPLINE, TUNED
from gnnperf.reports.study.evidence import PAPER, Evidence
from gnnperf.reports.study.ledger import (
    Check,
    Judgement,
    Rule,
    above,
    claim,
    gather,
    judged,
    within,
)
from gnnperf.reports.study.places import LEVELS, PRUNED
from gnnperf.reports.study.series import CannotBeJudgedError, Series, mean_of, rounded

TIME_WITHIN = 0.05
MEMORY_WITHIN = 0.02
RISES = 1.05
"""A quantity rises where it becomes this many times its base."""
TREND = 0.5
"""A rank correlation with sparsity nearer to 0 is no trend."""
LINE_EXPLAINS = 0.8
"""A quantity is linear where a line explains so much of its variance."""
QUANTITIES = ("energy_joules", "inference_cpu_seconds", "peak_heap_bytes")


def over_levels(
    evidence: Evidence, workload: str, method: str, reading: str, tail: str = ""
) -> dict[str, Series]:
    """A reading at every sparsity above 0, by sparsity."""
    return {
        level: evidence.series(workload, f"{method}@{level}{tail}", reading) for level in LEVELS
    }


@claim(
    "R1",
    "3.2.3",
    "neither pruning nor fine-tuning changes inference time for sure",
    "CPU time over the twin's within 5 % of 1, every masked case (equivalence); half of them ran",
    "test_pruning",
)
def same_time(evidence: Evidence) -> Judgement:
    """R1."""

    def check(workload: str, method: str, level: str, tail: str) -> Check:
        recipe = f"{method}@{level}{tail}"
        ratio = evidence.series(workload, recipe, "cpu_ratio")
        return within(f"{workload} {recipe}", ratio, 1 - TIME_WITHIN, 1 + TIME_WITHIN)

    cases = product(PRUNED, ("global", "layer"), LEVELS, ("", TUNED))
    return judged(gather(lambda of: check(*of), cases, least=0.5), part=0.9)


@claim(
    "R2",
    "3.2.3, Table 9",
    "but SplineConv takes another time at 0.9 (4.50 s in place of 2.00)",
    "CPU time over the twin's differs from 1 by more than 5 % at global@0.9 (95 %)",
    "test_pruning",
)
def other_time_at_the_end(evidence: Evidence) -> Judgement:
    """R2."""
    ratio = evidence.series(SPLINE, "global@0.9", "cpu_ratio")
    holds = ratio.low > 1 + TIME_WITHIN or ratio.high < 1 - TIME_WITHIN
    return judged([Check("time / twin", holds, str(ratio))])


@claim(
    "R3",
    "3.2.4, Figure 4",
    "memory does not fall with sparsity",
    "peak heap over the twin's within 2 % of 1 at every sparsity, globally pruned",
    "test_resources",
)
def memory_stays(evidence: Evidence) -> Judgement:
    """R3."""

    def check(workload: str, level: str) -> Check:
        ratio = evidence.series(workload, f"global@{level}", "peak_heap_ratio")
        return within(f"{workload} {level}", ratio, 1 - MEMORY_WITHIN, 1 + MEMORY_WITHIN)

    return judged(gather(lambda of: check(*of), product(PRUNED, LEVELS)))


@claim(
    "R4",
    "3.2.4, Figure 4",
    "on BBBP memory rises at 0.8",
    "peak heap at 0.8 over that at 0.6 above 1.05 (paired 95 %), globally pruned",
    "test_resources",
)
def memory_rises_on_bbbp(evidence: Evidence) -> Judgement:
    """R4."""
    heap = over_levels(evidence, GNNNET, "global", "peak_heap_bytes")
    return judged([above("0.8 / 0.6", heap["0.8"] / heap["0.6"], RISES)])


@claim(
    "R5",
    "3.2.4",
    "fine-tuning lowers memory, by less than 5 %",
    "peak heap with over without fine-tuning wholly within 0.95 to 1, and its mean below 1, at "
    "every sparsity, globally pruned",
    "test_resources",
)
def tuning_lowers_memory(evidence: Evidence) -> Judgement:
    """R5."""

    def check(workload: str, level: str) -> Check:
        recipe = f"global@{level}"
        ratio = evidence.series(workload, recipe + TUNED, "peak_heap_ratio") / evidence.series(
            workload, recipe, "peak_heap_ratio"
        )
        inside = within(f"{workload} {level}", ratio, 0.95, 1.0)
        return Check(inside.what, inside.holds and ratio.mean < 1, inside.found)

    return judged(gather(lambda of: check(*of), product(PRUNED, LEVELS)))


@claim(
    "R6",
    "3.2.4, Figure 5",
    "fine-grained pruning takes more energy than global, most of all at 0.1 to 0.3",
    "its energy over that of global pruning above 1, mean over 0.1 to 0.3 (paired 95 %), on each",
    "test_resources",
)
def fine_grained_takes_energy(evidence: Evidence) -> Judgement:
    """R6."""

    def check(workload: str) -> Check:
        ratios = [
            evidence.series(workload, f"layer@{level}", "energy_joules")
            / evidence.series(workload, f"global@{level}", "energy_joules")
            for level in LEVELS[:3]
        ]
        return above(workload, mean_of(ratios), 1.0)

    return judged(gather(check, PRUNED))


@claim(
    "R7",
    "3.2.4, Figure 5",
    "global pruning's energy scatters less than fine-grained pruning's at 0.4 to 0.8",
    "spread of the mean energies over those sparsities, over their mean, smaller; on each. Over "
    "sparsities and not over seeds, as the paper's figure shows those",
    "test_resources",
)
def energy_of_global_is_steady(evidence: Evidence) -> Judgement:
    """R7."""

    def spread(workload: str, method: str) -> float:
        parts = [
            evidence.series(workload, f"{method}@{level}", "energy_joules") for level in LEVELS[3:8]
        ]
        for part in parts:
            part.require_seeds()
        means = [part.mean for part in parts]
        return statistics.stdev(means) / statistics.fmean(means)

    def check(workload: str) -> Check:
        one, other = spread(workload, "global"), spread(workload, "layer")
        return Check(workload, one < other, f"{one:.1%} against {other:.1%}")

    return judged(gather(check, PRUNED))


@claim(
    "R8",
    "3.2.4, Figure 5",
    "energy is no line over sparsity",
    "a line explains less than 80 % of the variance of the mean energies; moot, and so not "
    "reproduced, where all are within 5 % of the twin's",
    "test_resources",
)
def energy_is_no_line(evidence: Evidence) -> Judgement:
    """R8."""

    def check(workload: str, method: str) -> Check:
        energy = over_levels(evidence, workload, method, "energy_joules")
        ratios = over_levels(evidence, workload, method, "energy_ratio").values()
        if all(r.low >= 1 - TIME_WITHIN and r.high <= 1 + TIME_WITHIN for r in ratios):
            return Check(f"{workload} {method}", False, "the same at every sparsity")
        means = [part.mean for part in energy.values()]
        slope, start = statistics.linear_regression([*map(float, energy)], means)
        total = statistics.pvariance(means)
        left = statistics.fmean(
            (mean - start - slope * float(level)) ** 2
            for level, mean in zip(energy, means, strict=True)
        )
        explained = 1 - left / total if total else 1.0
        return Check(f"{workload} {method}", explained < LINE_EXPLAINS, f"{explained:.0%}")

    return judged(gather(lambda of: check(*of), product(PRUNED, ("global", "layer"))))


@claim(
    "R9",
    "3.2.4, Figure 6",
    "globally pruned, CPU use peaks at 0.7 on all four datasets",
    "mean CPU time is the most at 0.7, and over the mean of the other sparsities above 1.05 "
    "(paired 95 %), on all four",
    "test_resources",
)
def cpu_peaks(evidence: Evidence) -> Judgement:
    """R9."""

    def check(workload: str) -> Check:
        cpu = over_levels(evidence, workload, "global", "inference_cpu_seconds")
        highest = max(cpu, key=lambda level: cpu[level].mean)
        others = mean_of([part for level, part in cpu.items() if level != "0.7"])
        peak = above(workload, cpu["0.7"] / others, RISES)
        holds = highest == "0.7" and peak.holds
        return Check(workload, holds, f"highest at {highest}; 0.7 / others {peak.found}")

    return judged(gather(check, PRUNED))


@claim(
    "R10",
    "3.2.4, Figure 6",
    "pruned and fine-tuned models use the CPU alike",
    "CPU time with over without fine-tuning within 5 % of 1 at every sparsity, globally pruned",
    "test_resources",
)
def cpu_is_the_same(evidence: Evidence) -> Judgement:
    """R10."""

    def check(workload: str, level: str) -> Check:
        ratio = evidence.series(
            workload, f"global@{level}{TUNED}", "inference_cpu_seconds"
        ) / evidence.series(workload, f"global@{level}", "inference_cpu_seconds")
        return within(f"{workload} {level}", ratio, 1 - TIME_WITHIN, 1 + TIME_WITHIN)

    return judged(gather(lambda of: check(*of), product(PRUNED, LEVELS)))


@claim(
    "R11",
    "3.2.4, Figure 6",
    "fine-grained pruning's CPU use spikes at 0.2, 0.4 or 0.5",
    "mean CPU time at one of them is 1.5 times the median over sparsities or more, on each",
    "test_resources",
)
def cpu_spikes(evidence: Evidence) -> Judgement:
    """R11."""

    def check(workload: str) -> Check:
        cpu = over_levels(evidence, workload, "layer", "inference_cpu_seconds")
        for part in cpu.values():
            part.require_seeds()
        middle = statistics.median(part.mean for part in cpu.values())
        most = rounded(max(cpu[level].mean for level in ("0.2", "0.4", "0.5")) / middle)
        return Check(workload, most >= 1.5, f"{most:.3g} times the median")

    return judged(gather(check, PRUNED))


def _means(parts: Sequence[Series]) -> list[float]:
    for part in parts:
        part.require_seeds()
    return [part.mean for part in parts]


@claim(
    "R12",
    "Table 6",
    "the 72 highest, lowest and dense energies, CPU shares and memories",
    "the direction alone, as meters differ: highest over dense above 1.05 in both or in neither, "
    "24 quotients",
    "test_resources",
    is_table=True,
)
def extremes(evidence: Evidence) -> Judgement:
    """R12."""

    def rise(of: Evidence, workload: str, method: str, reading: str) -> float:
        means = _means([*over_levels(of, workload, method, reading).values()])
        base = of.series(workload, f"{method}@0", reading)
        if not base.mean:
            raise CannotBeJudgedError(f"{reading} of dense {workload} is zero")
        return rounded(max(means) / base.mean)

    def check(workload: str, method: str, reading: str) -> Check:
        ours, paper = (rise(of, workload, method, reading) for of in (evidence, PAPER))
        same = (ours > RISES) == (paper > RISES)
        return Check(f"{workload} {method} {reading}", same, f"{ours:.3g}, paper {paper:.3g}")

    cells = product(PRUNED, ("global", "layer"), QUANTITIES)
    return judged(gather(lambda of: check(*of), cells, least=0.5))


def _trends(method: str, tail: str) -> Rule:
    def trend(of: Evidence, workload: str, reading: str) -> float:
        means = _means([*over_levels(of, workload, method, reading, tail).values()])
        if len(set(means)) == 1:
            return 0.0
        return float(spearmanr(range(len(means)), means).statistic)

    def direction(correlation: float) -> int:
        return 0 if abs(correlation) < TREND else (1 if correlation > 0 else -1)

    def check(evidence: Evidence, workload: str, reading: str) -> Check:
        ours, paper = (trend(of, workload, reading) for of in (evidence, PAPER))
        same = direction(ours) == direction(paper)
        return Check(f"{workload} {reading}", same, f"{ours:+.2f}, paper {paper:+.2f}")

    def rule(evidence: Evidence) -> Judgement:
        cells = product(PRUNED, QUANTITIES)
        return judged(gather(lambda of: check(evidence, *of), cells, least=0.5))

    return rule


for _table, _method, _tail, _words in (
    (13, "global", "", "global pruning"),
    (14, "global", TUNED, "global pruning with fine-tuning"),
    (15, "layer", "", "fine-grained pruning"),
    (16, "layer", TUNED, "fine-grained pruning with fine-tuning"),
):
    claim(
        f"R{_table}T",
        f"5, Table {_table}",
        f"120 energies, CPU shares and memories of {_words}",
        "the trend alone, as meters differ: Spearman's correlation with sparsity above 0.5, below "
        "-0.5 or between, as the paper's; 12 trends, half of which ran",
        "test_resources",
        is_table=True,
    )(_trends(_method, _tail))
