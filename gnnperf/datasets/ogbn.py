"""Node classification of the Open Graph Benchmark, read by its own package `ogb`, or made up.

Source: Hu et al., Open Graph Benchmark, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from gnnperf.datasets.base import (
    DataError,
    DataOptions,
    Dataset,
    MissingPackageError,
    Source,
    dataset_key,
    fingerprint,
)
from gnnperf.datasets.sources import STAND_IN_SEED

_HOMOPHILY = 0.7


@dataclass(frozen=True)
class OgbDataset:
    """A dataset of OGB's, with OGB's own split as train_mask, val_mask and test_mask.

    Without a data root real data is fetched for `--gnnperf-data real` alone: it may be gigabytes.

    Attributes:
        name: as it stands in workloads and case ids, `ogbn_arxiv`.
        published: OGB's name, `ogbn-arxiv`.
        features, classes: of the published graph, and of its stand-in.
        degree: edges to a node, likewise, both directions counted.
        shares: of the nodes that train and that validate.
        nodes: how many the stand-in has.
    """

    name: str
    published: str
    features: int
    classes: int
    degree: int
    shares: tuple[float, float]
    nodes: int = 3000

    def key(self, options: DataOptions) -> str:
        """`ogbn_arxiv`, or `ogbn_arxiv~synthetic`; told without loading."""
        if options.version is not None and self._is_real(options):
            raise DataError(
                f"--gnnperf-data-version {options.version}: {self.published} has OGB's version "
                "alone; leave the option out"
            )
        return dataset_key(self.name, "real" if self._is_real(options) else "synthetic")

    def load(self, options: DataOptions) -> Dataset:
        """The one graph; raises DataError where real data is asked for and cannot be had."""
        self.key(options)
        if self._is_real(options):
            root = options.root or options.cache / "downloads"
            graph, origin = self._read(root, fetch=options.root is None), f"OGB's files in {root}"
        else:
            graph = stand_in(
                self.nodes,
                self.nodes * self.degree,
                self.features,
                self.classes,
                self.shares,
                STAND_IN_SEED,
            )
            origin = f"synthetic stand-in of {self.published}'s shape, {self.nodes} nodes"
            if options.mode != "synthetic":
                origin += "; --gnnperf-data real fetches the published graph"
        source: Source = "real" if self._is_real(options) else "synthetic"
        return Dataset(self.name, (graph,), source, origin, fingerprint((graph,)))

    def _is_real(self, options: DataOptions) -> bool:
        # A root that is named has to hold what is needed: nothing is quietly replaced.
        named = options.root is not None or options.mode == "real"
        return named and options.mode != "synthetic"

    def _read(self, root: Path, *, fetch: bool) -> Data:
        folder = self.published.replace("-", "_")
        if not fetch and not (root / folder).is_dir():
            raise DataError(
                f"the data root {root} (--gnnperf-data-root or GNNPERF_DATA) has no folder "
                f"{folder}; put OGB's there, or name another root"
            )
        try:
            from ogb.nodeproppred import NodePropPredDataset
        except ImportError as error:
            raise MissingPackageError(
                f"{self.published} is read by the package ogb; pip install gnnperf[ogb], or take "
                "its stand-in with --gnnperf-data synthetic"
            ) from error
        # What it wrote itself are arrays, which torch reads without executing anything.
        with torch.serialization.safe_globals(_ARRAYS):
            try:
                dataset: Any = NodePropPredDataset(self.published, root=str(root))
                (content, label), split = dataset[0], dataset.get_idx_split()
            except Exception as error:  # It raises whatever its files or the network make it.
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                raise DataError(
                    f"{self.published} in {root}: ogb cannot read it ({reason}); fetch it again"
                ) from error
        return _graph(content, label, split)


def _graph(content: Any, label: Any, split: Any) -> Data:
    """OGB's arrays as a `Data`: undirected, one class a node, its split as masks."""
    nodes = int(content["num_nodes"])
    edges = torch.as_tensor(content["edge_index"]).long()
    return Data(
        x=torch.as_tensor(content["node_feat"]).float(),
        edge_index=to_undirected(edges, num_nodes=nodes),
        y=torch.as_tensor(label).view(-1).long(),
        **{
            f"{mask}_mask": _mask(torch.as_tensor(split[part]).long(), nodes)
            for mask, part in (("train", "train"), ("val", "valid"), ("test", "test"))
        },
    )


def _mask(index: Tensor, nodes: int) -> Tensor:
    mask = torch.zeros(nodes, dtype=torch.bool)
    mask[index] = True
    return mask


def stand_in(
    nodes: int,
    edges: int,
    features: int,
    classes: int,
    shares: tuple[float, float],
    seed: int,
) -> Data:
    """A made-up graph of so many columns of edge_index at most: undirected, each edge once.

    Popular nodes have more edges, most of them within their class; features are a class's own, in
    noise, so that a model must use both. The least popular nodes test, as in ogbn-products.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (nodes,), generator=generator)
    popularity = torch.rand(nodes, generator=generator).pow(-0.45)
    centre = torch.randn(classes, features, generator=generator)
    x = torch.randn(nodes, features, generator=generator)
    for rows in torch.arange(nodes).split(1 << 16):
        x[rows] += 0.25 * centre[y[rows]]
    order = torch.argsort(popularity, descending=True)
    train, validation = (round(nodes * share) for share in shares)
    parts = order.split([train, validation, nodes - train - validation])
    names = ("train_mask", "val_mask", "test_mask")
    masks = {name: _mask(part, nodes) for name, part in zip(names, parts, strict=True)}
    edge_index = _edges(y, popularity, edges // 2, generator)
    return Data(x=x, edge_index=edge_index, y=y, **masks)


def _edges(y: Tensor, popularity: Tensor, pairs: int, generator: torch.Generator) -> Tensor:
    """Both directions of so many pairs at most, [2, 2 * pairs]."""
    nodes, by_class = len(y), torch.argsort(y, stable=True)
    reach = popularity[by_class].double().cumsum(0)
    end = reach[torch.bincount(y).cumsum(0) - 1]
    begin = torch.cat([end.new_zeros(1), end[:-1]])

    def drawn(low: Tensor | float, high: Tensor | float) -> Tensor:
        share = torch.rand(count, generator=generator, dtype=torch.double)
        place = torch.searchsorted(reach, share * (high - low) + low).clamp(max=nodes - 1)
        return by_class[place]

    # Some are drawn twice, or are loops.
    count = pairs + pairs // 10
    source = drawn(0.0, float(reach[-1]))
    alike = torch.rand(count, generator=generator) < _HOMOPHILY
    low = torch.where(alike, begin[y[source]], 0.0)
    high = torch.where(alike, end[y[source]], reach[-1])
    target = drawn(low, high)
    key = torch.minimum(source, target) * nodes + torch.maximum(source, target)
    key = torch.unique(key[source != target])
    if len(key) > pairs:
        key = key[torch.randperm(len(key), generator=generator)[:pairs]]
    pair = torch.stack([key // nodes, key % nodes])
    return torch.cat([pair, pair.flip(0)], 1)


_ARRAYS: list[Any] = [
    np.ndarray,
    np.dtype,
    getattr(np, "_core", np).multiarray._reconstruct,
    *(type(np.dtype(kind)) for kind in ("int64", "float32", "float64", "int32", "bool")),
]

ARXIV = OgbDataset("ogbn_arxiv", "ogbn-arxiv", 128, 40, 14, (0.54, 0.18))
PRODUCTS = OgbDataset("ogbn_products", "ogbn-products", 100, 47, 50, (0.08, 0.02))
