"""A pretrained model that its makers ship: CHGNet's weights, quantized and pruned as they are."""

import pytest
import torch

import gnnperf

model_of = pytest.importorskip("chgnet.model.model", reason="pip install -e '.[bench]'")
structures = pytest.importorskip("pymatgen.core", reason="pip install -e '.[bench]'")


def salt(first, second, width):
    """Rock salt, a little off its places, so that forces are not zero."""
    lattice = structures.Lattice.cubic(width)
    crystal = structures.Structure.from_spacegroup(
        "Fm-3m", lattice, [first, second], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    crystal.perturb(0.05)
    return crystal


class Energies(torch.nn.Module):
    """Energies [crystals, 1] in eV an atom."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, crystals):
        return self.model(crystals, task="e")["e"].view(-1, 1)


@pytest.fixture(scope="module")
def trained():
    """CHGNet beside itself: how far a case is from what the shipped model says."""
    model = Energies(model_of.CHGNet.load(use_device="cpu", verbose=False))
    convert = model.model.graph_converter
    pairs = [("Li", "F", 4.03), ("Na", "Cl", 5.64), ("Mg", "O", 4.21), ("K", "Br", 6.6)]
    crystals = [convert(salt(*pair)) for pair in pairs]
    with torch.no_grad():
        expected = model.eval()(crystals)

    def error(case, batches):
        return float((case(batches[0]) - expected).abs().mean())

    return gnnperf.Trained.of(
        model, [crystals], error, train=[crystals], name="chgnet", higher_is_better=False
    )


@pytest.mark.parametrize("recipe", ["ptq@int8", "global@0.5"])
def test_the_shipped_weights(trained, measure, recipe):
    record = measure(trained, recipe=recipe, meters=("scores", "size"))
    assert record.value("twin_error") < 1e-5
    assert record.value("size_ratio") > 1.5
    assert record.value("covered") >= 0.99
