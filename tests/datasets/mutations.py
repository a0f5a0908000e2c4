"""Is damaged data ever taken for good data?

    python tests/datasets/mutations.py [--count 1000] [--seed 0] [--root DIR]

Raw files of each dataset, small made-up ones or those under DIR, are damaged at random and loaded
twice: as the published ones, and as another version that is named. So is the processed file in the
cache. Every load must end with the same data, with data under the version's name, or with one
sentence; exits with 1 when one ends with other data, a traceback, a crash, or not at all.
"""

import argparse
import hashlib
import json
import pickle
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from gnnperf.datasets import SPECS, DataError, DataOptions

DATASETS = ("cora_node", "proteins", "bbbp")
GOOD = ("refused", "same", "named")
MOST_SECONDS, MOST_BYTES = 30, 16 << 30
NUMBERS = (b"", b"-1", b"0", b"9", b"1.5", b"99999999999999999999", b"nan", b"1e300", b"x")
MOLECULES = ("CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(O)=O", "C(C", "[Cl].CC(C)NCC(O)C", "C1CCCCC1")


def small_cora(protocol=2):
    """Planetoid's eight files for 60 papers with 12 words and 3 subjects."""
    draw = np.random.default_rng(0)
    words = (draw.random((60, 12)) < 0.3).astype(np.float32)
    subjects = np.eye(3, dtype=np.int32)[draw.integers(0, 3, 60)]
    graph = defaultdict(list)
    for paper in range(60):
        graph[paper] = draw.integers(0, 60, 4).tolist()
    rows = {"": slice(10), "all": slice(40), "t": slice(40, 60)}
    content = {f"{part}x": csr_matrix(words[own]) for part, own in rows.items()}
    content |= {f"{part}y": subjects[own] for part, own in rows.items()}
    files = {
        name: pickle.dumps(value, protocol) for name, value in {**content, "graph": graph}.items()
    }
    files["test.index"] = b"".join(b"%d\n" % paper for paper in draw.permutation(np.arange(40, 60)))
    return {f"ind.cora.{name}": value for name, value in files.items()}


def small_proteins(graphs=8):
    """TUDataset's five files for chains of 3 to 10 elements."""
    draw = np.random.default_rng(0)
    first, lines = 1, defaultdict(list)
    for graph in range(1, graphs + 1):
        size = 3 + (graph - 1) % 8
        lines["graph_labels"].append(1 + graph % 2)
        for node in range(first, first + size):
            lines["graph_indicator"].append(graph)
            lines["node_labels"].append(node % 3)
            lines["node_attributes"].append(f" {draw.integers(1, 30)}.000000")
            if node > first:
                lines["A"] += [f"{node}, {node - 1}", f"{node - 1}, {node}"]
        first += size
    return {
        f"PROTEINS_{name}.txt": "".join(f"{line}\n" for line in some).encode()
        for name, some in lines.items()
    }


def small_bbbp():
    """MoleculeNet's file with 12 molecules, of which RDKit rejects two."""
    rows = (f"{number},some, name,{number % 2},{m}" for number, m in enumerate(MOLECULES * 2))
    return {"BBBP.csv": "\r\n".join(["num,name,p_np,smiles", *rows, ""]).encode()}


SMALL = {"cora_node": small_cora, "proteins": small_proteins, "bbbp": small_bbbp}


def published(name, files):
    """The dataset, as if these files were the published ones."""
    spec = SPECS[name]
    digests = {f: hashlib.sha256(spec.canonical(files[f])).hexdigest() for f in spec.raw_files}
    return replace(spec, raw_files=digests)


def write(root, spec, files):
    """Lay the files out as a data root has them."""
    raw = root / spec.folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (raw / name).write_bytes(content)


