"""What each of torch's operations does to labels of channels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gnnperf.compression.pruning.channels import indexing
from gnnperf.compression.pruning.channels.calls import Call, Dims, Rule
from gnnperf.compression.pruning.channels.labels import Dim, kept_whole


def mixed(call: Call) -> Dims:
    """An operation of which nothing is known: nothing that goes in may go."""
    call.fix_all()
    return call.whole()


def free(call: Call) -> Dims:
    """A tensor made of sizes alone follows whatever it meets."""
    return [call.labels.fresh(size) for size in call.shape]


def aligned(call: Call) -> Dims:
    """Pointwise: entries that meet go together; a single entry meets all and never goes."""
    result: list[Dim | None] = [None] * len(call.shape)
    for dims in call.all_dims():
        for place, dim in enumerate(dims, len(call.shape) - len(dims)):
            if place < 0 or len(dim) != call.shape[place]:
                call.labels.fix(dim)
            elif result[place] is None:
                result[place] = dim
            else:
                call.labels.unite(result[place], dim)  # type: ignore[arg-type]  # no None here
    return [
        call.labels.fresh(size) if dim is None else dim
        for size, dim in zip(call.shape, result, strict=True)
    ]


def unchanged(call: Call) -> Dims:
    """The first tensor's labels."""
    return call.all_dims()[0]


def reshaped(call: Call) -> Dims:
    """The same elements in order, in another shape."""
    return call.labels.reshaped(call.all_dims()[0], call.shape)


def permuted(call: Call) -> Dims:
    """Dimensions in another order."""
    dims = call.dims("self")
    return [dims[number] for number in call.given["dims"]]


def transposed(call: Call) -> Dims:
    """Two dimensions exchanged; `t` has no arguments."""
    dims = list(call.dims("self"))
    if len(dims) < 2:
        return dims
    first, second = call.axis("dim0"), call.axis("dim1") if "dim1" in call.given else 1
    dims[first], dims[second] = dims[second], dims[first]
    return dims


def _padded(call: Call) -> Dims:
    """Labels of `self` with the dimensions in front that the output has more."""
    dims = call.dims("self")
    return [*[kept_whole(1)] * (len(call.shape) - len(dims)), *dims]


def expanded(call: Call) -> Dims:
    """How often a single entry is repeated is a size alone."""
    result = []
    for dim, size in zip(_padded(call), call.shape, strict=True):
        if len(dim) != size:
            call.labels.fix(dim)
        result.append(dim if len(dim) == size else call.labels.fresh(size))
    return result


def tiled(call: Call) -> Dims:
    """Copies one after the other."""
    result = []
    for dim, size in zip(_padded(call), call.shape, strict=True):
        if len(dim) == 1:
            call.labels.fix(dim)
        copies = size // max(len(dim), 1)
        result.append(call.labels.fresh(size) if len(dim) == 1 else np.tile(dim, (copies, 1)))
    return result


def sliced(call: Call) -> Dims:
    """A range of entries: its ends are numbers, so nothing of what it cuts may go."""
    dims = list(call.dims("self"))
    axis = call.axis()
    if len(dims[axis]) != call.shape[axis]:
        call.labels.fix(dims[axis])
        dims[axis] = kept_whole(call.shape[axis])
    return dims


def selected(call: Call) -> Dims:
    """One entry, by its number, or each for itself."""
    dims = list(call.dims("self"))
    call.labels.fix(dims.pop(call.axis()))
    return dims


def split(call: Call) -> list[Dims]:
    """Pieces of one dimension."""
    dims, axis = list(call.all_dims()[0]), call.axis()
    pieces = call.labels.parted(dims[axis], [out.size(axis) for out in call.outputs])
    return [[*dims[:axis], piece, *dims[axis + 1 :]] for piece in pieces]


def concatenated(call: Call) -> Dims:
    """Tensors one after the other along one dimension."""
    parts = [dims for dims in call.all_dims("tensors") if len(dims) == len(call.shape)]
    axis = call.axis(of=len(call.shape))
    for first, second in pairwise(parts):
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            if number != axis:
                call.labels.unite(one, other)
    result = list(parts[0])
    result[axis] = call.labels.joined([part[axis] for part in parts])
    return result


def stacked(call: Call) -> Dims:
    """Tensors of one shape along a new dimension."""
    parts = call.all_dims("tensors")
    for first, second in pairwise(parts):
        for one, other in zip(first, second, strict=True):
            call.labels.unite(one, other)
    axis = call.axis(of=len(call.shape))
    return [*parts[0][:axis], kept_whole(len(parts)), *parts[0][axis:]]


def _reduced_axes(call: Call) -> list[int]:
    count = len(call.dims("self"))
    named = call.given.get("dim")
    if named is None or named == []:
        return list(range(count))
    return [int(n) % max(count, 1) for n in (named if isinstance(named, list | tuple) else [named])]


def summed(call: Call) -> Dims:
    """Entries that are zero add nothing: a channel may go."""
    axes = _reduced_axes(call)
    result = []
    for number, dim in enumerate(call.dims("self")):
        if number not in axes:
            result.append(dim)
        elif call.given.get("keepdim"):
            result.append(kept_whole(1))
    return result


def reduced(call: Call) -> Dims:
    """How many entries there are matters, or a zero among them: none may go."""
    for axis in _reduced_axes(call):
        if call.dims("self"):
            call.labels.fix(call.dims("self")[axis])
    return summed(call)


def along(call: Call) -> Dims:
    """Every output depends on all entries of one dimension."""
    dims = list(call.dims("self"))
    if dims:
        axis = call.axis()
        call.labels.fix(dims[axis])
        dims[axis] = kept_whole(call.shape[axis])
    return dims


def multiplied(call: Call) -> Dims:
    """Matrix products, perhaps added to something, perhaps in a batch."""
    *added, first, second = call.all_dims()
    inner = max(len(second) - 2, 0)
    call.labels.unite(first[-1], second[inner])
    for one, other in zip(first[:-2], second[:-2], strict=True):
        call.labels.unite(one, other)
    result = [*first[:-1], *second[inner + 1 :]]
    for dims in added:
        for dim, other in zip(reversed(dims), reversed(result), strict=False):
            if len(dim) == len(other):
                call.labels.unite(dim, other)
            else:
                call.labels.fix(dim)
    return result


def linear(call: Call) -> Dims:
    """x @ weight.T + bias."""
    x, weight = call.dims("input"), call.dims("weight")
    call.labels.unite(x[-1], weight[1])
    if call.given.get("bias") is not None:
        call.labels.unite(weight[0], call.dims("bias")[0])
    return [*x[:-1], weight[0]]


def batch_normalised(call: Call) -> list[Dims]:
    """Each channel for itself; channels are the second dimension."""
    dims = call.dims("input")
    for own in call.all_dims("weight", "bias", "running_mean", "running_var"):
        call.labels.unite(own[0], dims[1])
    other = [[kept_whole(size) for size in out.shape] for out in call.outputs[1:]]
    return [dims, *other]


_NAMES: dict[Rule, str] = {
    free: "zeros ones empty full rand randn randint randperm arange eye linspace scalar_tensor "
    "new_zeros new_ones new_empty new_full empty_strided new_empty_strided",
    aligned: "_prelu_kernel copy masked_fill where floor_divide addcmul addcdiv",
    unchanged: "clone detach alias lift_fresh lift_fresh_copy _to_copy contiguous fill zero "
    "zeros_like ones_like empty_like full_like rand_like randn_like bernoulli native_dropout "
    "uniform normal exponential random hardswish log_sigmoid_forward rrelu_with_noise "
    "isfinite isinf isnan",
    reshaped: "view _unsafe_view reshape _reshape_alias squeeze unsqueeze flatten",
    permuted: "permute",
    transposed: "transpose t",
    expanded: "expand",
    tiled: "repeat",
    sliced: "slice",
    selected: "select unbind",
    split: "split split_with_sizes unsafe_split unsafe_split_with_sizes chunk unsafe_chunk",
    concatenated: "cat",
    stacked: "stack",
    summed: "sum nansum linalg_vector_norm norm count_nonzero any",
    reduced: "mean amax amin max min argmax argmin prod var std var_mean std_mean all logsumexp "
    "median",
    along: "_softmax _log_softmax cumsum cumprod sort argsort topk flip roll logcumsumexp cummax "
    "_safe_softmax",
    multiplied: "mm addmm bmm baddbmm mv addmv dot _sparse_mm",
    linear: "linear",
    indexing.embedded: "embedding",
    indexing.bagged: "_embedding_bag _embedding_bag_forward_only",
    batch_normalised: "native_batch_norm _native_batch_norm_legit "
    "_native_batch_norm_legit_no_training _batch_norm_with_update _batch_norm_no_update",
    indexing.chosen: "index_select",
    indexing.gathered: "gather",
    indexing.scattered: "scatter scatter_add scatter_reduce index_add index_copy index_reduce "
    "index_fill",
    indexing.indexed: "index _unsafe_index",
    indexing.index_put: "index_put _index_put_impl _unsafe_index_put",
    indexing.segmented: "segment_reduce",
}
RULES: dict[str, Rule] = {name: rule for rule, names in _NAMES.items() for name in names.split()}
"""By the operation's name, without the underscore of those that work in place."""

IGNORED = {"_local_scalar_dense", "is_nonzero", "equal", "is_same_size"}
"""They give no tensor; what is made of the number is sizes and choices."""
