"""The kernels where numba is there, and the sentence where it is not."""

import os
import sys
import types
from hashlib import sha256
from pathlib import Path

import pytest

from gnnperf.deploy import kernels
from gnnperf.deploy.kernels import loading

needs_numba = pytest.mark.skipif(
    kernels.missing() is not None, reason=kernels.missing() or "there is numba"
)


@pytest.fixture
def load(monkeypatch):
    loading.compiled.cache_clear()
    yield loading.compiled
    loading.compiled.cache_clear()


def test_without_numba_it_says_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert load() == "numba is not installed; pip install 'gnnperf[fast]'"
    assert loading.kernels() is None
    assert kernels.computed_by() == "torch"
    assert kernels.missing() == load()


@pytest.mark.parametrize(("version", "reason"), [("0.60.9", True), ("0.61.0", False)])
def test_an_old_numba_is_refused(version, reason, load, monkeypatch):
    old = types.SimpleNamespace(__version__=version, config=types.SimpleNamespace(CACHE_DIR=""))
    monkeypatch.setitem(sys.modules, "numba", old)
    monkeypatch.setitem(sys.modules, "gnnperf.deploy.kernels.compiled", types.ModuleType("stub"))
    assert (load() == f"numba {version} is too old; pip install -U 'gnnperf[fast]'") == reason


def test_a_numba_that_does_not_load_says_why(load, monkeypatch):
    def refuse(name):
        raise ImportError("Numba needs NumPy 2.5 or less")

    monkeypatch.setattr(loading.importlib, "import_module", refuse)
    assert "numba does not load (Numba needs NumPy 2.5 or less); reinstall" in load()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where the cache is, empty; and kernels that are not loaded yet."""
    monkeypatch.setattr(loading.platformdirs, "user_cache_dir", lambda name: tmp_path / name)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(loading.tempfile, "tempdir", None)
    monkeypatch.delenv(loading.CACHE_VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "gnnperf.deploy.kernels.compiled", raising=False)
    return tmp_path


def kept_at(module):
    return Path(module.convert._cache.cache_path)


@needs_numba
def test_code_is_kept_in_our_cache_by_its_source(load, cache):
    numbas = sys.modules["numba"].config.CACHE_DIR if "numba" in sys.modules else ""
    folder = kept_at(load())
    digest = sha256(Path(load().__file__).read_bytes()).hexdigest()[:16]
    assert folder.is_relative_to(cache / "gnnperf" / "kernels" / digest)
    # What others keep is not ours to move.
    assert loading.CACHE_VARIABLE not in os.environ
    assert numbas == sys.modules["numba"].config.CACHE_DIR


@needs_numba
def test_a_cache_of_ones_own_is_taken(load, cache, monkeypatch):
    monkeypatch.setenv(loading.CACHE_VARIABLE, str(cache / "mine"))
    assert kept_at(load()).is_relative_to(cache / "mine")
    assert os.environ[loading.CACHE_VARIABLE] == str(cache / "mine")


@needs_numba
def test_a_cache_that_cannot_be_written_is_done_without(load, cache):
    (cache / "gnnperf").write_text("no folder")
    folder = kept_at(load())
    assert folder.relative_to(cache).parts[0].startswith("gnnperf-kernels-")
