"""pytest's side: one file each for what has the same name elsewhere."""

pytest_plugins = ["gnnperf.plugin.workbench"]
