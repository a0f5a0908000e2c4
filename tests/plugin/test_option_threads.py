"""`--gnnperf-threads`."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_torch_computes_with_so_many(project, pytester):
    pytester.makepyfile(
        test_threads="""
        import torch

        def test_it(workbench):
            assert torch.get_num_threads() == 2
        """
    )
    project("--gnnperf-threads=2", "test_threads.py").assert_outcomes(passed=1)


@pytest.mark.parametrize("threads", ["0", "-1", "1025", "9" * 30, "many", "1.5", "²"])
def test_what_is_no_number_of_threads_is_refused(project, threads):
    result = project(f"--gnnperf-threads={threads}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--gnnperf-threads '{threads}': name 1 to 1024 threads*"])
