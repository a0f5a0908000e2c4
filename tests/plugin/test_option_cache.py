"""`--gnnperf-cache`."""

import pytest


def test_it_fills_the_named_folder(project, tmp_path):
    project(f"--gnnperf-cache={tmp_path}/new/cache").assert_outcomes(passed=1)
    assert len(list((tmp_path / "new" / "cache" / "checkpoints").glob("*.ckpt"))) == 1


def test_a_folder_that_cannot_be_written_is_refused(project, tmp_path):
    (tmp_path / "file").touch()
    result = project(f"--gnnperf-cache={tmp_path}/file/cache")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(
        [f"--gnnperf-cache {tmp_path}/file/cache cannot be written (*); name a folder of yours *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_damaged_checkpoint_is_trained_again_with_a_warning(project, own_cache):
    # Other tests' trainings may lie beside the base.
    checkpoints = list((own_cache / "checkpoints").glob("*.ckpt"))
    for checkpoint in checkpoints:
        checkpoint.write_bytes(b"garbage")
    result = project(f"--gnnperf-cache={own_cache}")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*UserWarning: the checkpoint *.ckpt is damaged and is trained *"])
    assert [path.stat().st_size > 1000 for path in checkpoints].count(True) == 1
