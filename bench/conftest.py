"""What a plain run leaves out: proofs of our own code, which tell people nothing of theirs."""

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave proofs to `-m proof`, and to those who name their file."""
    if "proof" in config.option.markexpr:
        return
    base = config.invocation_params.dir
    named = {Path(base, argument.partition("::")[0]).resolve() for argument in config.args}
    proofs = [i for i in items if i.get_closest_marker("proof") and i.path not in named]
    if proofs:
        config.hook.pytest_deselected(items=proofs)
        items[:] = [item for item in items if item not in proofs]
