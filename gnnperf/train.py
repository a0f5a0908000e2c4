"""Train many bases, several at a time, into the cache."""

from __future__ import annotations

import signal
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from threading import RLock

from tabulate import tabulate
from tqdm import tqdm

from gnnperf.workbench import Workbench, WorkbenchOptions


@dataclass(frozen=True)
class BaseReport:
    """One trained base."""

    workload: str
    seed: int
    parameters: int
    metric: str
    scores: dict[str, float]
    wall_seconds: float


def train_bases(
    options: WorkbenchOptions, workloads: Sequence[str], seeds: Sequence[int], jobs: int
) -> list[BaseReport]:
    """Every workload with every seed, `jobs` processes side by side, with a progress bar.

    Bases in the cache are not trained again, so that an interrupted call goes on where it was.
    Raises GnnperfError as `Workbench.trained` does.
    """
    wanted = [(name, seed) for name in workloads for seed in seeds]
    bar = tqdm(total=len(wanted), unit="base", disable=None)
    reports = []
    with bar:
        for report in _reports(options, wanted, jobs):
            reports.append(report)
            bar.update()
            bar.set_postfix_str(f"{report.workload} seed {report.seed}")
    order = {pair: index for index, pair in enumerate(wanted)}
    return sorted(reports, key=lambda r: order[r.workload.replace("~synthetic", ""), r.seed])


def _reports(
    options: WorkbenchOptions, wanted: Sequence[tuple[str, int]], jobs: int
) -> Iterator[BaseReport]:
    if jobs == 1:
        for name, seed in wanted:
            yield train_base(options, name, seed)
        return
    # Fork would copy torch's threads in whatever state they are.
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_end_quietly_on_interrupt
    )
    try:
        # The processes inherit it until the initializer runs.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        futures: list[Future[BaseReport]] = [
            pool.submit(train_base, options, name, seed) for name, seed in wanted
        ]
        signal.signal(signal.SIGINT, handler)
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_quietly_on_interrupt() -> None:
    """Ctrl-C reaches every process; only the caller's shall say so."""
    tqdm.set_lock(RLock())  # tqdm's own is shared by processes and would be reported as leaked.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def train_base(options: WorkbenchOptions, workload: str, seed: int) -> BaseReport:
    """Train one base, or take it from the cache, and score it on the test part."""
    # Bars of several processes would write over each other; the caller shows one of its own.
    trained = Workbench(options, show_progress=False).trained(workload, seed)
    return BaseReport(
        workload=trained.workload,
        seed=seed,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        metric=trained.task.metric,
        scores=trained.test_scores(),
        wall_seconds=trained.report.wall_seconds,
    )


def report_table(reports: Sequence[BaseReport]) -> str:
    """A row a workload: parameters, headline score over the seeds, majority, training time."""
    rows = []
    for name in dict.fromkeys(report.workload for report in reports):
        mine = [report for report in reports if report.workload == name]
        metric = mine[0].metric
        scores = [report.scores[metric] for report in mine]
        majority = [r.scores["majority"] for r in mine if "majority" in r.scores]
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        rows.append(
            (
                name,
                mine[0].parameters,
                metric,
                f"{statistics.fmean(scores):.3f} +- {spread:.3f}",
                f"{statistics.fmean(majority):.3f}" if majority else "-",
                f"{statistics.fmean(r.wall_seconds for r in mine):.1f}",
                len(mine),
            )
        )
    headers = ("workload", "parameters", "score", "mean +- std", "majority", "seconds", "seeds")
    return tabulate(rows, headers=headers, disable_numparse=True)


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` or `0..9`; raises ValueError."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dots, last = part.partition("..")
        seeds.extend(range(int(first), int(last) + 1) if dots else [int(first)])
    if not seeds or min(seeds) < 0:
        raise ValueError
    return list(dict.fromkeys(seeds))
