"""The page: what ran, claims, tables, figures, departures, records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gnnperf.gates.metrics import machine_class
from gnnperf.records import Record
from gnnperf.reports.study.claims import CLAIMS
from gnnperf.reports.study.content import Cell, Section, Table
from gnnperf.reports.study.departures import DEPARTURES
from gnnperf.reports.study.evidence import PAPER, Measured
from gnnperf.reports.study.figures import pictures
from gnnperf.reports.study.ledger import VERDICTS, Claim, Judgement
from gnnperf.reports.study.runs import Study
from gnnperf.reports.study.tables import FIGURES, covered_figures, paper_tables

_ON_PAPER = {
    "reproduced": "borne out",
    "better": "borne out",
    "in part": "in part",
    "not reproduced": "not borne out",
    "cannot be judged": "no figure",
}


def sections(study: Study) -> list[Section]:
    """The whole page of a study, of no record as well as of many."""
    evidence = Measured(study.records)
    return [
        Section("ran", "What ran", what_ran(study, evidence)),
        Section("claims", "Claims", claims(evidence)),
        Section("tables", "Tables", [_LEGEND, *paper_tables(evidence)]),
        Section("figures", "Figures", pictures(evidence)),
        Section("departures", "Departures from the sources", [_departures()]),
    ]


_LEGEND = (
    "Ours: mean over seeds, half of its 95 % interval, and the number of seeds in brackets; the "
    "paper's figure stands below. Accuracies and size ratios are compared: = agrees, + better, "
    "- worse. Times, energies, CPU shares and memories are of other machines and meters, and are "
    "not compared."
)


def summary(study: Study) -> str:
    """What a study comes to, in a sentence: figures, cases, verdicts."""
    evidence = Measured(study.records)
    counts = Counter(claim.judge(evidence).verdict for claim in CLAIMS.values())
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{_coverage(study, evidence)}; of {len(CLAIMS)} claims {verdicts}"


def _coverage(study: Study, evidence: Measured) -> str:
    return (
        f"{covered_figures(evidence):,} of {FIGURES:,} figures of the paper's tables have ours "
        f"beside them, from {len(study.records):,} cases"
    )


def what_ran(study: Study, evidence: Measured) -> list[str | Table]:
    """Coverage, then where and when."""
    records = study.records
    lead = f"{_coverage(study, evidence)}."
    if not records:
        lead += " Nothing was run."
    rows = [
        ("data", _each(_data(record) for record in records)),
        ("machine", _each(machine_class(record) for record in records)),
        ("seeds", _seeds(records)),
        ("commits", _each(str(r.provenance.get("git_commit") or "unknown") for r in records)),
        ("measured", _when(records)),
        ("training of dense models", _training_time(records)),
        ("read from", ", ".join(study.sources) or "-"),
    ]
    cells = [[Cell(name), Cell(value)] for name, value in rows]
    return [lead, Table("run", "The run", ("what", ""), cells, study.notes)]


def _each(values: Iterable[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({count} cases)" for value, count in counts.most_common()) or "-"


def _data(record: Record) -> str:
    data: Mapping[str, object] = record.provenance.get("data", {})
    return f"{record.dataset} {record.source} {str(data.get('fingerprint', ''))[:12]}".strip()


def _seeds(records: Sequence[Record]) -> str:
    return ", ".join(str(seed) for seed in sorted({record.seed for record in records})) or "-"


def _when(records: Sequence[Record]) -> str:
    times = sorted(str(t) for r in records if (t := r.provenance.get("measured_at")))
    return f"{times[0]} to {times[-1]}" if times else "-"


def _training_time(records: Sequence[Record]) -> str:
    seconds = {
        (r.workload, r.seed): float(r.provenance.get("training", {}).get("wall_seconds", 0.0))
        for r in records
    }
    models = f"{len(seconds)} model{'s' * (len(seconds) != 1)}"
    return f"{sum(seconds.values()):.0f} s for {models}" if seconds else "-"


def claims(evidence: Measured) -> list[str | Table]:
    """The ledger: counts of verdicts, and a row a claim."""
    judged = [(claim, claim.judge(PAPER), claim.judge(evidence)) for claim in CLAIMS.values()]
    counts = Counter(ours.verdict for _, _, ours in judged)
    lead = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    heads = (
        "id",
        "section",
        "claim",
        "rule",
        "the paper's own tables",
        "ours",
        "verdict",
        "settled by",
    )
    return [
        f"{len(judged)} claims: {lead}. A verdict takes 3 seeds; intervals are of 95 %, tests are "
        "paired over seeds, and several comparisons are corrected after Holm. Every rule is run "
        "on the paper's own tables first, means as they stand.",
        Table("ledger", "Claims ledger", heads, [_row(*one) for one in judged]),
    ]


def _row(claim: Claim, paper: Judgement, ours: Judgement) -> list[Cell]:
    on_paper = "is the table itself" if claim.is_table else _ON_PAPER[paper.verdict]
    unjudged = ours.verdict == "cannot be judged"
    told = Cell("") if claim.is_table else Cell(paper.found)
    return [
        Cell(claim.id),
        Cell(claim.section),
        Cell(claim.words),
        Cell(claim.rule_words),
        Cell(on_paper, told.ours),
        Cell("-" if unjudged else ours.found),
        Cell(ours.verdict, ours.found if unjudged else "", ours.verdict),
        Cell(claim.settled_by),
    ]


def _departures() -> Table:
    rows = [[Cell(subject), Cell(what), Cell(why)] for subject, what, why in DEPARTURES]
    return Table("departures-table", "Departures", ("of", "here", "why"), rows)
