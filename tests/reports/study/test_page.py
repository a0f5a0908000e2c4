"""The page from 60 records and from none: what is on it, its size, and how a browser shows it."""

import base64
import csv
import gzip
import io
import json
import re
import shutil
import subprocess

import pytest

from gnnperf.reports.study.claims import CLAIMS
from gnnperf.reports.study.content import Picture, Table
from gnnperf.reports.study.csvs import as_link, records_csv
from gnnperf.reports.study.evidence import Measured
from gnnperf.reports.study.figures import configurations, over_rate, sensitivity
from gnnperf.reports.study.page import sections
from gnnperf.reports.study.rendering import as_html, as_markdown, write_report
from gnnperf.reports.study.runs import Study
from gnnperf.reports.study.tables import covered_figures, paper_tables
from gnnperf.system.files import FolderError

from .made_up import case, sixty

pytest.importorskip("matplotlib")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def study():
    return Study(tuple(sixty()), ("a note",), ("run.json",))


@pytest.fixture(scope="module")
def content(study):
    return sections(study)


@pytest.fixture(scope="module")
def html(study, content):
    return as_html(study, content)


@pytest.fixture(scope="module")
def empty():
    return as_html(Study(()))


def blocks(content, kind):
    return [block for part in content for block in part.blocks if isinstance(block, kind)]


def test_all_parts_are_there(html, content):
    for words in ("What ran", "Claims ledger", "Table 17:", "Figure 10:", "Departures", "a note"):
        assert words in html
    assert len(blocks(content, Table)) == 1 + 1 + 17 + 1
    for claim in CLAIMS.values():
        assert f'<th scope="row">{claim.id}</th>' in html


def test_it_says_how_much_of_the_study_ran(content):
    lead = content[0].blocks[0]
    assert re.match(r"\d+ of 1,516 figures of the paper's tables have ours", lead)
    assert "from 60 cases" in lead


def test_without_records_it_says_so(empty):
    assert "0 of 1,516 figures" in empty
    assert "Nothing was run." in empty
    assert "98 claims: 0 reproduced, 0 better, 0 in part, 0 not reproduced, 98 cannot" in empty


def test_it_is_one_small_file_without_script_and_without_links_outside(html, empty):
    for text in (html, empty):
        assert len(text.encode()) <= MOST_BYTES
        assert "<script" not in text
        addresses = re.findall(r'(?:src|href|xlink:href)="([^"]*)"', text)
        assert all(address.startswith(("#", "data:")) for address in addresses)
        assert "@import" not in text


def test_every_link_of_the_contents_leads_somewhere_and_ids_are_unique(html):
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    links = set(re.findall(r'href="#([^"]*)"', html)) | set(re.findall(r"url\(#([^)]*)\)", html))
    assert links <= set(ids)


def test_hostile_text_stays_text(monkeypatch):
    monkeypatch.setattr("gnnperf.reports.study.page.pictures", lambda evidence: [])
    records = case("<script>alert(1)</script>|-a", "global@0.5", accuracy=0.9)
    page = as_html(Study(tuple(records), ("<b>&",), ("<i>",)))
    assert "<script" not in page
    assert "<b>" not in page
    markdown = as_markdown(sections(Study((), ("a | <b>",))))
    assert "<b>" not in markdown


def test_the_same_records_give_the_same_bytes(study, html):
    first, again = (over_rate(Measured(study.records), *RATE).svg for _ in range(2))
    assert first == again
    assert "<dc:date>" not in html
    name, link = as_link(records_csv(study.records))
    assert link in html
    assert as_link(records_csv(study.records)) == (name, link)


RATE = ("7", "Figure 7", "score", "score (fraction)")


def test_every_figure_names_its_axes_and_n(content):
    drawn = blocks(content, Picture)
    assert len(drawn) >= 12
    for picture in drawn:
        assert "n 3" in picture.caption or "not run" in picture.caption
        assert picture.svg.count("<text") > 4 or picture.svg.count("<!--") > 4


def test_all_records_are_in_the_page(html, study):
    (address,) = re.findall(r'href="data:text/csv;base64,([^"]*)"', html)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(address).decode())))
    assert len(rows) == 60
    assert rows[0]["workload"] == study.records[0].workload
    assert float(rows[0]["accuracy"]) == study.records[0].value("accuracy")


def test_a_long_csv_is_packed():
    name, link = as_link("1234567890\n" * 100_000)
    assert name == "records.csv.gz"
    assert len(link) < 100_000
    packed = base64.b64decode(link.partition(",")[2])
    assert gzip.decompress(packed).decode() == "1234567890\n" * 100_000