def damaged(content, draw):
    """The content with one thing wrong."""
    start, size = draw.randrange(len(content) + 1), draw.choice((1, 2, 7, 100))
    end = min(start + size, len(content))
    lines = content.splitlines(keepends=True)
    line = draw.randrange(len(lines)) if lines else 0
    numbers = list(re.finditer(rb"[0-9.]+", content))
    number = draw.choice(numbers) if numbers else None
    kind = draw.randrange(11)
    if kind <= 2 and start < len(content):
        flipped = content[start] ^ 1 << draw.randrange(8)
        return content[:start] + bytes([flipped]) + content[start + 1 :]
    if kind == 3:
        return content[:start] + content[end:]
    if kind == 4:
        return content[:end] + content[start:]
    if kind == 5:
        return content[:start]
    if kind == 6:
        return content[:start] + draw.randbytes(size) + content[end:]
    if kind == 7:
        return b"".join(draw.sample(lines, len(lines)))
    if kind == 8:
        return b"".join([*lines[:line], b"\n", *lines[line:]])
    if kind == 9:
        return content[:start] + b"\xff\xfe\x80" + content[start:]
    if number is None:
        return b""
    return content[: number.start()] + draw.choice(NUMBERS) + content[number.end() :]


def outcome(spec, options, good):
    """How a load ends, in a word; `good` is the fingerprint of the data before the damage."""
    try:
        dataset = spec.load(options)
    except DataError as error:
        tidy = str(error).isprintable() and len(str(error)) < 1000
        return "refused" if tidy else "untidy sentence"
    except BaseException as error:  # Whatever a user would see as a traceback.
        return f"traceback {type(error).__name__}"
    if dataset.key == spec.name:
        return "same" if dataset.fingerprint == good else "SILENTLY DIFFERENT"
    return "named" if dataset.key == f"{spec.name}~other" else "NAMED WRONGLY"


def mutate(name, files, numbers, seed, folder):
    """Damage the files once for each number; yields the number and how its three loads ended."""
    spec = published(name, files)
    root, cache = folder / "root", folder / "cache"
    write(root, spec, files)
    plain, other = (DataOptions("auto", root, cache, version) for version in (None, "other"))
    good = spec.load(plain).fingerprint
    (processed,) = (cache / "datasets").iterdir()
    whole = processed.read_bytes()
    for number in numbers:
        draw = random.Random(f"{seed} {name} {number}")
        file = draw.choice(sorted(files))
        write(root, spec, {file: damaged(files[file], draw)})
        ends = [outcome(spec, options, good) for options in (plain, other)]
        write(root, spec, {file: files[file]})
        processed.write_bytes(damaged(whole, draw))
        ends.append(outcome(spec, plain, good))
        processed.write_bytes(whole)
        for path in set(processed.parent.iterdir()) - {processed}:
            path.unlink()
        yield number, ends


def work(name, seed, first, last, root):
    """In a process of its own, which may crash: one line of JSON for each number."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    warnings.simplefilter("ignore")
    spec = SPECS[name]
    files = SMALL[name]()
    if root:
        raw = Path(root) / spec.folder / "raw"
        files = {file: (raw / file).read_bytes() for file in spec.raw_files}
    with tempfile.TemporaryDirectory() as folder:
        for number, ends in mutate(name, files, range(first, last), seed, Path(folder)):
            print(json.dumps([number, ends]), flush=True)
            signal.alarm(MOST_SECONDS)


def survey(name, count, seed, root):
    """How all loads ended, counted; what is not among GOOD with the number of its damage."""
    ends, first = Counter(), 0
    while first < count:
        command = [
            sys.executable,
            __file__,
            "--work",
            name,
            str(seed),
            str(first),
            str(count),
            root,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            number, three = json.loads(line)
            ends.update(end if end in GOOD else f"{end} (number {number})" for end in three)
            first = number + 1
        if done.returncode:
            print(done.stderr[-500:], file=sys.stderr)
            ends[f"CRASH {done.returncode} (number {first})"] += 1
            first += 1
    return ends


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="damages a dataset")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", default="", help="folder with real raw files to damage")
    options = parser.parse_args()
    faults = 0
    for name in DATASETS:
        ends = survey(name, options.count, options.seed, options.root)
        print(f"{name}: {options.count} damages, {sum(ends.values())} loads:", dict(ends))
        faults += sum(times for end, times in ends.items() if end not in GOOD)
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        name, seed, first, last, root = sys.argv[2:]
        work(name, int(seed), int(first), int(last), root)
    else:
        sys.exit(main())
