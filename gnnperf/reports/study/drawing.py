"""Matplotlib's part of the page: panels of lines, bars and maps, as SVG that repeats bit by bit."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gnnperf.errors import GnnperfError
from gnnperf.reports.study.series import LEAST_SEEDS, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""What text and lines are drawn in; on a page it becomes the page's own colour of text."""
# Okabe and Ito's, which colour-blind people can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a", "#b8a800")
MARKERS = "osD^vPX*"
_LEGEND = 0.4
"""Inches below the panels."""
_STYLE: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "axes.titlesize": 8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
    ),
    "grid.color": INK,
    "hatch.color": INK,
}


class MissingPackageError(GnnperfError):
    """A package that the report needs and that is not installed."""


@contextmanager
def drawing(name: str) -> Iterator[Any]:
    """Matplotlib in the page's style; raises MissingPackageError with the remedy."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingPackageError(
            "the report's figures are drawn by matplotlib, which is not installed; "
            "pip install 'gnnperf[report]'"
        ) from error
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield matplotlib


def bytes_axis(axes: Axes) -> None:
    """Bytes along x, by their order of magnitude, with few marks that do not meet."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter("B"))


def panels(
    name: str,
    titles: Sequence[str],
    draw: Callable[[Axes, str], None],
    *,
    columns: int = 2,
    height: float = 2.2,
) -> str:
    """A grid of panels as SVG; `draw` fills each, and one legend serves them all."""
    with drawing(name):
        from matplotlib.figure import Figure

        rows = -(-len(titles) // columns)
        size = (3.7 * columns, height * rows + _LEGEND)
        figure = Figure(figsize=size)
        # Given in inches: an automatic layout draws everything twice.
        figure.subplots_adjust(
            left=0.7 / size[0],
            right=1 - 0.12 / size[0],
            bottom=(0.45 + _LEGEND) / size[1],
            top=1 - 0.25 / size[1],
            wspace=0.8 / (3.7 - 0.8),
            hspace=0.72 / (height - 0.72),
        )
        handles: dict[str, Any] = {}
        for place, title in enumerate(titles):
            axes = figure.add_subplot(rows, columns, place + 1)
            axes.set_title(title)
            draw(axes, title)
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        if len(handles) > 1:
            figure.legend(handles.values(), handles, loc="lower center", ncols=4)
        return _svg(figure, name)


def _svg(figure: Figure, name: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    # Several drawings share a page, so that each needs ids of its own.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    return re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def line(
    axes: Axes, points: Mapping[float, Series], label: str, colour: int, *, paper: bool = False
) -> None:
    """Means over x: ours with the band of their intervals, the paper's dashed."""
    x = list(points)
    means = [part.mean for part in points.values()]
    shade = COLOURS[colour % len(COLOURS)]
    if paper:
        axes.plot(x, means, color=shade, linestyle="--", alpha=0.7, label=f"{label}, paper")
        return
    marker = MARKERS[colour % len(MARKERS)]
    axes.plot(x, means, color=shade, marker=marker, label=label)
    if all(part.n >= LEAST_SEEDS for part in points.values()):
        low, high = ([getattr(p, end) for p in points.values()] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=shade, alpha=0.2, linewidth=0)


def heatmap(
    name: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    x: str,
    y: str,
    colour: str,
) -> str:
    """Numbers as colours, each written into its field; NaN stays empty."""
    with drawing(name):
        from matplotlib.figure import Figure

        size = (2.6 + 0.62 * len(columns), 1.1 + 0.26 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(values, cmap="cividis_r", aspect="auto")
        axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
        axes.set_yticks(range(len(rows)), rows)
        axes.grid(visible=False)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        low, high = image.get_clim()
        for row, line_values in enumerate(values):
            for column, value in enumerate(line_values):
                if value == value:
                    dark = high > low and (value - low) / (high - low) > 0.55
                    axes.text(
                        *(column, row, f"{value:.3f}"),
                        ha="center",
                        va="center",
                        fontsize=6,
                        color="#ffffff" if dark else "#000000",
                    )
        figure.colorbar(image, label=colour)
        return _svg(figure, name)


def inlined(svg: str) -> str:
    """For a page: lines and text take its colour."""
    return svg.replace(INK, "currentColor")


def standalone(svg: str) -> str:
    """For a file of its own: black on white, as nothing tells what lies behind it."""
    start = svg.index(">") + 1
    head = svg[:start].replace("<svg", '<svg style="background:#ffffff"', 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{svg[start:].replace(INK, "#1a1a1a")}'
