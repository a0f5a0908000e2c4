"""Which of several cases are worth a look: those that no other is as good as in everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnnperf.records import Record

Point = Sequence[float]
"""What a case costs, the less the better in each."""


def dominates(one: Point, other: Point) -> bool:
    """Whether one is nowhere worse, and somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def front(points: Mapping[str, Point]) -> list[str]:
    """Names of those that no other dominates, in their order."""
    return [
        name
        for name, point in points.items()
        if not any(dominates(other, point) for other in points.values())
    ]


def trade_off(record: Record, *, time: bool = True) -> Point:
    """Stored bytes, drop of the headline, and CPU time over the twin's, unless left out.

    Raises RecordError where one of them is unavailable.
    """
    names = ("stored_bytes", f"{record.metric}_drop", *(("cpu_ratio",) if time else ()))
    return [record.value(name) for name in names]
