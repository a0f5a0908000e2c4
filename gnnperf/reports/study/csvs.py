"""All records as one CSV, a row a case."""

from __future__ import annotations

import base64
import csv
import gzip
import io
from collections.abc import Sequence

from gnnperf.records import Record

_PLAIN_BYTES = 400_000
"""A longer CSV is packed, so that the page stays small."""


def records_csv(records: Sequence[Record]) -> str:
    """A row a case, a column a reading: a value, `unavailable`, or nothing if not asked."""
    names = list(dict.fromkeys(name for record in records for name in record.readings))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("workload", "recipe", "seed", "source", "metric", "commit", *names))
    for record in records:
        cells = (_cell(record, name) for name in names)
        commit = str(record.provenance.get("git_commit") or "")
        writer.writerow(
            (
                record.workload,
                record.recipe,
                record.seed,
                record.source,
                record.metric,
                commit,
                *cells,
            )
        )
    return stream.getvalue()


def _cell(record: Record, name: str) -> str:
    reading = record.readings.get(name)
    if reading is None:
        return ""
    return "unavailable" if reading.value is None else f"{reading.value:.7g}"


def as_link(text: str) -> tuple[str, str]:
    """File name and `data:` address of a CSV, packed where it is long; the same text, the same."""
    plain = text.encode()
    if len(plain) <= _PLAIN_BYTES:
        return "records.csv", f"data:text/csv;base64,{base64.b64encode(plain).decode()}"
    packed = base64.b64encode(gzip.compress(plain, mtime=0)).decode()
    return "records.csv.gz", f"data:application/gzip;base64,{packed}"
