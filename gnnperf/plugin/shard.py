"""A share of the cases on each of several machines: `--gnnperf-shard 2/8`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from gnnperf.plugin.shared import case_of, shown
from gnnperf.study.shards import MOST_SHARDS, Group, Shard, Share, dealt, digest_of, parse_shard

_SHARE = pytest.StashKey["OwnShare"]()


@dataclass(frozen=True)
class OwnShare:
    """What became of the tests that were chosen.

    Attributes:
        share: this run's.
        others: ids of the tests that other shards run.
    """

    share: Share
    others: frozenset[str]

    @property
    def shard(self) -> Shard:
        """Which one it is."""
        return Shard(self.share.number, self.share.of)

    def described(self) -> dict[str, Any]:
        """As plain data, for `gnnperf gather`."""
        return asdict(self.share)


def share_of(config: pytest.Config) -> OwnShare | None:
    """The run's, once its tests are collected; None where it runs all of them."""
    return config.stash.get(_SHARE, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which share to run."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-shard",
        metavar="I/N",
        help="run the I-th of N shares of the tests, dealt by workload and seed; `gnnperf gather` "
        "puts what N runs left together",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what is no share."""
    text = config.getoption("gnnperf_shard")
    try:
        if text is not None:
            parse_shard(text)
    except ValueError:
        raise pytest.UsageError(
            f"--gnnperf-shard {shown(text)}: name a share and how many there are, 1/8 to 8/8 "
            f"({MOST_SHARDS} at most)"
        ) from None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave this shard's tests, of those that all other options left."""
    text = config.getoption("gnnperf_shard")
    # A fresh process collects no more than what it measures again.
    if text is None or config.getoption("gnnperf_again", default=None):
        return
    shard = parse_shard(text)
    groups = {item: _group(item) for item in items}
    share = dealt(groups.values(), shard.of)
    number = {item: share[group] for item, group in groups.items()}
    cases = Counter(number[item] for item in items if case_of(item) is not None)
    own = {i.nodeid: at for at, i in enumerate(items) if number[i] == shard.number}
    others = [item for item in items if number[item] != shard.number]
    config.stash[_SHARE] = OwnShare(
        Share(
            shard.number,
            shard.of,
            positions=own,
            sizes=tuple(cases[n] for n in range(1, shard.of + 1)),
            whole=digest_of([item.nodeid for item in items]),
        ),
        frozenset(item.nodeid for item in others),
    )
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if number[item] == shard.number]


def _group(item: pytest.Item) -> Group:
    case = case_of(item)
    if case is None:
        return ("", item.nodeid.partition("::")[0])
    seeds: tuple[int, ...] = getattr(case, "seeds", None) or (getattr(case, "seed", 0),)
    return (case.workload, str(seeds[0]))


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """How much of the whole it is."""
    share = share_of(config)
    if share is None:
        return []
    own = len(share.share.positions)
    whole = own + len(share.others)
    return [f"gnnperf: shard {share.shard}, {own} of {whole} tests"]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Say in pytest-benchmark's JSON which share it is."""
    share = share_of(config)
    if share is not None:
        output_json["gnnperf_shard"] = share.described()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A share without tests, of a whole that has some, has passed."""
    share = share_of(session.config)
    empty = share is not None and not share.share.positions and share.others
    if empty and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
