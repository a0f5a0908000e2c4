"""Cases chosen by workload and recipe, in whatever file they are."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches

import pytest

from gnnperf.plugin.shared import case_of, shown

_FIELDS = ("workload", "recipe")
_ABSENT = pytest.StashKey["list[str]"]()
"""Of the run: a line for each name that there is, and that none of its cases has."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which cases to run."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-workloads",
        metavar="LIST",
        help="run the cases of these workloads alone, cora_node-spline,bbbp-*; * is any text",
    )
    group.addoption(
        "--gnnperf-recipes",
        metavar="LIST",
        help="run the cases of these recipes alone, global@0.5,lottery@*; * is any text",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a list with nothing between its commas."""
    for field in _FIELDS:
        text = config.getoption(f"gnnperf_{field}s")
        if text is not None and not all(split_names(text)):
            raise pytest.UsageError(
                f"--gnnperf-{field}s {shown(text)}: name {field}s with a comma between them"
            )


def split_names(text: str) -> list[str]:
    """The names in a list; `lottery@0.8:rounds=3,rewind=2+ptq@int8` is one.

    A comma belongs to the recipe where options have begun with a colon and what follows begins no
    recipe.
    """
    names: list[str] = []
    for part in text.split(","):
        if names and ":" in names[-1] and part and not _begins_recipe(part.strip()):
            names[-1] += f",{part}"
        else:
            names.append(part.strip())
    return names


def _begins_recipe(part: str) -> bool:
    """Whether it begins with a method, or a pattern, and its argument; or is a method alone."""
    return re.match(r"[\w*-]+@", part) is not None or _is_bare_method(re.split(r"[+*]", part)[0])


def _is_bare_method(name: str) -> bool:
    from gnnperf.recipes import METHODS

    return name in METHODS and METHODS[name].parse is None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave the cases that were chosen; tests without a case go too."""
    texts = {field: config.getoption(f"gnnperf_{field}s") for field in _FIELDS}
    chosen = {field: split_names(text) for field, text in texts.items() if text is not None}
    if not chosen:
        return
    # What is not collected may hold the name: files that fail, and others of a fresh process. A
    # worker of pytest-xdist has no way to refuse.
    complete = not (
        session.testsfailed
        or config.getoption("gnnperf_again", default=None)
        or hasattr(config, "workerinput")
    )
    cases = {item: case for item in items if (case := case_of(item)) is not None}
    for field, names in chosen.items():
        there = sorted({getattr(case, field) for case in cases.values()})
        names[:] = [_canonical(field, name) for name in names]
        if complete:
            _check(config, field, names, there)
    kept = [
        item
        for item, case in cases.items()
        if all(_matches(getattr(case, field), names) for field, names in chosen.items())
    ]
    left = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = kept


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) for pattern in patterns
    )


def _canonical(field: str, name: str) -> str:
    """A recipe's own spelling, `global@0.5` for `global@0.50`; else the name."""
    from gnnperf.compression import RecipeError
    from gnnperf.recipes import parse_recipe

    if field == "workload" or "*" in name:
        return name
    try:
        return parse_recipe(name).text
    except RecipeError:
        return name


def _check(
    config: pytest.Config, field: str, names: Collection[str], there: Collection[str]
) -> None:
    """Refuse a name that there is not; remember those that no collected case has."""
    for name in names:
        if _matches_any(name, there):
            continue
        exists = _is_workload(name) if field == "workload" else _is_recipe(name)
        near = get_close_matches(name, there or _registered(field), 1, cutoff=0)
        option = f"--gnnperf-{field}s {shown(name)}"
        if not exists:
            raise pytest.UsageError(f"{option}: there is no such {field}; the nearest is {near[0]}")
        nearest = f"the nearest is {near[0]}" if there else "there are no cases at all"
        line = f"gnnperf: {option}: no case collected here has it; {nearest}"
        config.stash.setdefault(_ABSENT, []).append(line)


def _matches_any(pattern: str, names: Collection[str]) -> bool:
    return any(_matches(name, [pattern]) for name in names)


def _registered(field: str) -> list[str]:
    from gnnperf.recipes import METHODS
    from gnnperf.workloads import WORKLOADS

    if field == "workload":
        return sorted(WORKLOADS)
    return [method.pattern(name) for name, method in sorted(METHODS.items())]


def _is_workload(name: str) -> bool:
    return _matches_any(name, _registered("workload"))


def _is_recipe(name: str) -> bool:
    """Whether it can be parsed; of a pattern, whether a method is called as it begins."""
    from gnnperf.compression import RecipeError
    from gnnperf.recipes import METHODS, parse_recipe

    if "*" in name:
        method, mark, _ = re.split(r"([@*+=])", name, maxsplit=1)
        return method in METHODS if mark != "*" else any(m.startswith(method) for m in METHODS)
    try:
        parse_recipe(name)
    except RecipeError:
        return False
    return True


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Name what was chosen and is not there."""
    return config.stash.get(_ABSENT, [])
