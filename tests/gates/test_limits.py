import pytest

from gnnperf.gates.limits import LimitError, limit_of, parse_limits, read_settings
from gnnperf.gates.metrics import METRICS, SCORE


@pytest.mark.parametrize(
    ("written", "fraction"),
    [("10%", 0.1), ("10 %", 0.1), (" 0.1 ", 0.1), (0.1, 0.1), (0, 0.0), ("1000%", 10.0)],
)
def test_limits_are_percentages_or_fractions(written, fraction):
    assert parse_limits({"latency": written}, "here") == {"latency": pytest.approx(fraction)}


@pytest.mark.parametrize(
    "written", ["", "%", "ten", "-1%", -0.1, float("nan"), "nan", "1001%", True, None, [1]]
)
def test_nonsense_is_refused(written):
    with pytest.raises(LimitError, match=r"here: latency = .* is no limit; write a share from 0"):
        parse_limits({"latency": written}, "here")


@pytest.mark.parametrize(("written", "share"), [("95%", 0.95), (0.95, 0.95), (1, 1.0), (0, 0.0)])
def test_coverage_is_a_share_of_the_weights(written, share):
    assert parse_limits({"coverage": written}, "") == {"coverage": pytest.approx(share)}


@pytest.mark.parametrize("written", ["101%", 1.0001, -0.1, "all", True, float("nan")])
def test_more_than_all_weights_cannot_be_covered(written):
    with pytest.raises(LimitError, match=r"here: coverage = .* is no share of the weights; write"):
        parse_limits({"coverage": written}, "here")


def test_an_unknown_limit_is_refused():
    with pytest.raises(LimitError, match="here: there is no limit 'speed'; there are parameters, "):
        parse_limits({"speed": "10%"}, "here")


def test_another_class_of_machine_only_widens_a_limit():
    stored = METRICS["stored_bytes"]
    assert limit_of(stored, {}) == 0
    assert limit_of(stored, {}, elsewhere=True) == stored.elsewhere
    assert limit_of(stored, {"stored_bytes": 0.5}, elsewhere=True) == 0.5
    assert limit_of(SCORE, {"score": 0.002}) == 0.002
    assert limit_of(METRICS["cpu_ratio"], {}) == 0.05


def test_of_a_score_a_percentage_is_a_share_of_the_baseline():
    share, points = (parse_limits({"score": written}, "") for written in ("5%", 0.05))
    assert limit_of(SCORE, share, before=-200.0) == pytest.approx(10.0)
    assert limit_of(SCORE, points, before=-200.0) == 0.05
    assert limit_of(SCORE, parse_limits({"score": "1%"}, ""), before=200.0, elsewhere=True) == 10.0


def test_settings_come_from_pyproject(tmp_path):
    assert read_settings(tmp_path).folder == tmp_path / "baselines"
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert read_settings(tmp_path).limits == {}
    (tmp_path / "pyproject.toml").write_text(
        "[tool.gnnperf]\nbaselines = 'kept'\nlatency = '8%'\nscore = 0.02\n"
    )
    settings = read_settings(tmp_path)
    assert settings.folder == tmp_path / "kept"
    assert settings.limits == {"latency": pytest.approx(0.08), "score": 0.02}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[tool.gnnperf]\nlatency = '-5%'", r"\[tool.gnnperf\]: latency = '-5%' is no limit"),
        ("[tool.gnnperf]\nspeed = 1", "there is no key 'speed'; there are baselines, parameters"),
        ("[tool.gnnperf]\nbaselines = 3", "baselines = 3 is no folder"),
        ("[tool]\ngnnperf = 3", "is 3, not a table"),
        ("[tool", r"pyproject.toml: cannot be read \("),
    ],
)
def test_wrong_settings_are_refused(tmp_path, content, sentence):
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(LimitError, match=sentence):
        read_settings(tmp_path)
