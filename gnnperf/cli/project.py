"""A project's own workloads and methods, registered by importing what registers them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from gnnperf.errors import GnnperfError


def import_project(text: str) -> ModuleType:
    """Import a file (`conftest.py`) or a module (`mynets.bench`), from the current folder too.

    The file's folder is then searched for modules, as pytest does. Raises GnnperfError, with the
    first line of whatever the import raised.
    """
    path = Path(text)
    try:
        if path.suffix == ".py" or path.exists():
            return _import_file(path)
        sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(text)
    except GnnperfError:
        raise
    except Exception as error:  # Whatever a project's code raises.
        reason = str(error).strip().partition("\n")[0]
        raise GnnperfError(
            f"{text} cannot be imported ({type(error).__name__}: {reason}); name a file or a "
            "module that registers workloads"
        ) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise GnnperfError(f"{path} is no file; name a conftest.py, or a module")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise GnnperfError(f"{path} is no Python file; name a conftest.py, or a module")
    module = importlib.util.module_from_spec(spec)
    # The keys of cached trainings look sources up here.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
