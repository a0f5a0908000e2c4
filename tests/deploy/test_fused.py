"""Plans run by kernels: bf16, int8 and sparse keep what they promise, with numba and without."""

import copy

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from gnnperf.compression import attach_masks
from gnnperf.compression.quantization.fake_quantize import QuantizerSettings
from gnnperf.compression.quantization.protection import Protection
from gnnperf.compression.quantization.quantize import Plan, calibrate, quantized
from gnnperf.compression.quantization.weights import WeightSettings
from gnnperf.deploy import (
    DEPLOYMENTS,
    EXACT,
    DeployError,
    agreement,
    broken_promise,
    deploy,
    kernels,
)
from gnnperf.deploy import bf16 as bf16_room
from gnnperf.deploy import sparse as sparse_room
from gnnperf.deploy.fused import FusedProgram, head_of
from gnnperf.deploy.kernels import loading, products
from gnnperf.deploy.qlinear import IntegerProduct
from gnnperf.deploy.simulated import float_form, quantizer_settings
from gnnperf.deploy.trial import fastest
from gnnperf.models.gin import GIN
from gnnperf.models.gnnnet import GNNNet
from gnnperf.models.graph_baselines import gcn, sage, supergat
from gnnperf.models.hgpsl import HGPSL
from gnnperf.models.ness import Ness
from gnnperf.models.sage import SageLinks
from gnnperf.models.spline import SplineNet
from gnnperf.training import seeded

pytestmark = pytest.mark.long

WIDTH = 6
MODELS = {
    "gnnnet": GNNNet,
    "gin": GIN,
    "gcn": gcn,
    "sage": sage,
    "spline": SplineNet,
    "ness": lambda width, _: Ness(width),
    "sage-links": lambda width, _: SageLinks(width),
}
NAMES = ("bf16", "int8", "sparse")
# Of the greatest logit; classes of untrained models are nearer to each other than trained ones'.
NEAR = {"bf16": 0.02, "int8": 0.15, "sparse": 1e-5}

needs_numba = pytest.mark.skipif(
    kernels.missing() is not None, reason=kernels.missing() or "there is numba"
)


@pytest.fixture(params=[pytest.param("numba", marks=needs_numba), "torch"])
def backend(request, monkeypatch):
    if request.param == "torch":
        monkeypatch.setattr(products, "kernels", lambda: None)
        monkeypatch.setattr(loading, "compiled", lambda: "numba is not installed")
    return request.param


def graphs(seed, *sizes, sparse=False):
    """Undirected, with isolated nodes, pairs to tell apart, and views."""
    generator = torch.Generator().manual_seed(seed)

    def one(nodes):
        pairs = torch.randint(max(1, nodes - 2), (2, 2 * nodes), generator=generator)
        pairs = pairs[:, pairs[0] != pairs[1]]
        pairs = torch.unique(torch.cat([pairs, pairs.flip(0)], 1), dim=1)
        x = torch.randn(nodes, WIDTH, generator=generator)
        x = (x > 1.3).float() if sparse else x
        links = torch.randint(nodes, (2, 30), generator=generator)
        part = (pairs[0] + pairs[1]) % 3
        return Data(x=x, edge_index=pairs, edge_label_index=links, edge_part=part)

    every = [one(nodes) for nodes in sizes]
    if len(every) == 1:
        return every[0]
    return Batch.from_data_list([Data(x=g.x, edge_index=g.edge_index) for g in every])


def batches_of(name, seeds=range(3), **more):
    on_graphs = name in ("gnnnet", "gin", "gcn", "sage")
    sizes = range(1, 14) if on_graphs else (60,)
    return [graphs(seed, *sizes, **more) for seed in seeds]


def trained(name):
    """As after training: statistics and weights of all sizes."""
    with seeded(0):
        model = MODELS[name](WIDTH, 2)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.4)
        for part in model.modules():
            if isinstance(part, nn.BatchNorm1d):
                nn.init.uniform_(part.running_mean, -1, 1)
                nn.init.uniform_(part.running_var, 0.2, 2)
    return model.eval()


def pruned(name, sparsity):
    model = trained(name)
    generator = torch.Generator().manual_seed(0)
    kept = {
        n: torch.rand(p.shape, generator=generator) > sparsity
        for n, p in model.named_parameters()
        if p.dim() > 1
    }
    attach_masks(model, kept)
    return model


@torch.inference_mode()
def assert_near(model, deployed, batches, limit):
    for batch in batches:
        expected = model(batch)
        found = deployed(deployed.prepare(batch))
        apart = float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))
        assert apart <= limit
        assert torch.equal(deployed(batch), found)


