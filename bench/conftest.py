"""What a plain run leaves out: proofs of our own code, and in smoke most of what takes longest."""

from pathlib import Path

import pytest

SLOW_WORKLOAD = "proteins-hgpsl"
"""Its cases take longer than all others of smoke together; there it has one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave proofs to `-m proof`, and to those who name their file."""
    left_out = slow_in_smoke(config, items) + proofs(config, items)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def proofs(config, items):
    if "proof" in config.option.markexpr:
        return []
    base = config.invocation_params.dir
    named = {Path(base, argument.partition("::")[0]).resolve() for argument in config.args}
    return [i for i in items if i.get_closest_marker("proof") and i.path not in named]


def slow_in_smoke(config, items):
    """All but the first; what is named by its full id stays."""
    if config.getoption("gnnperf_preset") != "smoke":
        return []
    cases = [i for i in items if not i.get_closest_marker("proof") and is_slow(i)]
    return [item for item in cases[1:] if not any("[" in argument for argument in config.args)]


def is_slow(item):
    case = getattr(item, "callspec", None) and item.callspec.params.get("case")
    return getattr(case, "workload", None) == SLOW_WORKLOAD
