"""`gnnperf` on the command line; a file a command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType


class _Terminated(BaseException):
    """SIGTERM: the blocks that are open end their processes and remove what is half written."""


_ENDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command.

    0 when it worked, 2 with one sentence on stderr when it could not, 130 when it was interrupted,
    143 when it was terminated.
    """
    before = {number: signal.getsignal(number) for number in _ENDS}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, _end)
        # The imports take seconds, and Ctrl-C may come meanwhile.
        from gnnperf.cli.commands import run

        return run(arguments)
    except KeyboardInterrupt:
        return _ended_by(signal.SIGINT)
    except _Terminated:
        return _ended_by(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        # Packages swallow what is raised while they are imported, and nothing is open yet.
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(_ended_by(signal.Signals(number)))
        frame = frame.f_back
    raise KeyboardInterrupt if number == signal.SIGINT else _Terminated


def _ended_by(number: signal.Signals) -> int:
    print(f"gnnperf: {_ENDS[number]}; what was finished is kept", file=sys.stderr, flush=True)
    return 128 + number
