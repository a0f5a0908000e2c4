"""Test helpers that pytest only takes from the top folder, and hypothesis's profiles."""

import os

from hypothesis import settings

pytest_plugins = ["pytester"]

# Half of hypothesis's own number keeps a run of all tests under six minutes.
EXAMPLES = 50
# Shared machines stall now and then; a deadline would fail tests for that alone.
settings.register_profile("gnnperf", deadline=None, max_examples=EXAMPLES)
# On CI the same examples every time: a red build is somebody's change, not luck.
settings.register_profile("ci", deadline=None, max_examples=EXAMPLES, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "gnnperf")
