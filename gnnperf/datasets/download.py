"""`python -m gnnperf.datasets.download NAME FOLDER`: fetch raw files into FOLDER/raw, and check."""

import sys
from pathlib import Path

from gnnperf.datasets import SPECS
from gnnperf.datasets.sources import published_complaint, raw_contents

if __name__ == "__main__":
    name, folder = sys.argv[1:]
    raw = Path(folder) / "raw"
    try:
        SPECS[name].download(raw)
        failure = published_complaint(SPECS[name], raw_contents(SPECS[name], raw))
    except Exception as error:  # Any failure becomes the one line that the caller shows.
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
    sys.exit(failure)