def test_tables_have_ours_beside_the_paper():
    records = case("cora_node-spline", "global@0.5", {
        "accuracy": [0.87, 0.88, 0.89], "accuracy_drop": 0.0, "majority": 0.33,
        "twin_accuracy": 0.9,
    })  # fmt: skip
    table = next(t for t in paper_tables(Measured(records)) if t.name == "table-9")
    row = next(row for row in table.rows if row[0].ours.startswith("cora-node accuracy"))
    assert row[0].ours == "cora-node accuracy (commonest class 0.330)"
    cell = row[table.heads.index("0.5")]
    assert (cell.ours, cell.paper, cell.mark) == (
        "0.880 +- 0.025 (3)", "0.88 +- 0.01", "agrees",
    )  # fmt: skip
    assert row[table.heads.index("0.4")].ours == "not run"
    assert covered_figures(Measured(records)) == 1


def test_files(tmp_path, study, content, monkeypatch):
    monkeypatch.setattr("gnnperf.reports.study.rendering.sections", lambda study: content)
    written = write_report(
        study, html=tmp_path / "a.html", markdown=tmp_path / "md", figures=tmp_path / "figures"
    )
    assert all(path.stat().st_size for path in written)
    text = (tmp_path / "md" / "study.md").read_text()
    linked = re.findall(r"\]\(([a-z0-9-]*\.svg)\)", text)
    assert linked
    for name in linked:
        assert "currentColor" not in (tmp_path / "md" / name).read_text()
        assert (tmp_path / "figures" / name).is_file()
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("| A1 ")}
    assert widths == {8}


def test_a_folder_that_cannot_be_made_is_named(tmp_path, study, content, monkeypatch):
    monkeypatch.setattr("gnnperf.reports.study.rendering.sections", lambda study: content)
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="--figures"):
        write_report(study, figures=tmp_path / "file")


def test_heatmaps_and_layers():
    layers = {"conv1.weight": 0.0, "conv1.lin.weight": 0.0}
    readings = {f"sensitivity {name}@0.9": 0.1 for name in layers}
    records = [
        *case("cora_node-spline", "layer@0", readings, layers=layers),
        *case("bbbp-gin", "qat@int4:hidden,ste-abs", accuracy_drop=0.2),
        *case("bbbp-gin", "qat@int4:hidden", accuracy_drop=0.1),
    ]
    assert "0.100" in sensitivity(Measured(records)).svg
    assert "0.200" in configurations(Measured(records)).svg
    assert sensitivity(Measured([])) is configurations(Measured([])) is None


LOOK = """<script>
const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest("svg, .wide")
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
document.documentElement.innerHTML = JSON.stringify({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  wide: wide.map(e => e.tagName + "#" + e.id).slice(0, 3),
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  back: getComputedStyle(document.body).backgroundColor,
  text: getComputedStyle(document.body).color,
  tables: document.querySelectorAll("table").length,
  clipped: [...document.querySelectorAll("svg")].filter(s => [...s.querySelectorAll("text")].some(
    t => { const a = t.getBoundingClientRect(), b = s.getBoundingClientRect();
      return a.left < b.left - 2 || a.right > b.right + 2 || a.bottom > b.bottom + 2; }))
    .map(s => s.parentElement.id),
}).replace(/</g, "(");
</script>"""


@pytest.mark.parametrize(("width", "dark"), [(1300, False), (500, True)])
def test_in_a_browser(html, tmp_path, width, dark):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser is installed; looked for {', '.join(BROWSERS)}")
    page = tmp_path / "page.html"
    page.write_text(html.replace("</body>", f"{LOOK}</body>"))
    done = subprocess.run(
        [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--disable-dev-shm-usage"),
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            *("--enable-logging=stderr", "--v=0", f"--window-size={width},900", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "CONSOLE" not in done.stderr
    found = json.loads(re.search(r"\{.*\}", done.stdout, re.DOTALL)[0].replace("&quot;", '"'))
    assert found["overflow"] <= 0
    assert found["wide"] == []
    assert found["clipped"] == []
    assert found["tables"] == 20
    assert found["dark"] is dark
    assert found["back"] == ("rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)")


def test_the_usual_font_has_every_character(html):
    from matplotlib import font_manager, ft2font

    known = set(ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())
    text = re.sub(r"<[^>]*>", "", html)
    assert {c for c in text if c.isprintable() and ord(c) not in known} == set()