@pytest.mark.parametrize("sparse", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("deployment", NAMES)
@pytest.mark.parametrize("model", MODELS)
def test_it_gives_what_the_model_gives(model, deployment, sparse, backend):
    net, batches = trained(model), batches_of(model, sparse=sparse)
    deployed = deploy(net, deployment, batches)
    assert_near(net, deployed, [*batches, *batches_of(model, [7], sparse=sparse)], NEAR[deployment])
    named = any(phrase.startswith(f"kernels by {backend}") for phrase in deployed.done)
    # There are no zeros to skip.
    assert named == (deployment != "sparse")
    assert deployed.deployed_bytes > 0


@pytest.mark.parametrize("deployment", NAMES)
def test_graphs_of_one_node_and_of_none(deployment, backend):
    net, batches = trained("gnnnet"), batches_of("gnnnet")
    deployed = deploy(net, deployment, batches)
    assert_near(net, deployed, [graphs(1, 1), graphs(2, 1, 1, 70)], NEAR[deployment])


@pytest.mark.parametrize("deployment", NAMES)
def test_what_is_compiled_is_compiled_before_anybody_measures(deployment):
    net, batches = trained("gin"), batches_of("gin")
    deployed = deploy(net, deployment, batches)
    before = deployed.compilations
    for batch in (*batches_of("gin", [3, 4]), graphs(1, 1)):
        deployed(deployed.prepare(batch))
    assert deployed.compilations == before


@pytest.mark.parametrize("deployment", NAMES)
def test_the_model_stays_as_it_is_and_a_copy_works(deployment):
    net, batches = trained("gin"), batches_of("gin")
    before = copy.deepcopy(net.state_dict())
    deployed = deploy(net, deployment, batches)
    again = copy.deepcopy(deployed)
    prepared = again.prepare(batches[0])
    assert torch.equal(again(prepared), deployed(deployed.prepare(batches[0])))
    for key, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[key])


@pytest.mark.parametrize("deployment", NAMES)
@pytest.mark.parametrize(
    ("net", "said"),
    [
        (HGPSL, "as a HGPSL computes more than products and sums"),
        (supergat, "as there is no lowering for SuperGATNet"),
    ],
)
def test_what_has_no_plan_is_deployed_lean_and_says_so(net, said, deployment):
    model = net(WIDTH, 2).eval()
    batches = [graphs(0, 20, 30)]
    deployed = deploy(model, deployment, batches)
    assert said in deployed.left
    found = agreement(model, deployed, batches, EXACT)
    assert broken_promise(found, EXACT) is None


class TestSparse:
    """Zeros skipped."""

    @pytest.fixture(autouse=True)
    def _always(self, monkeypatch):
        # What is faster is another's question.
        monkeypatch.setattr(sparse_room, "fastest", lambda calls: len(calls) - 1)

    @pytest.mark.parametrize("model", MODELS)
    def test_skipping_zeros_is_exact(self, model, backend):
        net, batches = pruned(model, 0.9), batches_of(model)
        deployed = deploy(net, "sparse", batches)
        assert any(phrase.startswith(f"kernels by {backend}") for phrase in deployed.done)
        found = agreement(net, deployed, batches, EXACT)
        assert broken_promise(found, EXACT) is None

    def test_it_is_done_where_there_are_enough_zeros_alone(self):
        batches = batches_of("gin")
        skipped = "zeros skipped in layers"
        assert any(
            phrase.startswith(skipped)
            for phrase in deploy(pruned("gin", 0.5), "sparse", batches).done
        )
        assert not any(
            phrase.startswith(skipped)
            for phrase in deploy(pruned("gin", 0.2), "sparse", batches).done
        )

    def test_fewer_bytes_are_kept(self):
        batches = batches_of("gin")
        net = pruned("gin", 0.9)
        sparse, lean = (deploy(net, name, batches) for name in ("sparse", "lean"))
        assert sparse.deployed_bytes < lean.deployed_bytes / 2

    def test_layers_that_are_faster_dense_are_named(self, monkeypatch):
        monkeypatch.setattr(sparse_room, "fastest", lambda calls: 0)
        deployed = deploy(pruned("gin", 0.9), "sparse", batches_of("gin"))
        assert deployed.left.startswith("dense is faster in layers 0, ")


