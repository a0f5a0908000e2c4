"""Following channels: what is found, what is left whole, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric import nn as gnn
from torch_geometric.data import Batch, Data

from gnnperf.compression import RecipeError
from gnnperf.compression.pruning.channels.groups import found
from gnnperf.compression.pruning.channels.guard import disagreement
from gnnperf.compression.pruning.channels.labels import Labels, kept_whole
from gnnperf.compression.pruning.channels.trace import traced
from gnnperf.compression.pruning.structured import narrowed


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    graphs = [
        Data(
            x=torch.randn(nodes, 4, generator=generator),
            edge_index=torch.randint(0, nodes, (2, 3 * nodes), generator=generator),
        )
        for nodes in (4, 5, 6)
    ]
    return Batch.from_data_list(graphs)


FOLLOW, CHECKS = {False: batch(0), True: batch(1)}, [batch(2)]


class Net(nn.Module):
    """Named layers, and a function that calls them: (layers, data) -> output."""

    def __init__(self, call, **layers):
        super().__init__()
        self.layers, self.call = nn.ModuleDict(layers), call

    def forward(self, data):
        return self.call(self.layers, data)


def halved(net):
    return narrowed(net.eval(), 0.5, FOLLOW, CHECKS).layers


def free(labels, dim):
    return labels.roots(dim).any(1).tolist()


def test_what_meets_goes_together():
    labels = Labels()
    first, second, third = (labels.fresh(3) for _ in range(3))
    labels.unite(first, second)
    labels.unite(second[1:], third[:2])
    assert labels.roots(first).ravel().tolist() == [1, 2, 3]
    assert labels.roots(third).ravel().tolist() == [2, 3, 9]
    labels.fix(third[:1])
    assert free(labels, first) == [True, False, True]


def test_what_meets_something_whole_stays_whole():
    labels = Labels()
    dim = labels.fresh(3)
    labels.unite(dim, kept_whole(3))
    assert free(labels, dim) == [False] * 3


def test_heads_share_their_channels_and_come_apart_and_together_again():
    labels = Labels()
    rows = labels.fresh(6)
    nodes, heads, channels = labels.reshaped([kept_whole(5), rows], (5, 2, 3))
    assert [nodes.shape, heads.shape, channels.shape] == [(5, 0), (2, 0), (3, 1)]
    assert labels.roots(rows).ravel().tolist() == [1, 2, 3, 1, 2, 3]
    assert labels.roots(channels).ravel().tolist() == [1, 2, 3]
    _, again = labels.reshaped([nodes, heads, channels], (5, 6))
    assert labels.roots(again).ravel().tolist() == [1, 2, 3, 1, 2, 3]


def test_two_labelled_dimensions_merge_to_entries_that_go_with_either():
    labels = Labels()
    outer, inner = labels.fresh(2), labels.fresh(3)
    (merged,) = labels.reshaped([outer, inner], (6,))
    assert merged.tolist() == [[1, 3], [1, 4], [1, 5], [2, 3], [2, 4], [2, 5]]
    back = labels.reshaped([merged], (2, 3))
    assert [dim.ravel().tolist() for dim in back] == [[1, 2], [3, 4, 5]]


@pytest.mark.parametrize("shape", [(4, 3), (12,), (2, 6), (2, 2, 3), (1, 4, 1, 3)])
def test_shapes_that_do_not_divide_each_other_keep_all(shape):
    labels = Labels()
    dims = [labels.fresh(3), labels.fresh(4)]
    result = labels.reshaped(dims, shape)
    assert [len(dim) for dim in result] == list(shape)
    assert free(labels, dims[0]) == [shape == (12,)] * 3


def test_equal_pieces_lose_the_same_and_unequal_ones_nothing():
    labels = Labels()
    even, odd = labels.fresh(4), labels.fresh(4)
    labels.parted(even, [2, 2])
    labels.parted(odd, [3, 1])
    assert labels.roots(even).ravel().tolist() == [1, 2, 1, 2]
    assert free(labels, odd) == [False] * 4


def test_a_concatenation_keeps_its_parts_apart():
    net = Net(
        lambda m, d: m.c(torch.cat([m.a(d.x).relu(), m.b(d.x).relu()], 1)),
        a=nn.Linear(4, 6),
        b=nn.Linear(4, 8),
        c=nn.Linear(14, 2),
    )
    places = {
        member.places.flatten().tolist()[0]: group.width
        for group in found(traced(net, FOLLOW), net)
        for member in group.members
        if member.name == "layers.c.weight"
    }
    assert places == {0: 6, 6: 8}
    small = halved(net)
    assert (small.a.out_features, small.b.out_features, small.c.in_features) == (3, 4, 7)


def test_tied_weights_stay_one():
    net = Net(
        lambda m, d: m.d(m.c(m.b(m.a(d.x).relu()).relu())),
        a=nn.Linear(4, 8),
        b=nn.Linear(8, 8),
        c=nn.Linear(8, 8),
        d=nn.Linear(8, 2),
    )
    net.layers.c.weight = net.layers.b.weight
    small = halved(net)
    assert small.c.weight is small.b.weight
    assert small.c.weight.shape == (4, 4)


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x.abs_(),
        lambda x: torch.ops.aten.gelu_(x),
        lambda x: nn.functional.threshold_(x, 0.1, 0.0),
        lambda x: x.copysign_(torch.ones(1)),
    ],
)
def test_what_works_in_place_does_what_it_does_out_of_place(act):
    net = Net(lambda m, d: m.b(act(m.a(d.x))), a=nn.Linear(4, 8), b=nn.Linear(8, 2))
    with torch.no_grad():
        assert halved(net).b.in_features == 4


def test_what_training_alone_uses_binds_too():
    def call(m, d):
        x = m.a(d.x)
        return m.c(x) + (m.b(x).sum() if m.training else 0)

    net = Net(call, a=nn.Linear(4, 8), b=nn.Linear(8, 3), c=nn.Linear(8, 2))
    assert halved(net).b.in_features == 4


def test_numbers_that_modules_keep_follow():
    net = Net(
        lambda m, d: m.b(m.a(d.x, d.edge_index), d.edge_index),
        a=gnn.GATConv(4, 8, heads=2),
        b=gnn.GATConv(16, 3, heads=2, concat=False),
    )
    assert repr(halved(net)) == repr(
        nn.ModuleDict({"a": gnn.GATConv(4, 4, heads=2), "b": gnn.GATConv(8, 3, 2, concat=False)})
    )


def test_sums_over_what_zero_does_not_silence_stay_whole():
    """A channel at zero still adds sigmoid(0) here; the other layer goes as asked."""
    net = Net(
        lambda m, d: m.a(d.x).sigmoid().sum(1, keepdim=True) + m.c(m.b(d.x).relu()),
        a=nn.Linear(4, 8),
        b=nn.Linear(4, 8),
        c=nn.Linear(8, 2),
    )
    small = halved(net)
    assert (small.a.out_features, small.b.out_features) == (8, 4)


def test_attention_of_torch_stays_whole():
    def call(m, d):
        x = m.a(d.x).unsqueeze(0)
        return m.d(m.c((x + m.b(x, x, x)[0]).squeeze(0)).relu())

    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    net = Net(call, a=nn.Linear(4, 8), b=attention, c=nn.Linear(8, 6), d=nn.Linear(6, 2))
    small = halved(net)
    assert (small.a.out_features, small.c.out_features) == (8, 3)


def conv1d(m, d):
    return m.c(m.b(m.a(d.x).unsqueeze(1)).flatten(1).relu())


REFUSED = {
    "unknown operation": (
        Net(conv1d, a=nn.Linear(4, 8), b=nn.Conv1d(1, 2, 3), c=nn.Linear(12, 2)),
        r"free to go \(what convolution does to them is not known\); name its channels",
    ),
    "sliced by numbers": (
        Net(lambda m, d: m.b(m.a(d.x)[:, :6]), a=nn.Linear(4, 8), b=nn.Linear(6, 2)),
        "none of the model's channels was found to be free to go; name its channels",
    ),
    "outside of torch": (
        Net(
            lambda m, d: m.b(torch.from_numpy(m.a(d.x).numpy() * 2)),
            a=nn.Linear(4, 8),
            b=nn.Linear(8, 2),
        ),
        r"is wrong, its forward fails \(RuntimeError: .*\); name its channels",
    ),
    "failing": (
        Net(lambda m, d: m.a(d.z), a=nn.Linear(4, 8)),
        r"cannot be followed through a forward \(.*'z'.*\); name its channels",
    ),
    "scaled by a width": (
        Net(lambda m, d: m.b(m.a(d.x) / m.a(d.x).size(1)), a=nn.Linear(4, 8), b=nn.Linear(8, 2)),
        "is wrong, its output is up to .* off what the channels at zero give; name its channels",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_narrowed_is_refused_in_one_sentence(kind):
    net, complaint = REFUSED[kind]
    torch.manual_seed(0)
    with pytest.raises(RecipeError, match=complaint) as caught:
        halved(net)
    assert "\n" not in str(caught.value)


def test_a_wrong_pairing_of_the_right_shapes_is_refused():
    net = Net(lambda m, d: m.b(m.a(d.x).flip(1)), a=nn.Linear(4, 8), b=nn.Linear(8, 2))
    group = [("layers.a.weight", 0), ("layers.a.bias", 0), ("layers.b.weight", 1)]
    net.channel_groups = lambda: [group]
    with pytest.raises(RecipeError, match=r"off what the channels at zero give; mend its channel_"):
        halved(net)


class Rounding(nn.Module):
    """Gives 0, or 1 where a number is lost beside a large one."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, data):
        return ((data.x.abs() + 0.1 + self.size) - self.size == 0).to(data.x.dtype)


