"""`gnnperf` on the command line; a file a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; 0 when it worked, 2 with one sentence on stderr when it could not."""
    try:
        # The imports take seconds, and Ctrl-C may come meanwhile.
        from gnnperf.cli.commands import run

        return run(arguments)
    except KeyboardInterrupt:
        print("gnnperf: interrupted; what was finished is kept", file=sys.stderr)
        return 130