class TestHalf:
    """bfloat16."""

    @pytest.mark.parametrize("native", [False, pytest.param(True, marks=pytest.mark.long)])
    @pytest.mark.parametrize("travels", [pytest.param(False, marks=pytest.mark.long), True])
    @pytest.mark.parametrize("model", MODELS)
    def test_every_way_is_near(self, model, native, travels, monkeypatch):
        monkeypatch.setattr(bf16_room, "products_are_faster", lambda: native)
        monkeypatch.setattr(bf16_room, "fastest", lambda calls: 0 if travels else 1)
        net, batches = trained(model), batches_of(model)
        deployed = deploy(net, "bf16", batches)
        assert_near(net, deployed, batches, NEAR["bf16"])
        assert ("products in float32" in deployed.left) != native
        assert ("float32 between layers" in deployed.left) != travels

    def test_weights_take_half_where_products_are_native(self, monkeypatch):
        monkeypatch.setattr(bf16_room, "products_are_faster", lambda: True)
        net, batches = trained("gnnnet"), batches_of("gnnnet")
        half, lean = (deploy(net, name, batches) for name in ("bf16", "lean"))
        assert half.deployed_bytes < 0.55 * lean.deployed_bytes


class TestIntegers:
    """Codes."""

    def quantized(self, name, bits=8, protection=None):
        net, batches = trained(name), batches_of(name)
        settings = QuantizerSettings(bits, range="abs")
        plan = Plan(WeightSettings(bits), settings, protection=protection)
        model = quantized(net, batches[0], plan).model
        calibrate(model, batches)
        return model, batches

    @pytest.mark.parametrize("model", ["gnnnet", "gin", "sage-links"])
    def test_a_quantized_model_loses_its_quantizers_alone(self, model):
        simulated, batches = self.quantized(model)
        plain = float_form(simulated)
        assert quantizer_settings(plain) == []
        assert_near(simulated, deploy(plain, "lean", batches), batches, NEAR["int8"])
        assert quantizer_settings(simulated)

    @pytest.mark.parametrize("model", ["gnnnet", "gin"])
    def test_a_quantized_model_is_computed_on_codes(self, model, backend):
        simulated, batches = self.quantized(model)
        deployed = deploy(simulated, "int8", batches)
        assert "codes of 8 bits between layers" in deployed.done
        assert_near(simulated, deployed, batches, NEAR["int8"])

    def test_a_protected_model_too(self):
        simulated, batches = self.quantized("gin", protection=Protection(0.0, 0.1))
        deployed = deploy(simulated, "int8", batches)
        assert "codes of 8 bits between layers" in deployed.done

    def test_fewer_bits_are_refused(self):
        simulated, batches = self.quantized("gin", bits=4)
        with pytest.raises(DeployError, match=r"quantizers are of 4 bits.*quantize it to int8"):
            deploy(simulated, "int8", batches)

    def test_weights_take_a_quarter(self):
        net, batches = trained("gin"), batches_of("gin")
        int8, lean = (deploy(net, name, batches) for name in ("int8", "lean"))
        # The first layer and the head stay as they are.
        assert int8.deployed_bytes < 0.42 * lean.deployed_bytes

    def test_codes_travel_from_the_first_layer_to_the_readout(self):
        net, batches = trained("gin"), batches_of("gin")
        program = deploy(net, "int8", batches).model
        assert isinstance(program, FusedProgram)
        integer = [isinstance(product, IntegerProduct) for product in program._products]
        # Two layers a convolution, five convolutions, two layers after the readout.
        assert integer == [False, *[True] * 9, False, False]

    def test_without_onednn_the_same_sums_are_made(self, monkeypatch):
        net, batches = trained("gin"), batches_of("gin")
        with torch.inference_mode():
            expected = deploy(net, "int8", batches)(batches[0])
        monkeypatch.setattr("gnnperf.deploy.qlinear.has_onednn", lambda: False)
        with torch.inference_mode():
            found = deploy(net, "int8", batches)(batches[0])
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0.01)


def test_the_head_is_what_follows_the_readout():
    for name, expected in (("gnnnet", 4), ("gin", 11), ("spline", 2), ("ness", 4)):
        program = deploy(trained(name), "lean", batches_of(name)).model
        assert head_of(program.plan) == expected


def test_promises():
    assert DEPLOYMENTS["sparse"].exact
    assert DEPLOYMENTS["bf16"].promise.agreement == 0.99
    assert DEPLOYMENTS["int8"].promise.agreement == 0.985


def test_the_faster_of_two_is_told():
    small, large = torch.zeros(10), torch.zeros(300_000)
    assert fastest([lambda: large.exp(), lambda: small.exp()]) == 1
    assert fastest([lambda: small.exp(), lambda: large.exp()]) == 0
    assert fastest([lambda: None]) == 0
