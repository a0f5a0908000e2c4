"""`--gnnperf-report`: the study's page, from the cases of this run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from gnnperf.errors import GnnperfError
from gnnperf.plugin.shared import announce
from gnnperf.plugin.tables import RECORDS

_PATH = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the page goes."""
    group = parser.getgroup("gnnperf", "compression of graph neural networks")
    group.addoption(
        "--gnnperf-report",
        metavar="FILE",
        help="write the run's tables, figures and claims as one HTML page; `gnnperf report` does "
        "it for several runs",
    )


def pytest_configure(config: pytest.Config) -> None:
    """See that the page can be made and written, before hours of measuring."""
    name = config.getoption("gnnperf_report")
    # A fresh process of a run leaves the run's files as they are.
    if name is None or config.getoption("gnnperf_again", default=None):
        return
    from gnnperf.system.files import usable_path, writable_folder

    option = "--gnnperf-report"
    missing = [what for what in ("matplotlib", "jinja2") if find_spec(what) is None]
    if missing:
        raise pytest.UsageError(
            f"{option} needs {' and '.join(missing)}: pip install 'gnnperf[report]'"
        )
    try:
        path = config.invocation_params.dir / usable_path(name, option)
        if not name or path.is_dir():
            raise GnnperfError(f"{option} {name!r} is no file; name one, such as study.html")
        writable_folder(path.parent, option)
    except GnnperfError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_PATH] = path


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page; where that fails the run does."""
    config = session.config
    path = config.stash.get(_PATH, None)
    if path is None or config.getoption("collectonly"):
        return
    from gnnperf.reports.study.page import summary
    from gnnperf.reports.study.rendering import write_report
    from gnnperf.reports.study.runs import Study

    records = config.stash[RECORDS].values()
    cases = {(r.workload, r.recipe, r.seed): r for r in records}
    study = Study(tuple(cases[case] for case in sorted(cases)), (), ("this run",))
    try:
        write_report(study, html=path)
    except GnnperfError as error:
        announce(config, f"--gnnperf-report: {error}")
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        return
    announce(config, f"{path}: {summary(study)}")