def test_choices_that_rounding_makes_are_checked_in_double_precision():
    assert disagreement(Rounding(1e8), Rounding(0.0), CHECKS) is None
    assert "up to 1 off" in disagreement(Rounding(1e20), Rounding(0.0), CHECKS)


@pytest.mark.parametrize(("off", "agrees"), [(0.9e-5, True), (1.1e-5, False)])
def test_how_far_is_too_far(off, agrees):
    ours, theirs = Net(lambda m, d: d.x * 0 + off), Net(lambda m, d: d.x * 0)
    assert (disagreement(ours, theirs, CHECKS) is None) == agrees


KINDS = {
    "gcn": (1, lambda w, h: gnn.GCNConv(w, h)),
    "sage": (1, lambda w, h: gnn.SAGEConv(w, h, aggr="max")),
    "gat": (1, lambda w, h: gnn.GATConv(w, h // 4, heads=4)),
    "transformer": (1, lambda w, h: gnn.TransformerConv(w, h // 2, heads=2)),
    "linear": (1, lambda w, h: nn.Linear(w, h)),
    "gin": (1, lambda w, h: gnn.GINConv(gnn.MLP([w, 2 * h, h]))),
    "batch": (None, lambda w, h: gnn.BatchNorm(w)),
    "layer": (None, lambda w, h: nn.LayerNorm(w)),
    "prelu": (None, lambda w, h: nn.PReLU(w)),
}
STEP = st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(["plain", "add", "cat"]))


class Composed(nn.Module):
    """Random layers, what each gives in place of, added to or beside what it read."""

    def __init__(self, steps, hidden):
        super().__init__()
        self.first, self.layers, width = nn.Linear(4, hidden), nn.ModuleList(), hidden
        self.joins = []
        for kind, join in steps:
            outputs, make = KINDS[kind]
            self.layers.append(make(width, hidden))
            out = hidden if outputs else width
            join = "plain" if join == "add" and out != width else join
            self.joins.append(join)
            width = width + out if join == "cat" else out
        self.head = nn.Linear(width, 2)

    def forward(self, data):
        x = self.first(data.x)
        for layer, join in zip(self.layers, self.joins, strict=True):
            graph = isinstance(layer, gnn.MessagePassing)
            new = layer(x, data.edge_index) if graph else layer(x)
            if join == "cat":
                new = torch.cat([x, new], 1)
            x = (x + new if join == "add" else new).relu()
        return self.head(gnn.global_mean_pool(x, data.batch))


@given(st.lists(STEP, min_size=1, max_size=5), st.integers(0, 100))
@settings(max_examples=10)
def test_any_composition_is_narrowed_to_the_one_made_half_as_wide(steps, seed):
    torch.manual_seed(seed)
    small = narrowed(Composed(steps, 8).eval(), 0.5, FOLLOW, CHECKS)
    made = Composed(steps, 4).state_dict()
    assert {n: t.shape for n, t in small.state_dict().items()} == {
        n: t.shape for n, t in made.items()
    }


@pytest.mark.parametrize(("share", "left"), [(0.7, [2, 1]), (0.87, [1, 1])])
def test_a_narrow_group_keeps_a_channel(share, left):
    net = Net(
        lambda m, d: m.c(m.b(m.a(d.x).relu()).relu()),
        a=nn.Linear(4, 8),
        b=nn.Linear(8, 2),
        c=nn.Linear(2, 2),
    )
    small = narrowed(net.eval(), share, FOLLOW, CHECKS).layers
    assert [small.a.out_features, small.b.out_features] == left
    with pytest.raises(RecipeError, match=r"all 8 channels of layers\.a\.weight would go"):
        narrowed(net, 0.94, FOLLOW, CHECKS)
