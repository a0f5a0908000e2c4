"""What a page is made of: texts, tables and pictures, before they are HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        ours: what we have, or why there is nothing.
        paper: the paper's figure, empty without one.
        mark: `agrees`, `better`, `worse`, `missing`, or a verdict; empty for plain text.
    """

    ours: str
    paper: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under heads; the first cell of a row is its name.

    Attributes:
        name: unique on the page, for links.
        title: what stands above it.
        heads: of the columns.
        rows: as many cells each as there are heads.
        notes: sentences below it.
    """

    name: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: unique on the page, and of its file.
        title: what stands above it.
        svg: the drawing; its text and lines are drawn in INK.
        caption: axes, n, and what is missing, in words.
    """

    name: str
    title: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page, in the list of contents."""

    name: str
    title: str
    blocks: Sequence[str | Table | Picture]
