"""The page as one HTML file, or as Markdown with SVG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnperf.reports.study.content import Cell, Picture, Section, Table
from gnnperf.reports.study.csvs import as_link, records_csv
from gnnperf.reports.study.drawing import MissingPackageError, inlined, standalone
from gnnperf.reports.study.page import sections
from gnnperf.reports.study.runs import Study
from gnnperf.system.files import atomic_write, writable_folder

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE = "Pruning and quantization of graph neural networks: the study"
_MARKS = {"agrees": "=", "better": "+", "worse": "-", "differs": "-"}


def write_report(
    study: Study,
    *,
    html: Path | None = None,
    markdown: Path | None = None,
    figures: Path | None = None,
) -> list[Path]:
    """Write what is asked for, each file whole; gives the files.

    Args:
        study: the records.
        html: a file for the page.
        markdown: a folder for `study.md`, `records.csv` and the figures.
        figures: a folder for the figures alone, as SVG.

    Raises MissingPackageError without matplotlib or Jinja2, FileError and FolderError for what
    cannot be written.
    """
    content = sections(study)
    written: dict[Path, str] = {}
    if html is not None:
        written[html] = as_html(study, content)
    drawn = [block for part in content for block in part.blocks if isinstance(block, Picture)]
    for folder, option in ((markdown, "--markdown"), (figures, "--figures")):
        if folder is not None:
            writable_folder(folder, option)
            written.update({folder / f"{p.name}.svg": standalone(p.svg) for p in drawn})
    if markdown is not None:
        written[markdown / "study.md"] = as_markdown(content)
        written[markdown / "records.csv"] = records_csv(study.records)
    for path, text in written.items():
        atomic_write(path, [text.encode()])
    return list(written)


def as_html(study: Study, content: Sequence[Section] | None = None) -> str:
    """One page without script and without anything to fetch."""
    name, link = as_link(records_csv(study.records))
    return _render("study.html.j2", content or sections(study), csv_name=name, csv_link=link)


def as_markdown(content: Sequence[Section]) -> str:
    """The page as GitHub's Markdown; figures are files beside it."""
    return _render("study.md.j2", content)


def _render(template: str, content: Sequence[Section], **more: Any) -> str:
    page = _environment(html=template.endswith(".html.j2")).get_template(template)
    return page.render(title=TITLE, sections=content, **more) + "\n"


def _environment(html: bool) -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingPackageError(
            "the report's page is made by Jinja2, which is not installed; "
            "pip install 'gnnperf[report]'"
        ) from error
    environment = Environment(
        loader=PackageLoader("gnnperf.reports.study"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        inlined=inlined,
        mark=_mark,
        markdown=_escaped,
        markdown_cell=_markdown_cell,
        kind=_kind,
        slug=_slug,
    )
    return environment


def _mark(cell: Cell) -> str:
    return _MARKS.get(cell.mark, "")


def _slug(text: str) -> str:
    return text.replace(" ", "-")


def _markdown_cell(cell: Cell) -> str:
    """In one line; what would end a cell or begin a tag is escaped."""
    mark = f" {_mark(cell)}" if _mark(cell) else ""
    text = f"{cell.ours}<br>_{_escaped(cell.paper)}_{mark}" if cell.paper else cell.ours + mark
    return text if cell.paper else _escaped(text)


def _escaped(text: str) -> str:
    for character in ("\\", "|", "*", "_", "~", "["):
        text = text.replace(character, f"\\{character}")
    return " ".join(text.replace("<", "&lt;").split())


_KINDS: Mapping[type, str] = {Table: "table", Picture: "picture"}


def _kind(block: object) -> str:
    return _KINDS.get(type(block), "text")
