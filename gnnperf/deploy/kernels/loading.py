"""The compiled kernels where numba is there, and why not elsewhere."""

from __future__ import annotations

import functools
import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import platformdirs

from gnnperf.errors import GnnperfError
from gnnperf.system.files import writable_folder

OLDEST = (0, 61)
CACHE_VARIABLE = "NUMBA_CACHE_DIR"


@functools.cache
def compiled() -> ModuleType | str:
    """The module of kernels, or in one sentence why there is none; loaded once."""
    # Where numba first looks for a place to keep code; without one it refuses to import what is
    # to be kept, as in an installation that can only be read.
    with _kept_in(_folder()):
        try:
            numba = importlib.import_module("numba")
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "numba":
                return "numba is not installed; pip install 'gnnperf[fast]'"
            return f"numba does not load ({' '.join(str(error).split())}); reinstall gnnperf[fast]"
        version: str = numba.__version__
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            return f"numba {version} is too old; pip install -U 'gnnperf[fast]'"
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = os.environ[CACHE_VARIABLE]
        try:
            return importlib.import_module("gnnperf.deploy.kernels.compiled")
        finally:
            numba.config.CACHE_DIR = before


def kernels() -> ModuleType | None:
    """The module of kernels; None: torch computes in its place."""
    module = compiled()
    return None if isinstance(module, str) else module


def computed_by() -> str:
    """What runs: `numba 0.61.0`, or `torch`, which gives the same, slower."""
    return f"numba {importlib.import_module('numba').__version__}" if kernels() else "torch"


def compilations() -> int:
    """How many versions of kernels have been compiled, or read from the cache, so far."""
    module = kernels()
    if module is None:
        return 0
    every = (module.spmm, module.convert, module.segment_max, module.sparse_linear)
    return sum(len(kernel.signatures) for kernel in every)


def missing() -> str | None:
    """Why there are no kernels, in one sentence; None: there are."""
    module = compiled()
    return module if isinstance(module, str) else None


def _folder() -> Path:
    """Where machine code is kept, by what it was made of: numba itself goes by the file's time."""
    digest = sha256((Path(__file__).parent / "compiled.py").read_bytes()).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("gnnperf")) / "kernels" / digest
    try:
        return writable_folder(folder, "XDG_CACHE_HOME")
    except GnnperfError:
        # Compiled anew in each process.
        return Path(tempfile.mkdtemp(prefix="gnnperf-kernels-"))


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """numba's folder inside, unless the user chose one."""
    chosen = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = chosen or str(folder)
    try:
        yield
    finally:
        if chosen is None:
            del os.environ[CACHE_VARIABLE]
