"""Text from files, made fit for a terminal."""

from __future__ import annotations


def printable(text: object) -> str:
    """The text with control characters, marks of direction and lone surrogates escaped.

    What a file holds could else set a terminal's title, clear it, or forge lines.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )
