"""Train many bases, several at a time, into the cache."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate
from tqdm import tqdm

from gnnperf.study.workbench import Workbench, WorkbenchOptions
from gnnperf.system.parallel import side_by_side, workers_end


@dataclass(frozen=True)
class BaseReport:
    """One trained base.

    Attributes:
        workload: as it was asked for.
        id: with the data's source.
        deviation_note: what its task says of deviations over seeds.
    """

    workload: str
    id: str
    seed: int
    parameters: int
    metric: str
    scores: dict[str, float]
    wall_seconds: float
    deviation_note: str = ""


def train_bases(
    options: WorkbenchOptions, workloads: Sequence[str], seeds: Sequence[int], jobs: int
) -> list[BaseReport]:
    """Every workload with every seed, `jobs` processes side by side, with a progress bar.

    Bases in the cache are not trained again, so that an interrupted call goes on where it was.
    Raises GnnperfError as `Workbench.trained` does, WorkersDiedError when a process died.
    """
    wanted = [(name, seed) for name in workloads for seed in seeds]
    tasks = [(options, *base) for base in wanted]
    reports = []
    with workers_end(jobs), tqdm(total=len(wanted), unit="base", disable=None) as bar:
        for report in side_by_side(train_base, tasks, jobs):
            reports.append(report)
            bar.update()
            bar.set_postfix_str(f"{report.id} seed {report.seed}")
    order = {pair: index for index, pair in enumerate(wanted)}
    return sorted(reports, key=lambda r: order[r.workload, r.seed])


def train_base(options: WorkbenchOptions, workload: str, seed: int) -> BaseReport:
    """Train one base, or take it from the cache, and score it on the test part."""
    # Bars of several processes would write over each other; the caller shows one of its own.
    trained = Workbench(options, show_progress=False).trained(workload, seed)
    return BaseReport(
        workload=workload,
        id=trained.workload,
        seed=seed,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        metric=trained.task.metric,
        scores=trained.test_scores(),
        wall_seconds=trained.report.wall_seconds,
        deviation_note=getattr(trained.task, "deviation_note", ""),
    )


def report_table(reports: Sequence[BaseReport]) -> str:
    """A row a workload: parameters, headline score over the seeds, majority, training time."""
    rows = []
    # A star for the first note, two for the second.
    notes = [*dict.fromkeys(report.deviation_note for report in reports if report.deviation_note)]
    marks = {"": "", **{note: " " + "*" * number for number, note in enumerate(notes, start=1)}}
    for name in dict.fromkeys(report.id for report in reports):
        mine = [report for report in reports if report.id == name]
        metric = mine[0].metric
        scores = [report.scores[metric] for report in mine]
        majority = [r.scores["majority"] for r in mine if "majority" in r.scores]
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        rows.append(
            (
                name,
                mine[0].parameters,
                metric,
                f"{statistics.fmean(scores):.3f} +- {spread:.3f}{marks[mine[0].deviation_note]}",
                f"{statistics.fmean(majority):.3f}" if majority else "-",
                f"{statistics.fmean(r.wall_seconds for r in mine):.1f}",
                len(mine),
            )
        )
    headers = ("workload", "parameters", "score", "mean +- std", "majority", "seconds", "seeds")
    table = tabulate(rows, headers=headers, disable_numparse=True)
    return "\n".join([table, *(f"{marks[note].strip()} {note}" for note in notes)])
