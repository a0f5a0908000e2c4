import pytest

from gnnperf.reports.study.claims import CLAIMS
from gnnperf.reports.study.evidence import PAPER
from gnnperf.reports.study.ledger import VERDICTS

from ..made_up import judge


def test_there_are_98():
    assert len(CLAIMS) == 98


@pytest.mark.parametrize("claim", CLAIMS)
def test_without_records_no_claim_is_judged_and_the_reason_is_told(claim):
    judgement = CLAIMS[claim].judge(PAPER)
    assert judgement.verdict in VERDICTS
    assert judgement.found
    assert judge(claim, lambda w, r: None) == "cannot be judged"


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("K4", "not reproduced"),  # 0.77 < 0.82.
        ("K5", "not reproduced"),
        ("A1", "in part"),  # Proteins, fine-grained: 0.81 after 0.83.
        ("P10", "in part"),
        ("T4.1", "in part"),  # GIN: 0.71 in Table 4, 0.54 in Table 7.
        ("R3", "not reproduced"),
        ("R9", "reproduced"),
        ("S7", "reproduced"),
        ("L1", "cannot be judged"),
    ],
)
def test_on_the_papers_own_tables(claim, verdict):
    assert CLAIMS[claim].judge(PAPER).verdict == verdict


def test_a_table_bears_itself_out():
    for claim in CLAIMS.values():
        if claim.is_table:
            assert claim.judge(PAPER).verdict == "reproduced", claim.id
