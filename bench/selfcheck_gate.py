"""Does the gate find what got worse, and cry no wolf?

    python bench/selfcheck_gate.py [--runs 40] [--folder DIR] [--anew]

A suite of six cases on the stand-ins is accepted once, then gated in fresh processes while another
process keeps one core busy, which this script starts and stops. Runs without any change alternate
with runs in which three cases got worse, each in its own way and for real:

- slow: a busy loop behind each forward takes 10 % of the forward's own CPU time;
- byte: the stored state holds one more byte;
- drop: so many predictions on the test part are wrong that accuracy falls by 0.02.

Every run is kept in the folder: stopped and started again it goes on where it was. Exits with 1
unless no more than 1 in 40 runs without a change fails, 38 of 40 slow-downs are found, and every
byte and drop.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFTEST = '''
import os
import time

import torch
from gnnperf.compression.compressed import Deployed
from gnnperf.compression.masks import deployed_state
from gnnperf.study.sizes import verified_bytes

INJECTED = os.environ.get("SELFCHECK_INJECT") == "1"
SLOWDOWN, DROP = 0.10, 0.02


def slowed(model):
    begin = [0.0]

    def before(module, inputs):
        begin[0] = time.process_time()

    def after(module, inputs, output):
        end = begin[0] + (time.process_time() - begin[0]) * (1 + SLOWDOWN)
        while time.process_time() < end:
            pass

    model.register_forward_pre_hook(before)
    model.register_forward_hook(after)


def misled(model, batch):
    """So many of the test part's right predictions become wrong ones."""
    with torch.inference_mode():
        logits = model(batch)
    targets = batch.target_index
    right = targets[logits[targets].argmax(-1) == batch.y[targets]]
    nodes = right[: round(DROP * len(targets))]
    wrong = (batch.y[nodes] + 1) % logits.size(1)

    def after(module, inputs, output):
        output[nodes, wrong] = 1e9

    model.register_forward_hook(after)


class Padded(Deployed):
    """The model, stored with bytes that no codec makes smaller."""

    def __init__(self, model, padding_bytes):
        super().__init__()
        self.model = model
        noise = torch.Generator().manual_seed(0)
        self.padding = torch.randint(256, (padding_bytes,), generator=noise, dtype=torch.uint8)

    def forward(self, data):
        return self.model(data)

    def state(self):
        return {**deployed_state(self.model), "padding": self.padding}


def padded(model):
    """With so much padding that one byte more, if injected, is one byte more in the file."""

    def stored(padding_bytes):
        return verified_bytes(Padded(model, padding_bytes).state())

    some = next(n for n in range(300, 400) if stored(n + 1) == stored(n) + 1)
    return Padded(model, some + INJECTED)
