import warnings

import pytest

from .mutations import DATASETS, GOOD, SMALL, mutate


@pytest.mark.parametrize("name", DATASETS)
def test_damaged_data_is_never_taken_for_good_data(name, tmp_path):
    if name == "bbbp":
        pytest.importorskip("rdkit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loads = list(mutate(name, SMALL[name](), range(40), 1, tmp_path))
    assert len(loads) == 40
    assert [(number, ends) for number, ends in loads if not set(ends) <= set(GOOD)] == []
    assert {end for _, ends in loads for end in ends} == set(GOOD)
