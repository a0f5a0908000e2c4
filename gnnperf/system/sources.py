"""Which source files a piece of code rests on, found by following imports, and their digest.

What a cached result depends on is so known without a list that somebody must keep.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

_LIBRARIES = tuple(
    Path(folder).resolve()
    for folder in {*map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))}
)


@dataclass(frozen=True)
class _Import:
    """`from module import name`, or `import module` where the name is empty; absolute."""

    module: str
    name: str
    bound: str


@dataclass(frozen=True)
class _Source:
    """A module's file.

    Attributes:
        digest: SHA-256 of the file.
        imports: all of it, those inside functions too.
        defines: names that it binds by anything but an import.
    """

    digest: str
    imports: tuple[_Import, ...]
    defines: frozenset[str]


def module_of(part: Any) -> str:
    """The module that a class, a function, a partial or a callable object comes from."""
    while isinstance(part, functools.partial):
        part = part.func
    part = getattr(part, "__self__", part) if hasattr(part, "__func__") else part
    named = part if hasattr(part, "__qualname__") else type(part)
    return str(named.__module__)


def code_digest(parts: Iterable[Any]) -> str:
    """SHA-256 over the files of the parts and of all that they import, directly or not.

    Args:
        parts: module names, classes, functions, callable objects.

    Files of gnnperf, of the packages that the parts are from, and of whatever is no library count
    by their content, libraries by their version. A package's `__init__` stands for the files that
    the imported names come from.
    """
    roots = {part if isinstance(part, str) else module_of(part) for part in parts}
    digest = hashlib.sha256()
    for line in sorted(_lines(roots)):
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def _lines(roots: set[str]) -> Iterator[str]:
    """What the digest is over: a line a file or library."""
    own = {"gnnperf", *(name.partition(".")[0] for name in roots)} - {"torch", "torch_geometric"}
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        top = name.partition(".")[0]
        source = _source(name) if top in own or not _is_library(top) else None
        if source is None:
            yield f"{top} {_version(top)}"
            continue
        yield f"{name} {source.digest}"
        waiting.extend(found for one in source.imports for found in _origins(one))


@functools.cache
def _version(top: str) -> str:
    """Of a library, whether it is loaded or not; empty of the standard library."""
    if top in sys.stdlib_module_names:
        return ""
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(top, ())
        return " ".join(sorted({importlib.metadata.version(name) for name in names}))


def _origins(one: _Import) -> Iterator[str]:
    """The modules that an import brings in."""
    if not one.name:
        yield one.module
        return
    source = None if _is_library(one.module.partition(".")[0]) else _source(one.module)
    defined = source is None or one.name == "*" or one.name in source.defines
    if source is None or defined or not _is_package(one.module):
        yield one.module
        return
    passed_on = [i for i in source.imports if i.bound == one.name and i != one]
    submodule = f"{one.module}.{one.name}"
    if passed_on:
        for behind in passed_on:
            yield from _origins(behind)
    else:
        yield submodule if _spec(submodule) is not None else one.module


@functools.cache
def _source(name: str) -> _Source | None:
    """The module's source as it is when first asked for; None where there is no file to read."""
    path = _file(name)
    try:
        text = None if path is None else path.read_bytes()
        tree = None if text is None else ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return None
    if text is None or tree is None:
        return None
    package = name if _is_package(name) else name.rpartition(".")[0]
    imports = tuple(_imports(tree, package))
    bound = {i.bound for i in imports}
    return _Source(hashlib.sha256(text).hexdigest(), imports, frozenset(_names(tree) - bound))


_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
"""What an import can stand in: most of a file are expressions, which take time to walk."""


def _imports(node: ast.AST, package: str) -> Iterator[_Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield _Import(alias.name, "", bound)
        elif isinstance(child, ast.ImportFrom):
            module = _absolute(child, package)
            for alias in child.names:
                yield _Import(module, alias.name, alias.asname or alias.name)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif isinstance(child, _STATEMENTS):
            yield from _imports(child, package)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.split(".")
    return ".".join([*base[: len(base) - node.level + 1], *filter(None, [node.module])])


def _names(tree: ast.Module) -> set[str]:
    """What the top level binds."""
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        else:
            names |= {
                n.id
                for n in ast.walk(node)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
    return names


@functools.cache
def _spec(name: str) -> ModuleSpec | None:
    """How the module would be found; one that is loaded already, as it was."""
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__spec__", None) is not None:
        return loaded.__spec__
    try:
        return importlib.util.find_spec(name)
    except Exception:  # Its package is none, or raises what it likes when it is loaded.
        return None


def _file(name: str) -> Path | None:
    loaded, spec = sys.modules.get(name), _spec(name)
    origin = getattr(loaded, "__file__", None) or (spec.origin if spec is not None else None)
    return Path(origin) if origin and origin.endswith(".py") else None


def _is_package(name: str) -> bool:
    spec = _spec(name)
    return spec is not None and spec.submodule_search_locations is not None


@functools.cache
def _is_library(top: str) -> bool:
    """Whether a top-level package is the standard library's or an installed one; gnnperf is not."""
    if top == "gnnperf":
        return False
    path = _file(top)
    if path is None:
        # A namespace has no file of its own; what lies in it may.
        return not _is_package(top)
    return any(folder in path.resolve().parents for folder in _LIBRARIES)
