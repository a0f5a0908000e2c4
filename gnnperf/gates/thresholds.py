"""Rules that hold without a baseline: how much a recipe may cost."""

from __future__ import annotations

from gnnperf.errors import GnnperfError
from gnnperf.records import Record


class GateError(GnnperfError):
    """A record that breaks a rule: what, from, to, by how much, the limit."""


def require_drop_at_most(record: Record, limit: float) -> None:
    """Hold the headline score's drop against its dense twin to a limit; raises GateError."""
    metric = record.metric
    drop = record.value(f"{metric}_drop")
    moved = "fell" if record.higher_is_better else "rose"
    if drop > limit:
        raise GateError(
            f"{record.case}: {metric} {moved} from {record.value(f'twin_{metric}'):.3f} "
            f"(dense twin) to {record.value(metric):.3f}, by {drop:.3f}; the rule for "
            f"{record.recipe} allows {limit:g}"
        )


def require_size_ratio_at_least(record: Record, limit: float) -> None:
    """Hold bytes of the dense file over bytes of the stored one to a limit; raises GateError."""
    ratio = record.value("size_ratio")
    if ratio < limit:
        raise GateError(
            f"{record.case}: the stored file has {record.value('stored_bytes'):.0f} bytes, "
            f"{ratio:.2f} times smaller than the dense {record.value('dense_bytes'):.0f}; "
            f"the rule for {record.recipe} asks for {limit:g} times"
        )
