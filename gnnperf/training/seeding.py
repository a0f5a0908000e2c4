"""Randomness that a seed decides and that leaves the caller's alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generators inside, and give the caller's state back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
