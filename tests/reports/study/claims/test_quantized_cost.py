import pytest

from gnnperf.reports.study.places import QUANTIZERS

from ..made_up import judge

RECIPES = tuple(QUANTIZERS.values())


def reading(name, otherwise, **of):
    """A reading by recipe (`qat_int8`)."""
    return lambda w, r: {
        name: of.get(r.replace("@", "_").removesuffix(":hidden"), otherwise),
        "accuracy": 0.7,
    }


def test_training_times():
    def cpu(faster, slower, a2q):
        return reading(
            "training_cpu_seconds",
            1,
            **{"qat_int8": faster, "dq_int8": faster, "qat_int4": slower, "a2q_4": a2q},
        )

    assert judge("K9", cpu(0.999, 1.001, 1.002)) == "reproduced"
    assert judge("K9", cpu(1, 1.001, 1.002)) == "in part"
    assert judge("K9", cpu(0.999, 1.002, 1.001)) == "in part"
    assert judge("K9", cpu(1, 1, 1)) != "reproduced"


def test_inference_times():
    def simulated(a2q, others):
        return reading("simulated_cpu_ratio", others, a2q_4=a2q)

    assert judge("K10", simulated(1.0501, 1.05)) == "reproduced"
    assert judge("K10", simulated(1.05, 1.05)) == "in part"
    assert judge("K10", simulated(1.05, 1.0501)) == "not reproduced"


def test_four_and_sixteen():
    for ratio, verdict in ((4, "reproduced"), (3.99, "not reproduced")):
        readings = {"size_ratio": ratio, "cpu_ratio": 1.7}
        assert judge("K12", lambda w, r: readings) == verdict  # noqa: B023


def test_energy_on_bbbp():
    def joules(dq, dense):
        return reading("energy_joules", 1, dq_int8=dq, **{"global_0": dense})

    assert judge("K14", joules(0.999, 1.001)) == "reproduced"
    assert judge("K14", joules(0.999, 1)) == "in part"
    assert judge("K14", joules(1, 1)) == "not reproduced"


def test_energy_on_proteins():
    def joules(a2q, qat4, qat8):
        return reading("energy_joules", 1, a2q_4=a2q, qat_int4=qat4, qat_int8=qat8)

    assert judge("K15", joules(0.9, 0.999, 1.001)) == "reproduced"
    assert judge("K15", joules(0.9, 1, 1.001)) == "in part"
    assert judge("K15", joules(1, 1, 1)) == "not reproduced"


def test_cpu_of_quantized_models():
    def cpu(dq, a2q, qat8):
        def readings(workload, recipe):
            least = {"bbbp-gin": ("dq@int8:hidden", dq), "proteins-gin": ("a2q@4", a2q)}[workload]
            value = qat8 if recipe == "qat@int8:hidden" else least[1] if recipe == least[0] else 1
            return {"inference_cpu_seconds": value}

        return readings

    assert judge("K16", cpu(0.999, 0.999, 1.001)) == "reproduced"
    assert judge("K16", cpu(1, 0.999, 1.001)) == "in part"
    assert judge("K16", cpu(1, 1, 0.9)) == "not reproduced"


@pytest.mark.parametrize(
    ("a2q", "others", "verdict"),
    [
        (1.7, 1.15, "reproduced"),
        (2.4, 0.85, "reproduced"),
        (1.69, 1.15, "in part"),
        (2.41, 1.1501, "not reproduced"),
    ],
)
def test_memory_of_quantized_models(a2q, others, verdict):
    assert judge("K17", reading("peak_heap_ratio", others, a2q_4=a2q)) == verdict
