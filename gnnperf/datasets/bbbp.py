"""BBBP: 2039 molecules, does each pass the barrier between blood and brain."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data, download_url
from torch_geometric.utils import from_smiles

from gnnperf.datasets.base import DataError, MissingPackageError
from gnnperf.datasets.made_up import cut, random_sizes, undirected
from gnnperf.datasets.processed import Reading
from gnnperf.datasets.sources import DatasetSpec

# Over what is read of it; see `_canonical`.
_RAW_FILES = {"BBBP.csv": "005c50a970959a1238a2342a41acbb24560dd4aa15cf377dab796ffc2ade6d95"}
_CLASS_SIZES = (479, 1560)
# Printable ASCII; the longest of the real ones has 400 characters.
_MOLECULE = re.compile(rb"(?:.*,)?([01]),([!-+\--~]{1,2000})")


def _read(files: Mapping[str, bytes]) -> Reading:
    """PyG's 9 atom features as numbers [atoms, 9]; molecules that RDKit rejects are left out."""
    if find_spec("rdkit") is None:
        raise MissingPackageError(
            "BBBP is read with RDKit, which is missing: install gnnperf[molecules]"
        )
    header, *lines = files["BBBP.csv"].splitlines() or [b""]
    if not header.lower().endswith(b",smiles"):
        raise DataError("the first line of the file BBBP.csv names no last column smiles")
    molecules = [_molecule(line, number) for number, line in enumerate(lines, start=2)]
    graphs = tuple(graph for graph in molecules if graph.num_nodes)
    if not graphs:
        raise DataError("the file BBBP.csv holds no molecule that RDKit can read")
    return Reading(graphs, left_out=len(molecules) - len(graphs))


def _molecule(line: bytes, number: int) -> Data:
    """The graph of a line's last two columns, label and SMILES; without nodes if RDKit says so."""
    match = _MOLECULE.fullmatch(line)
    if match is None:
        raise DataError(
            f"line {number} of the file BBBP.csv does not end in a label 0 or 1 and SMILES"
        )
    label, smiles = match.groups()
    try:
        molecule = from_smiles(smiles.decode("ascii"))
    except Exception as error:  # PyG has no number for some atoms, and says so in many ways.
        raise DataError(
            f"line {number} of the file BBBP.csv has a molecule that PyG's features do not cover"
        ) from error
    y = torch.tensor([int(label)])
    return Data(x=molecule.x.float(), edge_index=molecule.edge_index, y=y)


def _canonical(content: bytes) -> bytes:
    """What is read: PyG's source has more columns, and both are found with either line end."""
    rows = (line.rsplit(b",", 2)[-2:] for line in content.splitlines()[1:])
    return b"\n".join(b",".join(row) for row in rows)


def _download(raw: Path) -> None:
    from torch_geometric.datasets import MoleculeNet  # Slow to import, and seldom needed.

    download_url(MoleculeNet.url.format("BBBP.csv"), str(raw), log=False)


def stand_in(seed: int) -> Sequence[Data]:
    """A made-up BBBP: its counts, classes, sizes (mean 24), degrees, rings and atom features.

    Molecules that do not pass are larger and richer in nitrogen and oxygen, with the overlap of
    the real classes.
    """
    generator = torch.Generator().manual_seed(seed)
    label = torch.repeat_interleave(torch.arange(2), torch.tensor(_CLASS_SIZES))
    label = label[torch.randperm(len(label), generator=generator)]
    size = random_sizes(torch.tensor([3.31, 3.02])[label], 0.42, (2, 132), generator)
    tree, ring = _bonds(size, generator)
    edge_index = undirected(torch.cat([tree, ring], 1), size)
    return cut(_atoms(label, size, edge_index, ring, generator), edge_index, label, size)


def _bonds(size: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pairs [2, bonds]: a tree that is mostly a chain, and bonds that close rings of 5 or 6."""
    node = torch.arange(int(size.sum()))
    graph = torch.repeat_interleave(torch.arange(len(size)), size)
    place = node - (size.cumsum(0) - size)[graph]
    draw = torch.rand(len(node), generator=generator)
    back = torch.where(draw < 0.80, 1, torch.where(draw < 0.93, 2, 3)).minimum(place.clamp(min=1))
    tree = torch.stack([node - back, node])[:, place > 0]
    reach = torch.where(torch.rand(len(node), generator=generator) < 0.7, 5, 4)
    closes = (torch.rand(len(node), generator=generator) < 0.145) & (place >= reach)
    ring = torch.stack([node - reach, node])[:, closes]
    return tree, ring


def _atoms(
    label: Tensor, size: Tensor, edge_index: Tensor, ring: Tensor, generator: torch.Generator
) -> Tensor:
    """The 9 columns of PyG's `from_smiles`, as numbers [atoms, 9]."""
    count = int(size.sum())
    bonds = torch.bincount(edge_index[0], minlength=count)
    # Atoms between the two ends of a closing bond are taken for its ring.
    change = torch.zeros(count + 1)
    change.index_add_(0, ring[0], torch.ones(ring.size(1)))
    change.index_add_(0, ring[1] + 1, -torch.ones(ring.size(1)))
    in_ring = change.cumsum(0)[:-1] > 0
    own = label.repeat_interleave(size)
    aromatic = in_ring & (torch.rand(count, generator=generator) < torch.tensor([0.49, 0.60])[own])
    shift = torch.randn(len(size), generator=generator).mul(0.25).exp()
    odds = torch.tensor([[0.097, 0.190, 0.028], [0.08, 0.098, 0.037]])[label] * shift[:, None]
    bound = odds.cumsum(1).repeat_interleave(size, 0)
    pick = (torch.rand(count, 1, generator=generator) > bound).sum(1)
    number = torch.tensor([7.0, 8.0, 9.0, 6.0])[pick]
    hydrogens = (torch.tensor([3, 2, 1, 4])[pick] - bonds - aromatic.long()).clamp(0, 3)
    rare = torch.rand(count, 2, generator=generator)
    chiral = torch.tensor([0.098, 0.043])[own]
    columns = [
        number,
        (rare[:, 0] < chiral) * torch.where(rare[:, 0] < chiral / 2, 1.0, 2.0),
        (bonds + hydrogens).clamp(max=4),
        5.0 + (rare[:, 1] < 0.003) - 1.0 * (rare[:, 1] > 0.997),
        hydrogens,
        torch.zeros(count),
        torch.where(aromatic | (pick == 1) & (rare[:, 0] > 0.5), 3.0, 4.0),
        aromatic,
        in_ring,
    ]
    return torch.stack([column.float() for column in columns], 1)


SPECS = (
    DatasetSpec(
        name="bbbp",
        folder="bbbp",
        raw_files=_RAW_FILES,
        read=_read,
        download=_download,
        stand_in=stand_in,
        canonical=_canonical,
    ),
)
