"""Where a dataset's files come from: a data root, a download, or a stand-in that is labelled so."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from torch_geometric.data import Data

from gnnperf.datasets.base import (
    DataError,
    DataOptions,
    Dataset,
    MissingPackageError,
    dataset_key,
    fingerprint,
)
from gnnperf.datasets.processed import Reading, keep, kept
from gnnperf.errors import GnnperfError
from gnnperf.system.files import locked
from gnnperf.system.store import DamagedFileError

# A few hundred kilobytes to fetch; whoever has no network should not wait for it.
DOWNLOAD_TIMEOUT_SECONDS = 20
STAND_IN_SEED = 0

# A hundred times as large as any file of ours.
_MOST_RAW_BYTES = 1 << 28
_failed_downloads: dict[Path, str] = {}
"""What went wrong, by folder: nobody waits for the same failure twice in one run."""


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset with raw files; registered in `gnnperf.datasets.SPECS`.

    Attributes:
        name: as it stands in workloads and case ids, `cora_node`.
        folder: its folder under the data root; the raw files lie in `folder/raw`.
        raw_files: the files that must be there, each with the SHA-256 of the published one.
        read: contents of the raw files by name -> graphs; raises DataError for damaged files.
        download: fetches the raw files into a folder.
        stand_in: seed -> graphs of the same statistics, made up.
        canonical: what of a raw file its SHA-256 is taken over.
    """

    name: str
    folder: str
    raw_files: Mapping[str, str]
    read: Callable[[Mapping[str, bytes]], Reading]
    download: Callable[[Path], None]
    stand_in: Callable[[int], Sequence[Data]]
    canonical: Callable[[bytes], bytes] = bytes

    def key(self, options: DataOptions) -> str:
        """`cora_node`, `cora_node~synthetic` or `cora_node~VERSION`, known without loading.

        In mode `auto` without a data root a download is tried, whose outcome decides.
        """
        is_named = options.root is not None or options.mode == "real"
        is_real = options.mode != "synthetic" and (is_named or not _downloaded(self, options)[1])
        return dataset_key(self.name, "real" if is_real else "synthetic", options.version)

    def load(self, options: DataOptions) -> Dataset:
        """From the first source that serves; see `load_dataset`."""
        return load_dataset(self, options)


def load_dataset(spec: DatasetSpec, options: DataOptions) -> Dataset:
    """Load from raw files under the data root or, when none is named, a download or a stand-in.

    Mode `real` ends before the stand-in; mode `synthetic` takes the stand-in alone. Raises
    DataError when none serves, when a root is named and lacks the files, and for files that are
    not the published ones unless a version is named: none is quietly replaced by a stand-in.
    """
    if options.mode == "synthetic":
        return _stand_in(spec, "as asked with --gnnperf-data synthetic")
    if options.root is not None:
        raw = options.root / spec.folder / "raw"
        if absent := _absent(spec, raw):
            raise DataError(
                f"the data root {options.root} (--gnnperf-data-root or GNNPERF_DATA): {raw} lacks "
                f"{', '.join(absent)}; put {spec.name}'s raw files there, or name another folder"
            )
        return _real(spec, raw, options, f"raw files under {options.root}")
    raw, failure = _downloaded(spec, options)
    if not failure:
        return _real(spec, raw, options, "downloaded")
    if options.mode == "real":
        raise DataError(
            f"--gnnperf-data real: {spec.name}: no data root is set and {failure}; "
            "name a folder that holds its raw files with --gnnperf-data-root"
        )
    return _stand_in(spec, f"no data root is set, and {failure}")


def published_complaint(spec: DatasetSpec, files: Mapping[str, bytes]) -> str | None:
    """Which of the raw files are not the published ones, as a phrase, or None."""
    others = [
        name
        for name, digest in spec.raw_files.items()
        if hashlib.sha256(spec.canonical(files[name])).hexdigest() != digest
    ]
    known = "the published file, by its" if len(others) == 1 else "the published files, by their"
    verb = "is" if len(others) == 1 else "are"
    return f"{', '.join(others)} {verb} not {known} SHA-256" if others else None


