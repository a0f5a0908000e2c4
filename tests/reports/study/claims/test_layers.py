import pytest

from gnnperf.reports.study.claims.layers import CONTROLS, TICKETS
from gnnperf.reports.study.claims.pruning import GNNNET, HGPSL, SPLINE

from ..made_up import judge, level_of


def layers_of(claim, shares, readings=None):
    return judge(claim, lambda w, r: readings or {}, layers=shares)


def test_the_first_layer_halved():
    for share, verdict in ((0.55, "reproduced"), (0.551, "not reproduced"), (0.45, "reproduced")):
        shares = {"conv1.weight": share, "conv2.weight": 0.9}
        assert layers_of("L0", lambda w, r: shares) == verdict  # noqa: B023


def test_the_first_graph_layer_keeps_most():
    def shares(first):
        return lambda w, r: {"gnn_layers.0.weight": first, "mlps.0.weight": 0.5}

    assert layers_of("L1", shares(0.5)) == "reproduced"
    assert layers_of("L1", shares(0.501)) == "not reproduced"
    assert layers_of("L1", lambda w, r: {"other": 0.5}) == "cannot be judged"


def test_the_middle_layers_follow():
    def shares(off):
        return lambda w, r: {
            "gnn_layers.1.weight": level_of(r) + off,
            "gnn_layers.2.weight": level_of(r),
        }

    assert layers_of("L2", shares(0.05)) == "reproduced"
    assert layers_of("L2", shares(0.051)) == "in part"


def test_the_mlp_is_emptied():
    for excess, verdict in ((0.101, "reproduced"), (0.1, "not reproduced")):
        shares = lambda w, r: {"mlps.0.weight": level_of(r) + excess}  # noqa: B023, E731
        assert layers_of("L3", shares) == verdict


def test_kernels_outlast_linear_parts():
    def shares(first, second):
        return lambda w, r: {
            **{"conv1.weight": first, "conv1.lin.weight": 0.5},
            **{"conv2.weight": second, "conv2.lin.weight": 0.5},
        }

    assert layers_of("L4", shares(0.499, 0.499)) == "reproduced"
    assert layers_of("L4", shares(0.5, 0.499)) == "in part"
    assert layers_of("L4", shares(0.5, 0.5)) == "not reproduced"


def test_the_first_convolution_stays_full():
    def shares(second):
        return lambda w, r: {"conv1.lin.weight": 0.4, "conv2.weight": second, "conv3.weight": 0.41}

    assert layers_of("L5", shares(0.401)) == "reproduced"
    assert layers_of("L5", shares(0.4)) == "in part"


def test_linear_layers_empty_early():
    def shares(first):
        return lambda w, r: {"lin1.weight": first, "lin2.weight": 0.5}

    assert layers_of("L6", shares(0.401)) == "reproduced"
    assert layers_of("L6", shares(0.4)) == "in part"


WEIGHTS = {
    SPLINE: ("conv1.weight", "conv1.lin.weight", "conv2.lin.weight"),
    GNNNET: ("gnn_layers.0.weight", "gnn_layers.1.weight", "mlps.0.weight"),
    HGPSL: ("conv1.weight", "lin1.weight", "lin2.weight", "lin3.weight"),
}


def test_first_convolutions_are_tolerant():
    def verdict(linear):
        def readings(workload, recipe):
            drops = {name: 0.1 if "lin" in name or "mlp" in name else 0.05 for name in
                     WEIGHTS.get(workload, ())}  # fmt: skip
            drops.update(linear)
            return {f"sensitivity {name}@0.9": drop for name, drop in drops.items()}

        shares = lambda w, r: dict.fromkeys(WEIGHTS[w], 0.0)  # noqa: E731
        return judge("L7", readings, layers=shares)

    assert verdict({}) == "reproduced"
    assert verdict({"conv1.lin.weight": 0.05}) == "in part"
    assert verdict({"conv1.lin.weight": 0.05, "mlps.0.weight": 0.05}) == "not reproduced"


def tickets(ticket, control, seeds=5):
    def readings(workload, recipe):
        drawn = any(recipe.endswith(name) for name in CONTROLS)
        score = control if drawn else ticket if workload == SPLINE else control
        return {"accuracy": score, "twin_accuracy": 0.9}

    return judge("LT", readings, seeds=range(seeds))


def test_one_ticket_refutes():
    assert tickets(0.9, 0.9) == "reproduced"
    assert tickets(0.9, 0.899) == "not reproduced"
    # Within 0.01 of dense a ticket counts, below it does not.
    assert tickets(0.891, 0.88) == "not reproduced"
    assert tickets(0.89, 0.88) == "reproduced"


def test_tickets_take_five_seeds():
    assert tickets(0.9, 0.899, seeds=4) == "cannot be judged"
    assert len(TICKETS) == 6


@pytest.mark.parametrize("claim", ["L0", "L1", "L2", "L3", "L4", "L5", "L6", "L7", "LT"])
def test_without_records_there_is_no_verdict(claim):
    assert judge(claim, lambda w, r: None) == "cannot be judged"
