"""Which of several cases are worth a look: those that no other is as good as in everything."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from gnnperf.records import Record

Point = Sequence[float]
"""What a case costs, the less the better in each."""


def dominates(one: Point, other: Point) -> bool:
    """Whether one is nowhere worse, and somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def front(points: Mapping[str, Point]) -> list[str]:
    """Names of those that no other dominates, in their order.

    Of up to three costs the time hardly grows faster than the number of points.
    """
    different = sorted({tuple(point) for point in points.values()})
    if different and len(different[0]) <= 3:
        best = _of_three(different)
    else:
        best = {p for p in different if not any(dominates(other, p) for other in different)}
    return [name for name, point in points.items() if tuple(point) in best]


def _of_three(points: Sequence[tuple[float, ...]]) -> set[tuple[float, ...]]:
    """Those of different points, in order, that none before them dominates.

    Of the points so far only a staircase matters: second costs that rise while third ones fall.
    """
    best: set[tuple[float, ...]] = set()
    seconds: list[float] = []
    thirds: list[float] = []
    for point in points:
        _, second, third = (*point, 0.0, 0.0)[:3]
        place = bisect_right(seconds, second)
        if place and thirds[place - 1] <= third:
            continue
        best.add(point)
        begin = end = bisect_left(seconds, second)
        while end < len(seconds) and thirds[end] >= third:
            end += 1
        seconds[begin:end], thirds[begin:end] = [second], [third]
    return best


def trade_off(record: Record, *, time: bool = True) -> Point:
    """Stored bytes, drop of the headline, and CPU time over the twin's, unless left out.

    Raises RecordError where one of them is unavailable.
    """
    names = ("stored_bytes", f"{record.metric}_drop", *(("cpu_ratio",) if time else ()))
    return [record.value(name) for name in names]
