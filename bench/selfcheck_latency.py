"""Does the latency meter see a slow-down of 10 %, and nothing where nothing changed?

    python bench/selfcheck_latency.py [--runs 20] [--slowdown 0.1]

Each run is a fresh process that puts a GCN forward on a graph of Cora's size beside the same
forward, once as it is and once with a busy loop after it that takes 10 % of its own CPU time.
A change is reported where the ratio of CPU times lies beyond 5 % and its 95 % interval holds no 1.
Exits with 1 unless 9 of 10 slow-downs are seen and at most 1 of 20 runs without one reports one.
"""

import argparse
import math
import subprocess
import sys
import time

THRESHOLD = 0.05


def changed(reading):
    beyond = abs(math.log(reading.value)) > math.log1p(THRESHOLD)
    return beyond and not reading.low <= 1 <= reading.high


def gcn_forward():
    import torch
    from torch_geometric.nn import GCN

    torch.manual_seed(0)
    net = GCN(256, 16, num_layers=2, out_channels=7).eval()
    features, edges = torch.rand(2708, 256), torch.randint(2708, (2, 10_556))

    def forward():
        with torch.inference_mode():
            net(features, edges)

    return forward


def slowed(call, slowdown):
    def slow():
        begin = time.process_time()
        call()
        end = begin + (time.process_time() - begin) * (1 + slowdown)
        while time.process_time() < end:
            pass

    return slow


def one_run(slowdown, seed):
    """Prints ratio, interval, rounds and verdict of one measurement."""
    from gnnperf.meters.latency import Pair
    from gnnperf.system.machine import settle_threads, tune_allocator

    settle_threads(1)
    tune_allocator()
    forward = gcn_forward()
    pair = Pair(slowed(forward, slowdown), slowed(forward, 0.0), seed=seed)
    # As many rounds as through pytest-benchmark.
    pair.run(time_limit_seconds=0)
    ratio = pair.readings()["cpu_ratio"]
    print(f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] {int(changed(ratio))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--slowdown", type=float, default=0.1, help="injected (default: 0.1)")
    parser.add_argument("--one", type=int, metavar="SEED", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        one_run(options.slowdown, options.one)
        return 0
    counts = {}
    for slowdown in (options.slowdown, 0.0):
        counts[slowdown] = 0
        for seed in range(options.runs):
            command = [sys.executable, __file__, f"--slowdown={slowdown}", f"--one={seed}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            line = done.stdout.strip().splitlines()[-1]
            counts[slowdown] += int(line.split()[-1])
            verdict = "a change" if line.endswith("1") else "no change"
            print(f"slow-down {slowdown:.0%}: {line[:-2]} {verdict}", flush=True)
    seen, alarms = counts[options.slowdown], counts[0.0]
    print(f"a slow-down of {options.slowdown:.0%} was seen in {seen} of {options.runs} runs")
    print(f"no change was reported as a change in {alarms} of {options.runs} runs")
    return int(seen < 0.9 * options.runs or alarms > 0.05 * options.runs)


if __name__ == "__main__":
    sys.exit(main())
