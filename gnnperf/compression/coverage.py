"""What a recipe really did, counted on the tensors of the model that is measured.

The one place that does it, for every method: what a method says of itself is a claim, and one
that the tensors do not bear out is an error. Each step of a recipe is held to what it claims
(`borne_out`), and the coverage of the whole is counted at the end (`proven`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gnnperf.codec import QuantizedTensor, Value
from gnnperf.compression.compressed import Changed, Compressed, RecipeError
from gnnperf.compression.masks import masked_names, masks_of
from gnnperf.compression.weights import a_batch, weight_names
from gnnperf.models.ties import ties
from gnnperf.records import Reading, measured, unavailable

COVERED = "covered"
"""Name of the reading: the share of all weights that the recipe took in hand."""


@dataclass(frozen=True)
class Counted:
    """One parameter of the twin, or one that the recipe put there, as the model has it now.

    Attributes:
        total: its entries in the twin; its own where the twin has none like it.
        removed: entries that are zero, or gone with their channels.
        quantized: entries that are stored in fewer bits than the twin's.
        moved: entries that are another number than in the twin, or gone.
        taken: whether it shows that the recipe took it in hand: entries are gone or stored in
            fewer bits, a mask lies on it, or more of it is zero than before.
        lost: whether the twin alone has it.
    """

    total: int
    removed: int
    quantized: int
    moved: int
    taken: bool
    lost: bool = False


def borne_out(compressed: Compressed) -> Compressed:
    """What a method gave back, with its claims held against the tensors of its model.

    The twin is the model that the method was given. Of the claims those stay that say something;
    that a parameter was taken in hand and not changed does where a mask lies on it. Where there is
    none, what the method did is counted. Raises RecipeError for a claim beyond the tensors.
    """
    parameters = _Parameters(compressed)
    counted, claims = parameters.counted(), parameters.claims()
    for name, claim in claims.items():
        _require_borne_out(compressed, name, claim, counted.get(name))
    said = {name: claim for name, claim in claims.items() if claim.changed or counted[name].taken}
    if not claims:
        held = _masks_as_before(compressed)
        seen = [n for n in parameters.weights() if counted[n].taken and n not in held]
        said = {name: _as_claim(counted[name]) for name in seen}
    return replace(compressed, coverage=said)


def _masks_as_before(compressed: Compressed) -> set[str]:
    """What carries a mask that it had before."""
    before = masks_of(compressed.twin.model)
    now = masks_of(compressed.model)
    return {name for name, mask in now.items() if name in before and mask.equal(before[name])}


def proven(compressed: Compressed) -> Compressed:
    """The same with its coverage counted: `coverage`, `uncovered` and the reading `covered`.

    A weight is covered where the tensors show that it was taken in hand, or `borne_out` held that
    against them. Raises RecipeError for a model that shares tensors with its twin, which then is no
    dense one any more.
    """
    _require_apart(compressed)
    parameters = _Parameters(compressed)
    counted, claims, weights = parameters.counted(), parameters.claims(), parameters.weights()
    # What a later step of a recipe renamed, or cut, is counted anew.
    claimed = {
        name: claim
        for name, claim in claims.items()
        if name in counted and claim.total == counted[name].total and not counted[name].lost
    }
    seen = {
        name: _as_claim(counted[name])
        for name in weights
        if counted[name].taken or (name in claims and not counted[name].lost)
    }
    covered = seen | claimed
    sizes = {name: counted[name].total for name in weights}
    share = _share(sum(n for name, n in sizes.items() if name in covered), sum(sizes.values()))
    said = compressed.readings.get(COVERED)
    if said is not None and said.value is None and not any(c.moved for c in counted.values()):
        # A method whose part it is to change nothing, and that did so.
        share = said
    return replace(
        compressed,
        coverage=covered,
        uncovered={
            name: compressed.uncovered.get(name) or _untouched(covered)
            for name in weights
            if name not in covered
        },
        readings={**compressed.readings, COVERED: share},
    )


def _as_claim(count: Counted) -> Changed:
    """What a method would say that knows what was counted."""
    if count.quantized:
        return Changed(count.quantized, count.total, "quantized")
    return Changed(count.removed, count.total)


def _share(taken: int, total: int) -> Reading:
    source = f"{taken} of {total} weights, biases apart, counted on the model's tensors"
    if not total:
        return unavailable("fraction", source, "the model has no weights")
    return measured(taken / total, "fraction", source)


def _require_apart(compressed: Compressed) -> None:
    theirs = {_place(parameter) for parameter in compressed.twin.model.parameters()}
    for name, mine in compressed.model.named_parameters():
        if mine.numel() and _place(mine) in theirs:
            raise RecipeError(
                f"the model that it gives back shares {name} with the dense twin of "
                f"{compressed.twin.workload}; change copy.deepcopy(trained.model) instead"
            )


def _place(parameter: Tensor) -> int:
    """The same for two tensors that share memory."""
    plain = type(parameter) is nn.Parameter and parameter.layout == torch.strided
    return parameter.untyped_storage().data_ptr() if plain else id(parameter)


def _require_borne_out(
    compressed: Compressed, name: str, claim: Changed, found: Counted | None
) -> None:
    workload = compressed.twin.workload
    what = f"it claims that {claim.changed} of {claim.total} entries of {name} are {claim.how}"
    remedy = "give back the model that was changed, and claim what was changed in it"
    if found is None:
        raise RecipeError(f"{what}, and the model of {workload} has no such parameter; {remedy}")
    shown: int = getattr(found, claim.how)
    if claim.changed > shown or claim.total > found.total:
        raise RecipeError(
            f"{what}, and in the model of {workload} that is measured {shown} of {found.total} "
            f"are; {remedy}"
        )


def _untouched(covered: Mapping[str, Changed]) -> str:
    """Why a weight is not covered, where the method gives no reason."""
    kinds = {claim.how for claim in covered.values()}
    if "quantized" in kinds:
        return "is stored as wide as before: the method quantizes no layer that it belongs to"
    if "moved" in kinds:
        return "has the twin's numbers"
    return "stays whole: no mask lies on it, and none of it is gone"


class _Parameters:
    """The parameters of twin and model, by the first name of each.

    Those that both have under one name, in the model perhaps with fewer channels, are one; of the
    rest the twin's were replaced by the model's.
    """

    def __init__(self, compressed: Compressed) -> None:
        self._compressed = compressed
        twin, model = compressed.twin.model, compressed.model
        self._theirs, self._mine = dict(twin.named_parameters()), dict(model.named_parameters())
        self.tied = ties(twin) | ties(model)
        self._kept = {
            name
            for name, mine in self._mine.items()
            if name in self._theirs and _is_part(mine, self._theirs[name])
        }

    def claims(self) -> dict[str, Changed]:
        """What the method says, a tied weight once."""
        return {self.tied.get(n, n): claim for n, claim in self._compressed.coverage.items()}

    def counted(self) -> dict[str, Counted]:
        """All of them; what the twin alone has is gone."""
        compressed, masked = self._compressed, set(masked_names(self._compressed.model))
        stored = compressed.state()
        lost = {n: _lost(twin) for n, twin in self._theirs.items() if n not in self._kept}
        return lost | {
            name: _counted(
                stored[name] if name in stored else mine.detach(),
                self._theirs[name] if name in self._kept else mine.detach(),
                masked=name in masked,
                # A method that claims some parts does not claim the others.
                silent=not compressed.coverage,
            )
            for name, mine in self._mine.items()
        }

    def weights(self) -> list[str]:
        """The weights that are to be shared out; biases and the like are none."""
        twin = self._compressed.twin
        theirs = weight_names(twin.model, a_batch(twin.parts))
        kept = [name for name in theirs if name in self._kept]
        before = [name for name in theirs if name not in self._kept]
        after = [n for n in weight_names(self._compressed.model) if n not in self._kept]
        # What gives way to as many weights was reshaped; what gives way to fewer went.
        went = _size(self._theirs, before) > _size(self._mine, after)
        return [*kept, *(before if went else after)]


def _size(parameters: Mapping[str, Tensor], names: list[str]) -> int:
    return sum(parameters[name].numel() for name in names)


def _is_part(mine: Tensor, theirs: Tensor) -> bool:
    same = mine.dim() == theirs.dim()
    return same and all(m <= t for m, t in zip(mine.shape, theirs.shape, strict=True))


def _lost(twin: Tensor) -> Counted:
    total = twin.numel()
    return Counted(total, removed=total, quantized=0, moved=total, taken=True, lost=True)


@torch.no_grad()
def _counted(value: Value, twin: Tensor, *, masked: bool, silent: bool) -> Counted:
    numbers, bits = _numbers(value)
    gone = twin.numel() - numbers.numel()
    zeros = int((numbers == 0).sum())
    quantized = numbers.numel() if bits < 8 * twin.element_size() else 0
    moved = int((numbers != twin).sum()) if numbers.shape == twin.shape else numbers.numel()
    thinned = silent and not gone and zeros > int((twin == 0).sum())
    return Counted(
        twin.numel(),
        removed=gone + zeros,
        quantized=quantized,
        moved=gone + moved,
        taken=bool(gone or quantized or masked or thinned),
    )


def _numbers(value: Value) -> tuple[Tensor, int]:
    """What is stored, as the numbers that it stands for, and the bits of each.

    A tensor class of somebody's own (torchao's) has as many bits as it likes: fewer, that is.
    """
    if isinstance(value, QuantizedTensor):
        return (value.values.int() - value.zero_point) * value.scale, value.bits
    bits = 8 * value.element_size() if type(value) in (Tensor, nn.Parameter) else 0
    if not bits or value.is_quantized:
        return value.dequantize(), bits
    return (value if value.layout == torch.strided else value.to_dense()), bits
