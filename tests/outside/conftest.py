"""What a plain run leaves out: a minute of cases, which CI runs once."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave the long part to `-m outside`."""
    if "outside" in config.option.markexpr:
        return
    others = [item for item in items if item.get_closest_marker("outside")]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
