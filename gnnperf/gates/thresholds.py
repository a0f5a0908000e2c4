"""Rules that hold without a baseline: how much a recipe may cost."""

from __future__ import annotations

from gnnperf.errors import GnnperfError
from gnnperf.records import Record


class GateError(GnnperfError):
    """A record that breaks a rule: what, from, to, by how much, the limit."""


def require_drop_at_most(record: Record, limit: float | str) -> None:
    """Hold to a limit how much worse the headline score is than its dense twin's.

    Of an error a drop is a rise. A limit is in the score's own unit, 0.03, or relative to the
    twin's score, "3%". Raises GateError.
    """
    metric = record.metric
    drop, twin = record.value(f"{metric}_drop"), record.value(f"twin_{metric}")
    moved = "fell" if record.higher_is_better else "rose"
    if drop > _allowed(limit, twin):
        shown = limit if isinstance(limit, str) else f"{limit:g}"
        raise GateError(
            f"{record.case}: {metric} {moved} from {twin:.3f} (dense twin) to "
            f"{record.value(metric):.3f}, by {drop:.3f}; the rule for {record.recipe} allows "
            f"{shown}"
        )


def _allowed(limit: float | str, twin: float) -> float:
    """The limit in the score's own unit."""
    if not isinstance(limit, str):
        return limit
    text = limit.strip()
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100 * abs(twin)
        return float(text)
    except ValueError:
        raise GateError(
            f"a drop of at most {limit!r} is no limit; write 0.03, or a share of the twin's "
            'score, "3%"'
        ) from None


def require_size_ratio_at_least(record: Record, limit: float) -> None:
    """Hold bytes of the dense file over bytes of the stored one to a limit; raises GateError."""
    ratio = record.value("size_ratio")
    if ratio < limit:
        raise GateError(
            f"{record.case}: the stored file has {record.value('stored_bytes'):.0f} bytes, "
            f"{ratio:.2f} times smaller than the dense {record.value('dense_bytes'):.0f}; "
            f"the rule for {record.recipe} asks for {limit:g} times"
        )
