"""Runs of pytest inside these tests measure briefly, and import nothing anew."""

import pytest

# What a run inside a test is the first to import is dropped with it, and imported by the next.
import gnnperf.plugin.rounds
import gnnperf.study.ahead
import gnnperf.study.measure
from gnnperf.meters.latency import Pair


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch):
    """As many as show that they are taken; what readings are worth is tested elsewhere."""
    for name, count in {"rounds": 12, "warmup_rounds": 2}.items():
        monkeypatch.setitem(Pair.__init__.__kwdefaults__, name, count)
    monkeypatch.setattr(gnnperf.plugin.rounds, "_JUDGED_SECONDS", (0.0, 2.5))