def raw_contents(spec: DatasetSpec, raw: Path) -> dict[str, bytes]:
    """The raw files in a folder by name; raises DataError for what cannot be read."""
    files = {}
    for name in spec.raw_files:
        try:
            with open(raw / name, "rb") as file:
                files[name] = file.read(_MOST_RAW_BYTES + 1)
        except OSError as error:
            raise DataError(
                f"{raw / name} cannot be read ({error.strerror}); mend it, or fetch it again"
            ) from error
        if len(files[name]) > _MOST_RAW_BYTES:
            raise DataError(
                f"{raw / name} is larger than {_MOST_RAW_BYTES} bytes; it is none of "
                f"{spec.name}'s raw files"
            )
    return files


def _stand_in(spec: DatasetSpec, why: str) -> Dataset:
    graphs = tuple(spec.stand_in(STAND_IN_SEED))
    origin = f"synthetic stand-in: {why}"
    return Dataset(spec.name, graphs, "synthetic", origin, fingerprint(graphs))


def _absent(spec: DatasetSpec, raw: Path) -> list[str]:
    # os.path's says no, where Path's raises, for a name that cannot be one.
    return [name for name in spec.raw_files if not os.path.isfile(raw / name)]


def _downloaded(spec: DatasetSpec, options: DataOptions) -> tuple[Path, str]:
    """The folder of downloaded raw files, fetched if need be, and a phrase that says why not."""
    raw = options.cache / "downloads" / spec.folder / "raw"
    if not _absent(spec, raw):
        return raw, ""
    if raw not in _failed_downloads:
        failure = _download(spec, raw)
        if not failure:
            return raw, ""
        _failed_downloads[raw] = failure
    return raw, _failed_downloads[raw]


def _download(spec: DatasetSpec, raw: Path) -> str:
    """Fetch the raw files into `raw`; a phrase that says why not, empty when they are there."""
    try:
        raw.parent.parent.mkdir(parents=True, exist_ok=True)
        with locked(raw.parent), tempfile.TemporaryDirectory(dir=raw.parent.parent) as folder:
            failure = _fetch(spec, folder) if _absent(spec, raw) else ""
            if not failure and _absent(spec, raw):
                raw.parent.mkdir(exist_ok=True)
                shutil.rmtree(raw, ignore_errors=True)
                os.replace(Path(folder) / "raw", raw)
            return failure
    except OSError as error:
        return f"the download cannot be kept ({error.strerror})"


def _fetch(spec: DatasetSpec, folder: str) -> str:
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
    return ""


def _real(spec: DatasetSpec, raw: Path, options: DataOptions, origin: str) -> Dataset:
    files = raw_contents(spec, raw)
    if options.version is not None:
        origin += f", version {options.version}"
    elif complaint := published_complaint(spec, files):
        raise DataError(
            f"{raw}: {complaint}; fetch the raw files again or, if another version is "
            "meant, name it with --gnnperf-data-version"
        )
    try:
        reading = _processed(spec, files, options.cache / "datasets")
    except MissingPackageError:
        raise
    except DataError as error:
        raise DataError(f"{raw}: {error}; mend or replace it") from error
    if reading.left_out:
        all_graphs = reading.left_out + len(reading.graphs)
        origin += f" ({reading.left_out} of {all_graphs} that its reader rejects left out)"
    graphs, mark = reading.graphs, fingerprint(reading.graphs)
    return Dataset(spec.name, graphs, "real", origin, mark, options.version)


def _processed(spec: DatasetSpec, files: Mapping[str, bytes], folder: Path) -> Reading:
    """What the raw files hold, out of the cache where an earlier run has read them."""
    path = folder / f"{spec.name}-{_what_decides(files)}.graphs"
    try:
        return kept(path)
    except DamagedFileError:
        warnings.warn(f"{path} is damaged and is made again from the raw files", stacklevel=2)
    except OSError:
        pass
    reading = spec.read(files)
    try:
        keep(path, reading)
    except (OSError, GnnperfError) as error:
        # What was read is good; only the next run has to read it once more.
        warnings.warn(f"{path} cannot be kept ({error})", stacklevel=2)
    return reading


def _what_decides(files: Mapping[str, bytes]) -> str:
    """16 hex digits for the raw files and all that reads them."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()};".encode())
    for package in ("torch-geometric", "rdkit"):
        try:
            digest.update(f"{package} {version(package)};".encode())
        except PackageNotFoundError:
            digest.update(f"{package} missing;".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]
