"""DIANA: both arrays against plain loops and worked examples; which layer runs where; memory and refusals."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.hardware import diana
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.reference import reference
from labkit.workload import Layer, Workload

DEVICE = diana.DIANA()


def conv(channels=16, out=32, size=(8, 8), kernel=(3, 3), bits=8, op="conv") -> Layer:
    groups = channels if op == "depthwise" else 1
    padding = tuple(k // 2 for k in kernel)
    ones = (1,) * len(size)
    return Layer("conv", op, ("input",), (channels, *size), (out, *size), kernel, ones, padding, groups, weight_bits=bits)


def table(layer: Layer) -> LayerTable:
    return LayerTable.of([Workload("net", layer.in_shape, (layer,))])


@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 40), st.integers(1, 20), st.sampled_from([1, 3, 5]))
@settings(max_examples=60, deadline=None)
def test_the_digital_array_loop_by_loop(channels, out, height, width, side):
    """16 output channels by 16 rows in a cycle; then inputs and outputs move, eight a cycle."""
    cycles = 0
    for _ in range(0, out, 16):
        for _ in range(0, height, 16):
            cycles += channels * width * side * side
    cycles += height * width * (channels + out) / 8
    assert diana.digital_cycles(table(conv(channels, out, (height, width), (side, side))))[0] == pytest.approx(cycles)
    depthwise = channels * math.ceil(height / 16) * width * side * side + height * width * 2 * channels / 8
    layer = conv(channels, channels, (height, width), (side, side), op="depthwise")
    assert diana.digital_cycles(table(layer))[0] == pytest.approx(depthwise)


@given(st.integers(1, 300), st.integers(1, 1100), st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3]))
@settings(max_examples=80, deadline=None)
def test_the_analog_array_product_by_product(channels, out, height, width, side):
    together = 1
    for positions in (2, 4, 8):
        if positions * out <= 512 and (positions + side - 1) * max(channels, 64) * side <= 1152:
            together = positions
    products = sum(1 for _ in range(0, out, 512) for _ in range(0, channels, 128)) * height * width / together
    expected = products * 70 * 0.26 + 8 * channels * side * side
    assert diana.analog_cycles(table(conv(channels, out, (height, width), (side, side))))[0] == pytest.approx(expected)


def test_worked_examples():
    """16 to 32 channels, 3x3, 8x8: 2 · 16 · 8 · 9 + 64 · 48 / 8 = 2688 digital cycles; 4 side by side, 16 analog products."""
    eight, ternary = (DEVICE.estimate(Workload("net", (16, 8, 8), (conv(bits=bits),))) for bits in (8, 2))
    assert eight.latency_ms.mid == pytest.approx(2688 / 260e3)
    assert ternary.latency_ms.mid == pytest.approx((16 * 18.2 + 8 * 16 * 9) / 260e3)
    assert eight.energy_uj.mid == pytest.approx(294_912 * 0.285e-6 + 10 * 2688 / 260e3)


@pytest.mark.parametrize(
    ("layer", "analog"),
    [(conv(bits=2), True), (conv(bits=1), True), (conv(bits=3), False), (conv(16, 16, bits=2, op="depthwise"), False)],
)
def test_which_layer_runs_where(layer, analog):
    assert diana.on_analog(table(layer))[0] == analog


def test_one_dimension_is_one_column():
    assert diana.shapes(table(conv(size=(100,), kernel=(9,))))["rows"] == [100]
    assert diana.digital_cycles(table(conv(16, 16, (100,), (9,))))[0] == 16 * 7 * 9 + 100 * 32 / 8


@pytest.mark.parametrize("bits", [8, 2])
def test_every_reference_network_has_a_price(bits):
    networks = [reference(name).with_bits(bits, 8) for name in ("ad", "ic", "kws", "vww", "sww")]
    many = DEVICE.estimate_many(networks)
    for i, workload in enumerate(networks):
        one = DEVICE.estimate(workload)
        assert many["energy_uj"][i] == pytest.approx(one.energy_uj.mid)
        assert one.latency_ms.low < one.latency_ms.mid < one.latency_ms.high
        assert one.energy_uj.low < one.energy_uj.mid < one.energy_uj.high
        assert any("not validated" in sentence for sentence in one.provenance)
        assert all(sentence.endswith(".") for sentence in one.provenance)


def test_the_published_efficiency_lies_inside():
    """7.02 TOP/s/W, end to end, for a network on CIFAR-10: inside for ResNet-8 with ternary weights."""
    estimate = DEVICE.estimate(reference("ic").with_bits(2, 8))
    assert reference("ic").macs * 2 / 7.02e12 * 1e6 in estimate.energy_uj


def test_pruned_channels_cost_nothing():
    half = DEVICE.estimate(Workload("net", (16, 8, 8), (conv(bits=(8,) * 16 + (0,) * 16),)))
    whole = DEVICE.estimate(Workload("net", (16, 8, 8), (conv(),)))
    assert half.latency_ms.mid < 0.6 * whole.latency_ms.mid


def test_what_does_not_fit_and_what_cannot_run():
    dense = Layer("fc", "linear", ("input",), (1000,), (520,))
    estimate = DEVICE.estimate(Workload("net", (1000,), (dense,)))
    assert estimate.missing == {"flash_bytes": 550_000 - 524_288, "ram_bytes": 551_520 - 524_288}
    wide = Layer("fc", "linear", ("input",), (10,), (10,), weight_bits=16)
    with pytest.raises(ValueError, match=r"diana cannot run layer 'fc' \(linear\).*quantize the network first"):
        DEVICE.estimate(Workload("net", (10,), (wide,)))
