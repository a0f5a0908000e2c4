"""Readings taken in a process of their own, so that nothing that ran before matters."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from gnnperf.meters.base import MeterError, Readings
from gnnperf.records import Reading


def in_fresh_process(take: Callable[[], Readings]) -> Readings:
    """What `take` reads in a new Python with this one's path and threads.

    Raises MeterError where it cannot be sent there, or fails there.
    """
    try:
        content = pickle.dumps((sys.path, take))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise MeterError(
            f"the call cannot go to a fresh process ({error}); make it a function or an object of "
            "an importable module, or do not measure isolated"
        ) from error
    with TemporaryDirectory(prefix="gnnperf-fresh-") as folder:
        task, answer = Path(folder) / "task.pickle", Path(folder) / "answer.json"
        task.write_bytes(content)
        command = [sys.executable, "-m", __name__, str(task), str(answer)]
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise MeterError(f"the fresh process failed ({last}); try the call there by hand")
        return {k: Reading(**v) for k, v in json.loads(answer.read_text()).items()}


def _environment() -> dict[str, str]:
    torch = sys.modules.get("torch")
    # As many threads as here: each has scratch memory of its own.
    threads = {} if torch is None else {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def _answer(task: Path, answer: Path) -> None:
    """The fresh process's side."""
    path, take = pickle.loads(task.read_bytes())
    sys.path[:] = path
    readings: Readings = take()
    answer.write_text(json.dumps({name: asdict(r) for name, r in readings.items()}))


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), Path(sys.argv[2]))
