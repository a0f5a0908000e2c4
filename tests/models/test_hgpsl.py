"""HGP-SL against a plain version with loops over graphs, nodes and rows."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch_geometric.data import Batch, Data

from gnnperf.models import hgpsl_pool
from gnnperf.models.hgpsl import HGPSL
from gnnperf.models.hgpsl_pool import HGPSLPool, Pairs, near_pairs, top_nodes
from gnnperf.ops import SparseMatrix
from gnnperf.training import seeded


def random_graph(seed, nodes):
    generator = torch.Generator().manual_seed(seed)
    pair = torch.randint(nodes, (2, nodes), generator=generator)
    pair = pair[:, pair[0] != pair[1]]
    pair = torch.unique(torch.cat([pair, pair.flip(0)], 1), dim=1)
    return Data(x=torch.randn(nodes, 4, generator=generator), edge_index=pair)


def closed_form(z):
    ordered = z.sort(descending=True).values
    rank = torch.arange(1, len(z) + 1)
    size = int((1 + rank * ordered > ordered.cumsum(0)).sum())
    return (z - (ordered[:size].sum() - 1) / size).clamp(min=0)


def plain_pool(pool, x, dense, ratio):
    """One graph, dense matrices, one row at a time; dense[i, j] is the weight from i to j."""
    degree = dense.sum(1)
    scale = torch.where(degree > 0, degree.rsqrt(), 0)
    score = (x - (scale[:, None] * dense * scale).t() @ x).abs().sum(1)
    scores, norms = score.detach().tolist(), x.detach().abs().sum(1).tolist()
    best = sorted(range(len(x)), key=lambda i: (-round(scores[i], 4), -norms[i]))
    kept = sorted(best[: -(-len(x) * ratio.numerator // ratio.denominator)])
    near = (dense != 0).float()
    for _ in range(2):
        near = ((near + near @ near) > 0).float()
    new = torch.zeros(len(kept), len(kept))
    for row, i in enumerate(kept):
        columns = [c for c, j in enumerate(kept) if near[i, j] or i == j]
        weights = []
        for c in columns:
            pair = torch.cat([x[i], x[kept[c]]])
            raw = functional.leaky_relu((pair * pool.att[0]).sum(), 0.2)
            weights.append(raw + dense[i, kept[c]])
        new[row, columns] = closed_form(torch.stack(weights))
    return x[kept], new


def plain_forward(model, graph, ratio):
    def read(x):
        return torch.cat([x.amax(0), x.mean(0)]).relu()

    nodes = len(graph.x)
    dense = torch.zeros(nodes, nodes)
    dense[graph.edge_index[0], graph.edge_index[1]] = 1
    loops = dense + torch.eye(nodes)
    scale = loops.sum(1).rsqrt()
    x = ((scale[:, None] * loops * scale) @ model.conv1.lin(graph.x) + model.conv1.bias).relu()
    x, dense = plain_pool(model.pool1, x, dense, ratio)
    total = read(x)
    x = (dense.t() @ model.conv2.lin(x) + model.conv2.bias).relu()
    x, dense = plain_pool(model.pool2, x, dense, ratio)
    total = total + read(x)
    total = total + read((dense.t() @ model.conv3.lin(x) + model.conv3.bias).relu())
    return model.lin3(model.lin2(model.lin1(total).relu()).relu())


@settings(max_examples=20)
@given(st.integers(0, 100_000))
def test_agrees_with_the_plain_version(seed):
    with seeded(seed):
        model = HGPSL(4, 2).eval()
    graphs = [random_graph(seed + i, 2 + (seed + 7 * i) % 23) for i in range(3)]
    with torch.no_grad():
        plain = torch.stack([plain_forward(model, graph, Fraction(1, 2)) for graph in graphs])
        mine = model(Batch.from_data_list(graphs))
    torch.testing.assert_close(mine, plain, atol=1e-4, rtol=1e-4)


def test_gradients_agree_with_the_plain_version():
    with seeded(3):
        model = HGPSL(4, 2)
    graph = random_graph(3, 17)
    gradients = []
    for forward in (lambda: model(graph)[0], lambda: plain_forward(model, graph, Fraction(1, 2))):
        model.zero_grad()
        forward().square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for mine, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, plain, atol=1e-4, rtol=1e-3)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.integers(0, 1000),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_top_nodes_of_each_graph(sizes, seed, ratio):
    generator = torch.Generator().manual_seed(seed)
    # Few levels, so that many scores are equal.
    keys = torch.randint(3, (2, sum(sizes)), generator=generator).float()
    start = torch.tensor([0, *sizes]).cumsum(0)
    kept = top_nodes(keys, start, ratio)
    for first, last in pairwise(start):
        own = (-keys[:, first:last]).t().tolist()
        best = sorted(range(len(own)), key=lambda i: (own[i], i))
        count = int(torch.tensor(ratio * len(own)).ceil())
        assert kept[first:last].nonzero().view(-1).tolist() == sorted(best[:count])


@given(st.integers(0, 1000))
def test_near_pairs_are_four_hops(seed):
    graph = random_graph(seed, 30)
    row, column = graph.edge_index
    weight = torch.rand(len(row))
    kept = torch.rand(30, generator=torch.Generator().manual_seed(seed)) < 0.6
    pairs = near_pairs(Pairs(row, column, weight), kept)
    dense = torch.zeros(30, 30)
    dense[row, column] = 1
    reach = torch.linalg.matrix_power(dense + torch.eye(30), 4) > 0
    assert torch.equal(
        (reach & kept[:, None] & kept).nonzero(), torch.stack([pairs.row, pairs.column], 1)
    )
    dense[row, column] = weight
    torch.testing.assert_close(pairs.weight, dense[pairs.row, pairs.column])


def test_learned_edges_out_of_a_node_sum_to_one():
    graph = random_graph(2, 20)
    pairs = near_pairs(
        Pairs(*graph.edge_index, torch.ones(graph.num_edges)), torch.ones(20, dtype=torch.bool)
    )
    edges = HGPSLPool(4)(graph.x, pairs)
    total = torch.zeros(20).index_add(0, edges.row, edges.weight)
    torch.testing.assert_close(total, torch.ones(20))
    assert len(edges.row) < len(pairs.row)
    assert edges.weight.min() > 0


def test_names_follow_the_paper():
    names = set(HGPSL(4, 2).state_dict())
    assert {"conv1.lin.weight", "conv3.bias", "pool2.att", "lin1.weight", "lin3.bias"} <= names


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_tiny_graphs(nodes):
    assert HGPSL(4, 2)(random_graph(0, nodes)).shape == (1, 2)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_of_any_device_and_aggregate_as_coordinates_do(seed):
    graph = random_graph(seed, 24)
    kept = torch.rand(24, generator=torch.Generator().manual_seed(seed)) < 0.6
    edges = Pairs(*graph.edge_index, torch.rand(graph.num_edges))
    row, column = hgpsl_pool._four_hops(edges, kept)
    pairs = near_pairs(edges, kept)
    assert torch.equal(pairs.row, row)
    assert torch.equal(pairs.column, column)
    among = pairs.renumbered(kept)
    assert all(map(torch.equal, vars(among).values(), vars(pairs.among(kept)).values()))
    nodes = int(kept.sum())
    mine = among.aggregation(nodes)
    theirs = SparseMatrix.from_coo(among.column, among.row, among.weight, (nodes, nodes))
    assert all(map(torch.equal, vars(mine).values(), vars(theirs).values()))
