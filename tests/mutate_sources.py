"""Do the tests notice when a comparison, a number or an operation is changed?

    python tests/mutate_sources.py [--count 60] [--seed 1] [--room gates ...]

Mutates one place at a time in a copy of the tree, runs the tests that mirror the file until one
fails, and prints the mutations that none noticed. Exits with 1 when there are any: read them, as
some change nothing that can be seen.
"""

import argparse
import ast
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Files of a room, and the tests that mirror them.
ROOMS = {
    "gates": ("gnnperf/gates/*.py", ["tests/gates"]),
    "records": ("gnnperf/records.py", ["tests/test_records.py"]),
    "codec": ("gnnperf/codec/[cdfhmsw]*.py", ["tests/codec"]),
}
OTHERS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
SECONDS_AT_MOST = 300


def mutations(tree: ast.Module) -> Iterator[tuple[ast.AST, str, object]]:
    """Places that can be changed: a node, its field, and what to put there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHERS:
            yield node, "ops", [OTHERS[type(node.ops[0])](), *node.ops[1:]]
        elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in OTHERS:
            yield node, "op", OTHERS[type(node.op)]()
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node, "value", node.value + 1
        elif isinstance(node, ast.IfExp):
            yield node, "test", ast.Constant(True)


def mutants(pattern: str) -> Iterator[tuple[Path, int]]:
    """Every file of a room with the number of each of its mutations."""
    for path in sorted(ROOT.glob(pattern)):
        for number, _ in enumerate(mutations(ast.parse(path.read_text()))):
            yield path.relative_to(ROOT), number


def mutated(text: str, number: int) -> tuple[str, str]:
    """The source with one mutation, and the line it is in with what it was and is."""
    tree = ast.parse(text)
    node, field, value = [*mutations(tree)][number]
    before = ast.unparse(node)
    setattr(node, field, value)
    line = getattr(node, "lineno", 0)
    return ast.unparse(tree), f"{line}: {before}  ->  {ast.unparse(node)}"


def noticed(folder: Path, tests: list[str]) -> bool:
    """Whether a test fails in the copy, or does not come to its end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS_AT_MOST
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--room", nargs="*", choices=[*ROOMS], default=[*ROOMS])
    options = parser.parse_args()
    draw = random.Random(options.seed)
    chosen = []
    for number, room in enumerate(options.room):
        pattern, tests = ROOMS[room]
        share = options.count // len(options.room) + (number < options.count % len(options.room))
        found = [*mutants(pattern)]
        chosen += [(path, n, tests) for path, n in draw.sample(found, min(share, len(found)))]
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("gnnperf", "tests", "baselines"):
            shutil.copytree(ROOT / part, folder / part)
        for part in ("conftest.py", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / part, folder / part)
        if any(noticed(folder, ROOMS[room][1]) for room in options.room):
            print("the tests fail as it is; mend them first")
            return 2
        for done, (path, number, tests) in enumerate(chosen, start=1):
            original = (ROOT / path).read_text()
            text, what = mutated(original, number)
            (folder / path).write_text(text)
            survived = not noticed(folder, tests)
            (folder / path).write_text(original)
            survivors += survived
            print(f"{done}/{len(chosen)} {'SURVIVED' if survived else 'noticed'} {path}:{what}")
            sys.stdout.flush()
    print(f"{len(chosen)} mutations, {survivors} not noticed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
