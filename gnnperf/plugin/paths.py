"""The project's root, where pytest took the value of an option of ours for a test path."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: Sequence[str]) -> None:
    """Refuse `--gnnperf-cache DIR` where DIR moves the root that ids, settings and limits hang on.

    pytest looks for the root before it knows the options of plugins, so that it takes for a test
    path whatever stands behind one after a space and exists.
    """
    known = early_config.known_args_namespace
    behind = list(_behind_options(args, known.file_or_dir))
    if not behind:
        return
    meant = _root(early_config, known.file_or_dir)
    for option, value in behind:
        if _root(early_config, [*known.file_or_dir, value]) != meant:
            raise pytest.UsageError(
                f"{option} {value}: behind a space pytest takes it for a test path and looks there "
                f"for the project's settings; write {option}={value}"
            )


def _behind_options(args: Sequence[str], tests: Sequence[str]) -> Iterator[tuple[str, str]]:
    for option, value in pairwise(args):
        if option.startswith("--gnnperf-") and "=" not in option and value not in tests:
            yield option, value


def _root(config: pytest.Config, tests: Sequence[str]) -> tuple[Path, Path | None]:
    """The root and the file of settings that pytest finds with these test paths."""
    # Public there is only what it found; its parameters differ from version to version.
    from _pytest.config.findpaths import determine_setup

    known = config.known_args_namespace
    parameters: dict[str, Any] = {
        "inifile": known.inifilename,
        "override_ini": None,
        "args": tests,
        "rootdir_cmd_arg": known.rootdir or None,
        "invocation_dir": config.invocation_params.dir,
    }
    taken = inspect.signature(determine_setup).parameters
    root, settings, *_ = determine_setup(**{k: v for k, v in parameters.items() if k in taken})
    return root, settings