'''

TESTS = """
import json
import os
import time
from dataclasses import replace

import pytest
from conftest import INJECTED, misled, padded, slowed
from gnnperf.recipes import compress

SLOW, BYTE, DROP = (os.environ[f"SELFCHECK_{name}"] for name in ("SLOW", "BYTE", "DROP"))


@pytest.mark.gnnperf_cases(
    workloads=["cora_node-spline", "cora_link-ness", "bbbp-gin"],
    recipes=["global@0.5", "layer@0.5"],
)
def test_case(case, trained, measure):
    compressed = compress(trained(case.workload, case.seed), case.recipe)
    name = f"{case.workload}-{case.recipe}"
    if name == SLOW and INJECTED:
        slowed(compressed.model)
    if name == DROP and INJECTED:
        misled(compressed.model, compressed.twin.parts.test[0])
    if name == BYTE:
        compressed = replace(compressed, deployed=padded(compressed.model))
    begin = time.perf_counter()
    measure(compressed)
    with open(os.environ["SELFCHECK_SECONDS"], "a") as file:
        print(json.dumps([name, time.perf_counter() - begin]), file=file)
"""

# The slow-down goes to the case whose ratio scatters most.
CASES = {
    "slow": ("cora_link-ness-global@0.5", "cpu_ratio"),
    "byte": ("bbbp-gin-layer@0.5", "stored_bytes"),
    "drop": ("cora_node-spline-global@0.5", "accuracy"),
}
LEAST_FOUND = {"slow": 38 / 40, "byte": 1.0, "drop": 1.0}
MOST_FALSE_ALARMS = 1 / 40
MOST_SECONDS = 4.0


def write_suite(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_suite.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")


def pytest_run(folder, *options, injected=False):
    environment = {
        **os.environ,
        **{f"SELFCHECK_{name.upper()}": case for name, (case, _) in CASES.items()},
        "SELFCHECK_INJECT": str(int(injected)),
        "SELFCHECK_SECONDS": str(folder / "seconds.jsonl"),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_suite.py"]
    fixed = ("--gnnperf-data=synthetic", "--gnnperf-device=cpu")
    return subprocess.run(
        [*command, *fixed, *options],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def gate_run(folder, injected):
    """One run's findings: what failed, by case and reading, and how long measuring took."""
    report, seconds = folder / "report.json", folder / "seconds.jsonl"
    report.unlink(missing_ok=True)
    seconds.unlink(missing_ok=True)
    begin = time.perf_counter()
    done = pytest_run(folder, "--gnnperf-gate", f"--gnnperf-json={report}", injected=injected)
    if done.returncode not in (0, 1) or not report.exists():
        sys.exit(f"a gate run ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    cases = json.loads(report.read_text())["cases"]
    findings = [{**f, "test": case["test"]} for case in cases for f in case["findings"]]
    measuring = [json.loads(line) for line in seconds.read_text().splitlines()]
    return {
        "injected": injected,
        "exit": done.returncode,
        "regressed": [f for f in findings if f["verdict"] in ("regressed", "gone")],
        "noise": [f["sentence"] for f in findings if "counts as noise" in f["sentence"]],
        "measuring_seconds": max(taken for _, taken in measuring),
        "wall_seconds": time.perf_counter() - begin,
    }


def found(run):
    """Which of the three were found, and what else was called a regression elsewhere."""
    hits, others = dict.fromkeys(CASES, False), []
    for finding in run["regressed"]:
        case = rename(finding["test"])
        names = [name for name, (chosen, _) in CASES.items() if chosen == case and run["injected"]]
        for name in names:
            hits[name] |= finding["metric"] == CASES[name][1]
        if not names:
            others.append(f"{finding['test']}: {finding['metric']}")
    return hits, others


def rename(test):
    """The case in a test's id, as if its data were real and without its seed."""
    return test.partition("[")[2].replace("~synthetic", "").partition("-seed")[0]


def show(number, runs, run):
    hits, others = found(run)
    if run["injected"]:
        what = ", ".join(f"{name} {'found' if hit else 'MISSED'}" for name, hit in hits.items())
    else:
        what = "no alarm" if run["exit"] == 0 else "FALSE ALARM"
    extra = f"; also {', '.join(others)}" if others and run["injected"] else ""
    noise = f"; {len(run['noise'])} suspicions not confirmed" if run["noise"] else ""
    kind = "three got worse" if run["injected"] else "no change      "
    seconds = f"{run['wall_seconds']:.0f} s, a case measured in {run['measuring_seconds']:.1f} s"
    print(f"run {number:>2} of {runs}, {kind}: {what}{extra}{noise} ({seconds})", flush=True)


def summary(done, runs):
    """Prints the counts; 0 when the promises hold."""
    clean = [run for run in done if not run["injected"]]
    worse = [found(run) for run in done if run["injected"]]
    alarms = sum(run["exit"] != 0 for run in clean)
    print(f"false alarms at no change: {alarms} of {len(clean)} runs of six cases")
    beside = sum(bool(others) for _, others in worse)
    print(f"alarms in a case that did not change, beside the three: {beside} of {len(worse)} runs")
    kept = alarms <= max(MOST_FALSE_ALARMS * len(clean), 0)
    labels = {"slow": "a slow-down of 10 %", "byte": "one more byte", "drop": "a drop of 0.02"}
    for name, label in labels.items():
        hits = sum(hits[name] for hits, _ in worse)
        print(f"{label} was found in {hits} of {len(worse)} runs")
        kept &= hits >= LEAST_FOUND[name] * len(worse)
    slowest = max(run["measuring_seconds"] for run in done)
    print(f"measuring a case took at most {slowest:.1f} s")
    return int(not kept or slowest > MOST_SECONDS or len(clean) < runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="of each kind (default: 40)")
    default = Path(tempfile.gettempdir()) / "gnnperf-selfcheck-gate"
    parser.add_argument("--folder", type=Path, default=default, help=f"default: {default}")
    parser.add_argument("--anew", action="store_true", help="forget the runs of before")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: run at least once")
    folder, kept = options.folder.resolve(), options.folder.resolve() / "runs.jsonl"
    if options.anew:
        shutil.rmtree(folder, ignore_errors=True)
    write_suite(folder)
    load = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        if not any((folder / "baselines").glob("*.json")):
            kept.unlink(missing_ok=True)
            print("accepting the suite's baselines", flush=True)
            done = pytest_run(folder, "--gnnperf-accept")
            if done.returncode:
                sys.exit(f"accepting failed:\n{done.stdout}\n{done.stderr}")
        runs = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
        for number, run in enumerate(runs[: 2 * options.runs]):
            show(number // 2 + 1, options.runs, run)
        for number in range(len(runs), 2 * options.runs):
            run = gate_run(folder, injected=bool(number % 2))
            with open(kept, "a") as file:
                print(json.dumps(run), file=file)
            runs.append(run)
            show(number // 2 + 1, options.runs, run)
        return summary(runs[: 2 * options.runs], options.runs)
    finally:
        load.kill()
        load.wait()


if __name__ == "__main__":
    sys.exit(main())
