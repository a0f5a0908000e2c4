"""Where a dataset's files come from: a data root, a download, or a stand-in that is labelled so."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from torch_geometric.data import Data

from gnnperf.datasets.base import (
    DataError,
    DataOptions,
    Dataset,
    MissingPackageError,
    Source,
    fingerprint,
)
from gnnperf.system.files import locked

# A few hundred kilobytes to fetch; whoever has no network should not wait for it.
DOWNLOAD_TIMEOUT_SECONDS = 20
STAND_IN_SEED = 0


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset with raw files; registered in `gnnperf.datasets.SPECS`.

    Attributes:
        name: as it stands in workloads and case ids, `cora_node`.
        folder: its folder under the data root; the raw files lie in `folder/raw`.
        raw_files: the files that must be there.
        read: root -> graphs, through PyG's own loader, which downloads what is missing and
            writes its processed files beside the raw ones; raises DataError for damaged files.
        stand_in: seed -> graphs of the same statistics, made up.
        raw_graphs: how many graphs the raw files describe, where the reader may leave some out;
            `Dataset.origin` counts those. None: it leaves none out.
    """

    name: str
    folder: str
    raw_files: tuple[str, ...]
    read: Callable[[Path], Sequence[Data]]
    stand_in: Callable[[int], Sequence[Data]]
    raw_graphs: int | None = None

    def load(self, options: DataOptions) -> Dataset:
        """From the first source that serves; see `load_dataset`."""
        return load_dataset(self, options)


def load_dataset(spec: DatasetSpec, options: DataOptions) -> Dataset:
    """Load from the first source that serves: raw files under the root, a download, a stand-in.

    Mode `real` ends before the stand-in and, when a root is named, before the download; mode
    `synthetic` takes the stand-in alone. Raises DataError when none serves or files are damaged:
    damaged files are never quietly replaced by a stand-in.
    """
    if options.mode == "synthetic":
        return _stand_in(spec, "as asked with --gnnperf-data synthetic")
    missing = "no data root is set"
    if options.root is not None:
        raw = options.root / spec.folder / "raw"
        absent = [name for name in spec.raw_files if not (raw / name).is_file()]
        if not absent:
            return _real(spec, raw, options.cache, f"raw files under {options.root}")
        missing = f"{raw} lacks {', '.join(absent)}"
        if options.mode == "real":
            raise DataError(
                f"--gnnperf-data real: {missing}; put {spec.name}'s raw files there, "
                "or name another folder with --gnnperf-data-root"
            )
    raw = options.cache / "downloads" / spec.folder / "raw"
    failure = _download(spec, raw)
    if failure is None:
        return _real(spec, raw, options.cache, "downloaded")
    if options.mode == "real":
        raise DataError(
            f"--gnnperf-data real: {spec.name}: {missing} and {failure}; "
            "name a folder that holds its raw files with --gnnperf-data-root"
        )
    return _stand_in(spec, f"{missing}, and {failure}")


def _stand_in(spec: DatasetSpec, why: str) -> Dataset:
    return _dataset(spec, spec.stand_in(STAND_IN_SEED), "synthetic", f"synthetic stand-in: {why}")


def _dataset(spec: DatasetSpec, graphs: Sequence[Data], source: Source, origin: str) -> Dataset:
    return Dataset(spec.name, tuple(graphs), source, origin, fingerprint(graphs))


def _download(spec: DatasetSpec, raw: Path) -> str | None:
    """Let PyG's loader fetch the files into `raw`; a phrase that says why not, or None."""
    raw.parent.parent.mkdir(parents=True, exist_ok=True)
    with locked(raw.parent), tempfile.TemporaryDirectory(dir=raw.parent.parent) as folder:
        if raw.is_dir():
            return None
        # A process of its own can be stopped when the network hangs; a thread cannot.
        command = [sys.executable, "-m", "gnnperf.datasets.download", spec.name, folder]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"the download took more than {DOWNLOAD_TIMEOUT_SECONDS} s"
        if done.returncode:
            return f"the download failed ({(done.stderr.strip().splitlines() or ['?'])[-1]})"
        raw.parent.mkdir(exist_ok=True)
        os.replace(Path(folder) / spec.folder / "raw", raw)
    return None


def _real(spec: DatasetSpec, raw: Path, cache: Path, origin: str) -> Dataset:
    """Read through PyG, its processed files in the cache under the digest of the raw ones."""
    digest = hashlib.sha256()
    for name in spec.raw_files:
        digest.update((raw / name).read_bytes())
    home = cache / "datasets" / f"{spec.name}-{digest.hexdigest()[:16]}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(home):
        if home.is_dir():
            try:
                return _read_dataset(spec, _quietly(spec, home), origin)
            except Exception:  # Whatever a damaged processed file makes PyG raise: process again.
                shutil.rmtree(home)
        with tempfile.TemporaryDirectory(dir=home.parent) as folder:
            building = Path(folder) / home.name
            copy = building / spec.folder / "raw"
            copy.mkdir(parents=True)
            for name in spec.raw_files:
                # Not copy2: the source may be read-only, and its mode would come along.
                shutil.copyfile(raw / name, copy / name)
            try:
                graphs = _quietly(spec, building)
            except MissingPackageError:
                raise
            except DataError as error:
                raise DataError(f"{raw}: {error}; fetch it again") from error
            os.replace(building, home)
    return _read_dataset(spec, graphs, origin)


def _read_dataset(spec: DatasetSpec, graphs: Sequence[Data], origin: str) -> Dataset:
    left_out = 0 if spec.raw_graphs is None else spec.raw_graphs - len(graphs)
    if left_out:
        origin += f" ({left_out} of {spec.raw_graphs} that its reader rejects left out)"
    return _dataset(spec, graphs, "real", origin)


def _quietly(spec: DatasetSpec, root: Path) -> Sequence[Data]:
    # PyG reports its progress on stderr, in the middle of pytest's collection.
    with redirect_stderr(io.StringIO()):
        return spec.read(root)
