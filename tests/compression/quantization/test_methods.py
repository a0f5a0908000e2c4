import hashlib
import re
from dataclasses import replace

import pytest

from gnnperf import codec
from gnnperf.compression import RecipeError
from gnnperf.compression.quantization.configuration import CONFIGURATIONS, parse_configuration
from gnnperf.meters.registry import MeterOptions
from gnnperf.recipes import compress, parse_recipe
from gnnperf.reports.table import kept_epoch
from gnnperf.study.measure import Setting, measure, memory_readings, score_readings
from gnnperf.study.sizes import size_readings

from .models import untrained_gin


@pytest.fixture(scope="module")
def base():
    return untrained_gin()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("qat@int8", "qat@int8"),
        ("qat@int8:gc-per", "qat@int8"),
        ("dq@int4:ste-mom", "dq@int4:ste-mom"),
        ("qat@int8:gc-per,trained", "qat@int8:trained"),
        ("dq@int8:trained,ste-abs", "dq@int8:ste-abs,trained"),
        ("ptq@int2", "ptq@int2"),
        ("qat@w8a8", "qat@int8"),
        ("qat@w2a8:trained,ste-abs,channels,hidden", "qat@w2a8:hidden,channels,ste-abs,trained"),
        ("ptq@w4a8:hidden", "ptq@w4a8:hidden"),
    ],
)
def test_canonical_spelling(text, canonical):
    assert parse_recipe(text).text == canonical == parse_recipe(canonical).text


def test_there_are_six_configurations():
    assert sorted(CONFIGURATIONS) == [
        "gc-abs", "gc-mom", "gc-per", "ste-abs", "ste-mom", "ste-per",
    ]  # fmt: skip
    for name in CONFIGURATIONS:
        settings = parse_configuration(f"int4:{name}").activations()
        assert (f"{settings.gradient}-{settings.range}", settings.bits) == (name, 4)
    assert parse_configuration("w8a4").activations().cut == 0.01
    assert parse_configuration("w4a5").activations().cut == 0.001


@pytest.mark.parametrize(
    "bad",
    [
        *("int1", "int9", "int", "8", "int8:", "int8:per", "int8:gc-max", "int8:gc-per:x", "4.0"),
        *("int8:trained,", "int8:trained,trained", "int8:gc-per,gc-abs", "int8,trained"),
        *("w8", "a8", "w1a8", "w8a9", "w4a8:hidden,hidden", "w44a8", "w4a8a8"),
        "int8:gc-per,gc-per",
    ],
)
def test_other_bits_and_configurations_are_refused(bad):
    with pytest.raises(RecipeError, match=rf"'{bad}' is no argument for qat .*int2 to int8, or"):
        parse_recipe(f"qat@{bad}")


def test_calibration_alone_trains_nothing_that_could_be_kept():
    with pytest.raises(RecipeError, match="'int8:trained' is no argument for ptq"):
        parse_recipe("ptq@int8:trained")


@pytest.mark.parametrize("method", ["qat", "dq"])
def test_a_record_says_where_calibration_sufficed_and_training_can_be_insisted_on(base, method):
    """At a rate of zero no epoch is better than the calibrated start."""
    idle = replace(base, finetune=replace(base.finetune, learning_rate=0.0))
    record = measure(compress(idle, f"{method}@int8"), lambda pair: None, meters=())
    assert record.finetune["kept"] == "calibration sufficed"
    assert (record.value("training_best_epoch"), record.value("training_epochs")) == (0, 2)
    assert record.readings["training_best_epoch"].source.endswith(": calibration sufficed")
    assert kept_epoch(record) == "0 of 2, calibration sufficed"

    record = measure(compress(idle, f"{method}@int8:trained"), lambda pair: None, meters=())
    best = record.finetune["best_epoch"]
    assert best >= 1
    assert record.finetune["kept"] == f"epoch {best}"
    assert kept_epoch(record) == f"{best} of 2"
    assert record.readings["training_best_epoch"].source.endswith("the epoch that is kept")


def test_calibration_alone_says_nothing_of_a_training(base):
    record = measure(compress(base, "ptq@int8"), lambda pair: None, meters=())
    assert record.finetune == {}
    assert kept_epoch(record) == "-"


@pytest.mark.parametrize("recipe", ["ptq@int8", "qat@w4a8", "qat@int4:ste-abs", "dq@int4:hidden"])
def test_a_recipe_ships_the_integer_model_that_it_simulates(base, recipe):
    compressed = compress(base, recipe)
    readings = compressed.readings
    assert readings["export_agreement"].value == 1
    assert readings["export_logit_difference_steps"].value == 0
    assert compressed.deployed is not None
    bits = int(re.search("[48]", recipe)[0])
    widths = {v.bits for v in compressed.state().values() if isinstance(v, codec.QuantizedTensor)}
    assert widths == {bits}
    sizes = size_readings(compressed)
    assert sizes["size_ratio"].value >= {8: 4.0, 4: 7.0}[bits]
    assert sizes["algorithm1_bytes"].value > 0
    assert 0 <= score_readings(compressed)["accuracy"].value <= 1
    hidden = "hidden" in recipe
    assert len(compressed.coverage) == 11 if hidden else 12
    assert (readings["weight_bits"].value == bits) == (not hidden)


def test_trained_twice_it_is_the_same_bit_for_bit(base):
    digests = {
        hashlib.sha256(codec.encode(compress(base, "dq@int8").state(), level="fast")).hexdigest()
        for _ in range(2)
    }
    assert len(digests) == 1


def test_a_training_is_kept_and_taken_from_the_cache(base, tmp_path):
    cached = replace(base, checkpoints=tmp_path)
    first, second = compress(cached, "qat@int4"), compress(cached, "qat@int4")
    assert len(list(tmp_path.glob("*.ckpt"))) == 1
    assert first.finetuned == second.finetuned
    assert codec.same_state(first.state(), second.state())
    compress(cached, "dq@int4")
    compress(cached, "qat@int4:ste-per")
    assert len(list(tmp_path.glob("*.ckpt"))) == 3
    compress(cached, "qat@int4:trained")
    assert len(list(tmp_path.glob("*.ckpt"))) == 4


def test_the_memory_pass_loads_the_integer_file(base):
    pytest.importorskip("memray")
    compressed = compress(base, "ptq@int8")
    readings = memory_readings(compressed, Setting(lambda pair: None, None, MeterOptions()))
    load = readings["load_peak_heap_bytes"]
    assert load.value is None or load.value > 0


def test_the_simulation_is_timed_beside_what_is_shipped(base):
    from gnnperf.study.measure import latency_readings

    compressed = compress(base, "ptq@int8")
    readings = latency_readings(compressed, lambda pair: pair.run(time_limit_seconds=1))
    assert readings["simulated_cpu_ratio"].value > 0
    assert readings["cpu_ratio"].value > 0
    assert "simulated_cpu_ratio" not in latency_readings(compressed, lambda pair: None)
