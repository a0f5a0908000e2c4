"""Scores of a ranking of positives and negatives, exact with ties."""

from __future__ import annotations

import torch
from torch import Tensor


def area_under_roc(score: Tensor, positive: Tensor) -> float:
    """Probability that a positive outranks a negative, ties counting half.

    Args:
        score: [n].
        positive: bool [n]; at least one of each kind.
    """
    _, group, size = torch.unique(score, return_inverse=True, return_counts=True)
    last = size.cumsum(0)
    rank = (last - (size - 1) / 2.0).double()[group]  # Tied scores share their mean rank.
    positives = int(positive.sum())
    above = float(rank[positive].sum()) - positives * (positives + 1) / 2
    return above / (positives * (len(score) - positives))


def average_precision(score: Tensor, positive: Tensor) -> float:
    """Sum over the distinct scores of the recall gained there times the precision down to there.

    Args:
        score: [n].
        positive: bool [n]; at least one is True.
    """
    _, hits, last = _cuts(score, positive)
    gained = torch.diff(hits, prepend=hits.new_zeros(1))
    return float((gained * hits / last).sum() / hits[-1])


def best_threshold(score: Tensor, positive: Tensor) -> float:
    """The threshold t with the highest accuracy of `score > t`, halfway between two scores.

    Args:
        score: [n], n > 0.
        positive: bool [n].
    """
    level, hits, last = _cuts(score, positive)
    # Calling the first `last` positive: the hits among them and the negatives below are right.
    right = torch.cat([hits.new_zeros(1), 2 * hits - last])
    cut = int(right.argmax())
    level = torch.cat([level[:1] + 1, level, level[-1:] - 1])
    return float((level[cut] + level[cut + 1]) / 2)


def _cuts(score: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct scores descending, with the positives and the number of pairs down to each."""
    level, group = torch.unique(-score.double(), return_inverse=True)
    hits = torch.bincount(group, weights=positive.double(), minlength=len(level)).cumsum(0)
    last = torch.bincount(group, minlength=len(level)).cumsum(0).double()
    return -level, hits, last
