import pytest

from gnnperf.system.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv1.weight", "conv1.weight"),
        ("größer 图", "größer 图"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x7f\x85\u2028", "\\x7f\\x85\\u2028"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        (3, "3"),
    ],
)
def test_what_moves_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown
