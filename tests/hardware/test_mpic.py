"""MPIC: the published table, per-channel bits against a plain loop, and the published pairs of time and energy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.mpic import cycles_per_mac
from labkit.hardware.reference import reference
from labkit.hardware.validation import mpic as validation
from labkit.workload import Layer, Workload
from tests.shared import rows

DEVICE = labkit.device("mpic")
TABLE = {8: {8: 2.1, 4: 2.3, 2: 2.5}, 4: {8: 2.1, 4: 3.5, 2: 3.9}, 2: {8: 2.2, 4: 4.0, 2: 6.5}}  # MAC/cycle, arXiv 2010.04073


def conv(weight_bits=8, channels=16, out=32, size=8, op="conv") -> Layer:
    groups = channels if op == "depthwise" else 1
    return Layer(
        "conv", op, ("input",), (channels, size, size), (out, size, size), (3, 3), (1, 1), (1, 1), groups, True, weight_bits
    )


def network(weight_bits=8, activation_bits=8, **more) -> Workload:
    layer = conv(weight_bits, **more)
    return Workload("net", layer.in_shape, (layer,), input_bits=activation_bits)


def cycles(workload: Workload) -> float:
    return DEVICE.estimate(workload).latency_ms.mid * 250e3


def wider(bits: int) -> int:
    return next(width for width in (2, 4, 8) if width >= bits)


@pytest.mark.parametrize("activations", (8, 4, 2))
@pytest.mark.parametrize("weights", (8, 4, 2))
def test_the_whole_table(activations, weights):
    macs = 16 * 32 * 9 * 64
    assert cycles(network(weights, activations)) == pytest.approx(macs / TABLE[activations][weights], rel=1e-12)


def test_a_worked_example():
    """16 to 32 channels, 3×3, on 8×8 positions, 4-bit weights, 8-bit activations: PLiNIO's model gives 128 222.6 cycles."""
    assert cycles(network(4, 8)) == pytest.approx(128_222.6, abs=0.05)
    assert DEVICE.estimate(network(4, 8)).energy_uj.mid == pytest.approx(128_222.6 / 250e6 * 5.3825e-3 * 1e6, rel=1e-6)


def test_the_table_is_the_published_one():
    published = [r for r in rows("reference", "published_figures.csv") if r["system"] == "MPIC" and r["metric"] == "throughput"]
    assert len(published) == 9
    for row in published:
        activations, weights = (int(part[-2]) for part in row["dataset"].split(" x "))
        assert 1 / cycles_per_mac()[activations, weights] == pytest.approx(float(row["value"]))


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_bits_per_channel_against_a_plain_loop(channel_bits, activation_bits):
    """Other widths run as the next wider one; a channel of 0 bits is free."""
    workload = network(tuple(channel_bits), activation_bits, out=len(channel_bits))
    each = 16 * 9 * 64
    expected = sum(each / TABLE[wider(activation_bits)][wider(bits)] for bits in channel_bits if bits)
    assert cycles(workload) == pytest.approx(expected)
    stored = sum(16 * 9 * wider(bits) + 32 for bits in channel_bits if bits) / 8
    estimate = DEVICE.estimate(workload)
    assert estimate.flash_bytes == 20_000 + math.ceil(stored)
    assert estimate.ram_bytes == estimate.flash_bytes + workload.peak_activation_bytes


def test_only_pruned_channels_cost_nothing():
    pruned = DEVICE.estimate(network(0))
    assert pruned.latency_ms.high == pruned.energy_uj.high == 0 and pruned.flash_bytes == 20_000


def test_it_is_the_input_that_a_weight_is_multiplied_with():
    """The first layer writes 2 bits but reads 8; the second reads those 2 bits."""
    first = Layer("first", "linear", ("input",), (10,), (20,), weight_bits=2, activation_bits=2)
    second = Layer("second", "linear", ("first",), (20,), (30,), weight_bits=2, activation_bits=8)
    workload = Workload("net", (10,), (first, second))
    assert LayerTable.of([workload]).input_bits.tolist() == [8, 2]
    assert cycles(workload) == pytest.approx(200 / 2.5 + 600 / 6.5)
    both = Layer("both", "concat", ("input", "first"), (10,), (30,))
    assert LayerTable.of([Workload("net", (10,), (first, both))]).input_bits.tolist() == [8, 8]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(2, 8), st.integers(1, 9)), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_many_are_priced_as_one_by_one(configurations):
    workloads = [network(weights, activations, out=out) for weights, activations, out in configurations]
    many = DEVICE.estimate_many(workloads)
    for i, workload in enumerate(workloads):
        one = DEVICE.estimate(workload)
        assert many["latency_ms"][i] == pytest.approx(one.latency_ms.mid, rel=1e-12)
        assert (many["flash_bytes"][i], many["ram_bytes"][i]) == (one.flash_bytes, one.ram_bytes)


def test_fewer_bits_are_never_slower():
    speed = cycles_per_mac()
    assert np.all(np.diff(speed, axis=1) >= 0)  # weights
    assert speed[2, 8] < speed[8, 8] and np.all(speed[2, 1:] <= speed[8, 1:])


def test_keyword_spotting_in_8_bits():
    """2 656 768 MACs at 2.1 a cycle are 5.06 ms and 27.2 µJ; pooling and softmax add little."""
    estimate = DEVICE.estimate(reference("kws"))
    assert 2_656_768 / 2.1 / 250e3 <= estimate.latency_ms.mid <= 5.06 * 1.02
    assert estimate.energy_uj.mid == pytest.approx(27.2, rel=0.02)


def test_nine_microseconds_are_a_twentieth_of_a_microjoule():
    """arXiv 2209.00839 says 9 µs and 0.05 µJ in one version of its abstract, 0.005 µJ in another: only the first is physical."""
    workload = network(8, 8, channels=1, out=8, size=8)
    estimate = DEVICE.estimate(workload)
    assert estimate.latency_ms.mid == pytest.approx(9e-3, rel=0.03)  # 4 725 MACs take 9 µs; this one has 4 608
    in_nine = estimate.energy_uj * (9e-3 / estimate.latency_ms.mid)
    assert round(in_nine.mid, 2) == 0.05
    assert DEVICE.power_mw * 9e-3 == pytest.approx(0.0484, abs=1e-4)
    assert DEVICE.power_mw * 9e-3 / 1.5 > 0.005


def test_power_is_the_mean_of_four():
    assert DEVICE.power_mw == pytest.approx(5.3825)


def test_a_depthwise_layer_is_less_certain():
    dense, depthwise = (DEVICE.estimate(network(op=op, channels=16, out=16)) for op in ("conv", "depthwise"))
    assert depthwise.latency_ms.high / depthwise.latency_ms.mid == pytest.approx(5.0)
    assert dense.latency_ms.high / dense.latency_ms.mid == pytest.approx(2.0)
    assert any("depthwise" in sentence for sentence in depthwise.provenance)
    assert not any("depthwise" in sentence for sentence in dense.provenance)


def test_what_it_says_about_other_widths_and_plain_layers():
    pool = Layer("pool", "avgpool", ("conv",), (32, 8, 8), (32, 1, 1), (8, 8), (8, 8))
    odd = conv(3)
    estimate = DEVICE.estimate(Workload("net", odd.in_shape, (odd, pool)))
    assert any("next wider" in sentence for sentence in estimate.provenance)
    assert any("pooling" in sentence for sentence in estimate.provenance)
    assert estimate.layers[1].latency_ms == pytest.approx(32 * 64 * 2 / 250e3)  # two cycles an input, as on a Cortex-M4
    assert not any("next wider" in s for s in DEVICE.estimate(network(4)).provenance)


@pytest.mark.parametrize(("weights", "activations"), [(16, 8), (8, 16), ((8,) * 31 + (9,), 8)])
def test_a_layer_that_it_cannot_run_is_named(weights, activations):
    with pytest.raises(ValueError, match=r"cannot run layer 'conv'.*quantize the network first"):
        DEVICE.estimate(network(weights, activations))


def test_a_wide_front_end_does_not_matter():
    """16-bit sound goes into the window; the network behind it reads 8 bits."""
    window = Layer("window", "window", ("input",), (16, 8), (16, 8))
    layer = Layer("fc", "linear", ("window",), (16, 8), (4,))
    assert DEVICE.estimate(Workload("net", (16, 8), (window, layer), input_bits=16)).layers[1].latency_ms > 0


def test_what_does_not_fit():
    dense = Layer("fc", "linear", ("input",), (1000,), (520,), bias=True)
    assert not DEVICE.estimate(Workload("weights", (1000,), (dense,))).fits
    assert DEVICE.estimate(Workload("weights", (1000,), (dense,)).with_bits(4)).fits


def test_it_has_no_options():
    with pytest.raises(ValueError, match="it takes none"):
        labkit.device("mpic", stack="tflm")


def test_rows_of_the_validation_are_exact():
    table, example, pair = validation.rows()
    assert (table.n, example.n, pair.n) == (9, 2, 1)
    assert table.worst < 1e-9 and table.baseline_mape > 20  # one pace for all formats would be far off
    assert example.worst < 0.2 and pair.worst < 5


def test_so_many_times_faster_than_a_cortex_m4():
    """3.6 to 11.7 times in convolutions, says the abstract of arXiv 2010.04073.

    A Cortex-M4 with X-CUBE-AI 7.3 takes 1.71 cycles a MAC in convolutions (three-term fit to MLPerf Tiny).
    """
    slowest, fastest = 1.71 / cycles_per_mac()[8, 8], 1.71 / cycles_per_mac()[2, 2]
    assert (slowest, fastest) == pytest.approx((3.6, 11.7), rel=0.1)
