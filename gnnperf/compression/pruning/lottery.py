"""Lottery tickets: prune, rewind the survivors to how they began, train again, in rounds.

Source: Frankle and Carbin, The Lottery Ticket Hypothesis (2019); rewinding to an early epoch:
Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis (2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gnnperf.compression.compressed import Compressed, RecipeError
from gnnperf.compression.masks import attach_masks, hold_masks
from gnnperf.compression.plain import untrained
from gnnperf.compression.pruning.magnitude import (
    among_survivors,
    coverage_of,
    global_masks,
    parse_sparsity,
    require_removal,
    weights_to_prune,
)
from gnnperf.compression.retraining import training_readings
from gnnperf.training import FitReport, Trained, fit_cached
from gnnperf.training.modules import copied

CONTROLS = ("random-mask", "random-init")
_REDRAWN = 1_000_000  # Far from any seed of a study.


@dataclass(frozen=True)
class Ticket:
    """What `lottery@0.8:rounds=3,rewind=2,random-mask` asks for; its `str` is that text.

    Attributes:
        sparsity: share of weights that are gone in the end.
        rounds: prune and train so many times; each leaves the same share of the survivors.
        rewind: the epoch of the dense training that survivors go back to; 0: initial weights.
        control: empty, or one of CONTROLS: the ticket's numbers of weights in each parameter but
            at random places, or its places with other initial weights.
    """

    sparsity: float
    rounds: int = 1
    rewind: int = 0
    control: str = ""

    def __str__(self) -> str:
        options = [
            *([f"rounds={self.rounds}"] if self.rounds != 1 else []),
            *([f"rewind={self.rewind}"] if self.rewind else []),
            *([self.control] if self.control else []),
        ]
        short = f"{self.sparsity:g}"
        level = short if float(short) == self.sparsity else repr(self.sparsity)
        return level + (f":{','.join(options)}" if options else "")


def parse_ticket(text: str) -> Ticket:
    """Read a Ticket; raises ValueError for an option that is unknown, given twice or too low."""
    level, colon, rest = text.partition(":")
    options: dict[str, str] = {}
    for option in rest.split(",") if colon else []:
        name, equals, value = option.partition("=")
        if name in CONTROLS and not equals:
            name, value = "control", name
        elif name not in ("rounds", "rewind"):
            raise ValueError
        if name in options:
            raise ValueError
        options[name] = value
    ticket = Ticket(
        parse_sparsity(level),
        int(options.get("rounds", 1)),
        int(options.get("rewind", 0)),
        options.get("control", ""),
    )
    if ticket.rounds < 1 or ticket.rewind < 0:
        raise ValueError
    return ticket


def round_sparsity(ticket: Ticket, number: int) -> float:
    """Sparsity after round `number`, from 1; the last one's is the ticket's, exactly."""
    if number == ticket.rounds:
        return ticket.sparsity
    kept: float = (1 - ticket.sparsity) ** (number / ticket.rounds)
    return 1 - kept


def lottery_ticket(trained: Trained, ticket: Ticket) -> Compressed:
    """Find the ticket's masks and train what they leave from where it began.

    The dense base is the first training, and all others have its settings, for as many epochs as
    the rewinding leaves. Raises RecipeError when no weight would go, when the base was not trained
    here, or when it was for no more epochs than are to be rewound to.
    """
    weights = weights_to_prune(trained)
    planned = coverage_of(global_masks(weights, ticket.sparsity))
    require_removal(trained, ticket.sparsity, planned)
    _require_rewindable(trained, ticket)
    start = _start(trained, ticket.rewind, trained.seed)
    masks = _masks(trained, ticket, start)
    if ticket.control == "random-mask":
        masks = shuffled(masks, trained.seed)
    if ticket.control == "random-init":
        start = _start(trained, ticket.rewind, trained.seed + _REDRAWN)
    model, report = _train(trained, ticket, start, masks)
    readings = training_readings(trained, report, model)
    return Compressed(trained, model, coverage_of(masks), report, readings=readings)


def _require_rewindable(trained: Trained, ticket: Ticket) -> None:
    if trained.report.epochs == 0:
        raise RecipeError(
            f"{trained.workload} came ready trained from a file, so that its "
            "initial weights are not known; register it without a checkpoint"
        )
    if ticket.rewind >= trained.train.epochs:
        raise RecipeError(
            f"rewind={ticket.rewind} leaves none of the {trained.train.epochs} "
            f"epochs of {trained.workload} to train; rewind to an earlier one"
        )


def _start(trained: Trained, epoch: int, draw: int) -> nn.Module:
    """The model after `epoch` epochs of dense training from the weights of seed `draw`."""
    model = untrained(trained, draw)
    if epoch:
        settings = replace(trained.train, epochs=epoch)
        fit_cached(trained, model, settings, by=__name__, first_epoch=epoch)
    return model


def _masks(trained: Trained, ticket: Ticket, start: nn.Module) -> dict[str, Tensor]:
    model = trained.model
    masks = {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights_to_prune(trained).items()}
    for number in range(1, ticket.rounds + 1):
        magnitudes = {
            name: among_survivors(model.get_parameter(name).detach(), mask)
            for name, mask in masks.items()
        }
        masks = global_masks(magnitudes, round_sparsity(ticket, number))
        if number < ticket.rounds:
            model, _ = _train(trained, ticket, start, masks)
    return masks


def _train(
    trained: Trained, ticket: Ticket, start: nn.Module, masks: Mapping[str, Tensor]
) -> tuple[nn.Module, FitReport]:
    model = copied(start)
    attach_masks(model, masks)
    settings = replace(trained.train, epochs=trained.train.epochs - ticket.rewind)
    report = fit_cached(trained, model, settings, by=__name__, after_step=hold_masks)
    return model, report


def shuffled(masks: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Masks that leave as much of each parameter, at random places."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: mask.flatten()[
            torch.randperm(mask.numel(), generator=generator).to(mask.device)
        ].view_as(mask)
        for name, mask in masks.items()
    }
