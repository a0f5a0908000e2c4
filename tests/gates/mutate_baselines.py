"""Damages a baseline file at random: whatever comes of it is read, or refused in one sentence.

python -m tests.gates.mutate_baselines [COUNT [SEED]]
"""

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

from gnnperf.errors import GnnperfError
from gnnperf.gates.acceptance import changes, scattered
from gnnperf.gates.baselines import BaselineError, parse, to_text
from gnnperf.gates.scores import judge_scores
from gnnperf.gates.verdicts import judge

from .records import TEST, baseline, record

PATH = Path("w.json")
ODD = (
    "1e30", "1e999", "-1e999", "1e-320", "-0.0", "NaN", "-Infinity", "9" * 400, "-" + "9" * 400,
    "9" * 5000, "0", "-1", "5", "5.0", "0.5", "0.50001", "true", "null", '""', '"\\ud800"',
    '"\\u0000\\u001b]0;title\\u0007"', "[]", "{}", "[1, 2]", '{"a": 1}', '{"a": 1, "a": 2}',
    "[" * 2000, '{"a":' * 2000, '"' + "x" * 100_000 + '"',
)  # fmt: skip
NAMES = ('"\\ud800"', '"\\u0000\\u001b]0;title\\u0007"', '"nonzeros"', '"macs"', '"x"', '""')
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.e+-]*|true|false|null|[][{},:]')


def text():
    """A file of three cases with everything that there can be."""
    tests = [TEST.replace("seed0", f"seed{n}") for n in range(3)]
    return to_text("w", dict.fromkeys(tests, baseline()))


def mutated(good, drawn):
    """One damaged text: a value replaced, a part taken out or doubled, a byte changed."""
    tokens = list(TOKEN.finditer(good))
    chosen, other = drawn.choice(tokens), drawn.choice(tokens)
    begin, end = chosen.span()
    kind = drawn.choice(("odd", "odd", "odd", "swap", "drop", "double", "flip", "cut", "key"))
    if kind == "odd":
        return good[:begin] + drawn.choice(ODD) + good[end:]
    if kind == "swap":
        return good[:begin] + other.group() + good[end:]
    if kind == "drop":
        return good[:begin] + good[end:]
    if kind == "double":
        return good[:end] + good[begin:]
    if kind == "cut":
        return good[:begin]
    if kind == "key":
        key = drawn.choice([t.group() for t in tokens if t.group().startswith('"')])
        return good.replace(key, drawn.choice(NAMES), 1)
    place = drawn.randrange(len(good))
    return good[:place] + chr(ord(good[place]) ^ (1 << drawn.randrange(7))) + good[place + 1 :]


def outcome(damaged):
    """`refused`, `other` or `same`; what else is raised is a fault, and so is a long sentence."""
    try:
        found = parse(damaged, PATH)
    except BaselineError as error:
        sentence = str(error)
        sentence.encode()
        assert len(sentence.splitlines()) == 1, sentence
        assert "w.json" in sentence, sentence
        return "refused"
    if found == parse(text(), PATH):
        return "same"
    # What is taken for a baseline must serve as one.
    to_text("w", found).encode()
    for test, case in found.items():
        list(scattered(test, case))
        list(changes(case, baseline()))
        for now in (record(), record(missing=["accuracy"], ratio=9.0)):
            try:
                verdict = judge(test, now, case, {}, strict=True)
                judge_scores({test: now}, found, {})
            except GnnperfError:
                continue
            assert json.dumps([f.sentence for f in verdict.findings]).isascii()
    return "other"


def run(count, seed):
    """How often what came of it; prints the damaged text that raised anything else."""
    drawn, good, counts = random.Random(seed), text(), Counter()
    for _ in range(count):
        damaged = mutated(good, drawn)
        try:
            counts[outcome(damaged)] += 1
        except Exception:
            print(damaged[:5000])
            raise
    return counts


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    print(dict(run(*(numbers + [2000, 0][len(numbers) :]))))
