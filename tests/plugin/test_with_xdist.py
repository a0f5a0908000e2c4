"""pytest-xdist: unit tests may run under it, measuring cases may not."""


def test_measuring_is_refused_and_the_rest_runs(project, pytester):
    pytester.makepyfile(test_other="def test_other(): pass")
    result = project("-n1")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["measuring under pytest-xdist is refused: *without -n"])
    result.stdout.no_fnmatch_line("*Traceback*")
