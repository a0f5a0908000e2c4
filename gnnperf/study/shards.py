"""Shards: a run's tests dealt out to several machines, so that each is run by one of them."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_SHARDS = 10_000

Group = tuple[str, ...]
"""What stays together: a workload and a seed, whose dense twin is then trained and loaded once."""


@dataclass(frozen=True)
class Shard:
    """The share `number` of `of`, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def judges(self, test: str) -> bool:
        """Whether it is this shard that notices a test which no shard has."""
        return zlib.crc32(test.encode()) % self.of == self.number - 1


@dataclass(frozen=True)
class Share:
    """What a shard has of the whole.

    Attributes:
        number, of: the shard.
        positions: of its tests among all, by id.
        sizes: how many tests with a case each shard has.
        whole: stands for all tests, whatever their order.
    """

    number: int
    of: int
    positions: dict[str, int]
    sizes: tuple[int, ...]
    whole: str


def parse_shard(text: str) -> Shard:
    """`2/8`; raises ValueError for what is none."""
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text, re.ASCII)
    if found is None:
        raise ValueError(text)
    shard = Shard(int(found[1]), int(found[2]))
    if not 1 <= shard.number <= shard.of <= MOST_SHARDS:
        raise ValueError(text)
    return shard


def dealt(groups: Iterable[Group], shards: int) -> dict[Group, int]:
    """Which shard has which group, from 1: the largest first, each to the one with the fewest.

    Args:
        groups: a test's group for each test, in any order.
        shards: how many there are.
    """
    sizes = Counter(groups)
    loads = [0] * shards
    share = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], group)):
        number = min(range(shards), key=loads.__getitem__)
        loads[number] += sizes[group]
        share[group] = number + 1
    return share


def digest_of(tests: Sequence[str]) -> str:
    """Stands for the tests of a whole run, whatever their order."""
    return hashlib.sha256("\n".join(sorted(tests)).encode()).hexdigest()[:16]
