import os
import shutil
import sys
from pathlib import Path

import pytest

# torch is imported where it is needed: the process that starts pytest-xdist's workers needs none.

# The runs that tests start are no workers of pytest-xdist, though a test may run in one; and what
# they print depends on no terminal that a shell or a CI describes.
TERMINAL = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CI", "BUILD_NUMBER")
for name in list(os.environ):
    if name.startswith("PYTEST_XDIST_") or name in TERMINAL:
        del os.environ[name]
# Processes that tests start find the functions that tests hand to them.
_ROOT = str(Path(__file__).parents[1])
sys.path.insert(0, _ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave the long part to `-m long`."""
    if "long" not in config.option.markexpr and (
        others := [item for item in items if item.get_closest_marker("long")]
    ):
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def real_data():
    """The data root with the real raw files; tests that need it are skipped without."""
    root = Path(os.environ.get("GNNPERF_DATA", "nowhere")).resolve()
    if not (root / "Cora" / "raw").is_dir():
        pytest.skip("GNNPERF_DATA names no folder with real data")
    return root


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory, pytestconfig):
    """One cache for all tests that only want trained models, and for all workers."""
    if hasattr(pytestconfig, "workerinput"):
        return tmp_path_factory.getbasetemp().parent / "cache"
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_cache(spline_base, shared_cache, tmp_path):
    """A cache of a test's own, in which the spline base on Cora's stand-in is trained already."""
    checkpoints = tmp_path / "cache" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for path in (shared_cache / "checkpoints").glob("cora_node~synthetic-spline-seed0-*.ckpt"):
        shutil.copy(path, checkpoints)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def synthetic_bench(shared_cache):
    """A workbench on the stand-ins."""
    import torch

    from gnnperf.datasets import DataOptions
    from gnnperf.study.workbench import Workbench, WorkbenchOptions

    options = DataOptions("synthetic", None, shared_cache)
    return Workbench(WorkbenchOptions(options, torch.device("cpu"), 1))


@pytest.fixture(scope="session")
def spline_base(synthetic_bench):
    """SplineNet trained on Cora's stand-in; do not change its model."""
    return synthetic_bench.trained("cora_node-spline", 0)


PRUNING_TEST = """
import pytest
from gnnperf.recipes import compress

@pytest.mark.gnnperf_cases(
    workloads=["cora_node-spline"],
    recipes=lambda preset: [f"global@{s}" for s in preset.sparsities],
)
def test_pruning(case, trained, measure):
    record = measure(compress(trained(case.workload, case.seed), case.recipe))
    assert record.value("accuracy") > record.value("majority")
"""


@pytest.fixture
def project(pytester, shared_cache, monkeypatch):
    """A foreign project with one test over Cora's stand-in; call it with pytest's options."""
    monkeypatch.delenv("GNNPERF_DATA", raising=False)
    pytester.makepyfile(test_project=PRUNING_TEST)

    def run(*options):
        defaults = ("--gnnperf-data=synthetic", f"--gnnperf-cache={shared_cache}")
        return pytester.runpytest(*defaults, "--gnnperf-preset=smoke", *options)

    return run


@pytest.fixture(autouse=True)
def _other_projects_forgotten(request):
    """Projects that a test runs in this process have modules of the same names."""
    yield
    if "pytester" in request.fixturenames:
        from gnnperf.system import sources

        for known in (sources._source, sources._spec, sources._is_library):
            known.cache_clear()


@pytest.fixture(autouse=True)
def _plugins_switched_off(request, monkeypatch):
    """In pytests that a test runs, as pyproject.toml does in this one: they would shuffle tests."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # It clears the variable.
        off = ("randomly", "repeat", "rerunfailures", "timeout", "html", "pytest_cov", "subtests")
        monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-pno:{name}" for name in off))
