"""Test helpers that pytest only takes from the top folder, and hypothesis's profiles."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# Half of hypothesis's own number of examples keeps a run of all tests under six minutes; what one
# takes depends on what else the machine does.
PROFILE = {
    "deadline": None,
    "max_examples": 50,
    "suppress_health_check": [HealthCheck.too_slow],
    "print_blob": True,
}
settings.register_profile("gnnperf", **PROFILE)
# On CI the same examples every time: a red build is somebody's change, not luck.
settings.register_profile("ci", derandomize=True, **PROFILE)
settings.load_profile("ci" if os.environ.get("CI") else "gnnperf")
