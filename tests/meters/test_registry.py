"""Meters of one's own."""

import pytest

from gnnperf.meters.base import MeterError
from gnnperf.meters.registry import METERS, own_meters, register_meter


def nothing(options):
    return []


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    for name in ("mine",):
        monkeypatch.setitem(METERS, name, nothing)
        monkeypatch.delitem(METERS, name)


def test_it_is_registered_once():
    register_meter("mine", nothing)
    register_meter("mine", nothing)
    assert own_meters(["cost", "mine", "scores"]) == [nothing]
    with pytest.raises(MeterError, match="a meter 'mine' is registered already; give it another"):
        register_meter("mine", lambda options: [])


@pytest.mark.parametrize("name", ["cost", "scores", "size", "latency", "memory"])
def test_gnnperfs_own_names_are_taken(name):
    with pytest.raises(MeterError, match=f"a meter '{name}' is registered already"):
        register_meter(name, nothing)


@pytest.mark.parametrize("name", ["", "a b", "a-b", "1a"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(MeterError, match=r"cannot be called .*; take letters, digits and _"):
        register_meter(name, nothing)


def test_what_makes_no_meters_is_refused():
    with pytest.raises(MeterError, match="meter 'mine' needs a function that gives meters"):
        register_meter("mine", None)
