import pytest

from gnnperf.system.machine import settle_threads


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """These models are so small that a second thread only waits."""
    settle_threads(1)
