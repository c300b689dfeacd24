"""The Cortex-M model: energy, folding, front end, widths, stacks, calibration to one measurement."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.hardware import cortex_m
from labkit.hardware.measurements import BENCHMARKS, systems
from labkit.hardware.reference import reference
from labkit.workload import Layer, Workload


def small(op="linear", bits=8, activation_bits=8, in_shape=(64,), out_shape=(12,), **more) -> Workload:
    layer = Layer("x", op, ("input",), in_shape, out_shape, weight_bits=bits, activation_bits=activation_bits, bias=True, **more)
    return Workload("small", in_shape, (layer,))


def test_latency_by_hand():
    """64 × 12 MACs and 12 outputs, with the coefficients that the catalog shows."""
    board = labkit.device("nucleo-l4r5zi")
    c_conv, c_fc, c_out = board.coefficients
    assert board.estimate(small()).latency_ms.mid == pytest.approx((768 * c_fc + 12 * c_out) / 120e3)
    conv = small("conv", in_shape=(4, 8), out_shape=(6, 8), kernel=(3,))
    assert board.estimate(conv).latency_ms.mid == pytest.approx((3 * 4 * 6 * 8 * c_conv + 48 * c_out) / 120e3)


@pytest.mark.parametrize("name", cortex_m.DEVICES)
def test_energy_is_power_times_time(name):
    board = labkit.device(name)
    estimate = board.estimate(reference("kws"))
    assert estimate.energy_uj.mid == pytest.approx(board.power_mw * estimate.latency_ms.mid)


@given(st.floats(1.7, 3.6))
def test_supply_voltage_counts_behind_a_linear_regulator_only(volts):
    for name, changes in (("nucleo-l4r5zi", True), ("nucleo-h7a3zi", False)):
        usual, other = labkit.device(name), labkit.device(name, supply_v=volts)
        ratio = other.estimate(small()).energy_uj.mid / usual.estimate(small()).energy_uj.mid
        assert ratio == pytest.approx(volts / usual.supply_v if changes else 1.0)


def test_the_same_chip_at_three_volts():
    """Krai measured the STM32L4R5 at 3.0 V, ST at 1.8 V: same time, 1.67 times the energy (MLPerf Tiny v1.1 and v1.0, kws)."""
    low, high = (labkit.device("nucleo-l4r5zi", stack="x-cube-ai-7", supply_v=v).estimate(reference("kws")) for v in (1.8, 3.0))
    assert low.energy_uj.mid == pytest.approx(3371.7, rel=0.06)
    assert high.energy_uj.mid == pytest.approx(5627.5, rel=0.06)


def test_only_some_stacks_fold_dead_channels():
    vww = reference("vww")
    alive = dataclasses.replace(vww, layers=tuple(dataclasses.replace(x, live_inputs=None, live_outputs=None) for x in vww.layers))
    for stack, folds in (("x-cube-ai-9", True), ("hale", False)):
        board = labkit.device("nucleo-l4r5zi", stack=stack)
        ratio = board.estimate(vww).latency_ms.mid / board.estimate(alive).latency_ms.mid
        assert (ratio < 0.7) == folds and (folds or ratio == pytest.approx(1.0))


def test_narrow_weights_save_flash_and_cost_unpacking():
    board = labkit.device("nucleo-l4r5zi")
    wide, narrow = board.estimate(small(bits=8)), board.estimate(small(bits=4))
    assert narrow.flash_bytes == wide.flash_bytes - 64 * 12 // 2
    assert narrow.latency_ms.mid > wide.latency_ms.mid
    assert any("unpacking" in sentence for sentence in narrow.provenance)


def test_bits_per_channel():
    """A pruned channel is not compiled, on any stack; of the others, those under 8 bits are unpacked."""
    for name, stack in (("nucleo-l4r5zi", "x-cube-ai-9"), ("raspberry-pi-pico", "tflm")):
        board = labkit.device(name, stack=stack)
        ms = {bits: board.estimate(small(bits=bits)).latency_ms.mid for bits in (0, 4, 8)}
        assert ms[0] == 0 < ms[8] < ms[4]
        mixed = board.estimate(small(bits=(0,) * 6 + (4,) * 3 + (8,) * 3))
        assert mixed.latency_ms.mid == pytest.approx((ms[4] + ms[8]) / 4)
        assert any("unpacking" in sentence for sentence in mixed.provenance)
        pruned = board.estimate(small(bits=(0,) * 6 + (8,) * 6))
        assert pruned.latency_ms.mid == pytest.approx(ms[8] / 2)
        assert not any("unpacking" in sentence for sentence in pruned.provenance)


def test_float_needs_a_floating_point_unit():
    board = labkit.device("nucleo-l4r5zi")
    slow, fast = board.estimate(small(bits=32, activation_bits=32)), board.estimate(small())
    assert slow.latency_ms.mid == pytest.approx(2.7 * fast.latency_ms.mid)
    for volts in (0, math.nan, math.inf):
        with pytest.raises(ValueError, match="above 0"):
            labkit.device("nucleo-l4r5zi", supply_v=volts)
    with pytest.raises(ValueError, match="quantize the network"):
        labkit.device("nucleo-g0b1re").estimate(small(bits=32, activation_bits=32))


def test_a_front_end_is_priced_and_said_to_be_assumed():
    fft = Layer("fft", "fft", ("input",), (480, 49), (257, 49), kernel=(512,))
    log = Layer("log", "log", ("fft",), (257, 49), (257, 49))
    estimate = labkit.device("nucleo-l4r5zi").estimate(Workload("front end", (480, 49), (fft, log)))
    assert estimate.layers[0].latency_ms == pytest.approx(512 * 9 * 49 * 5 / 120e3)
    assert estimate.latency_ms.high == pytest.approx(2.5 * estimate.latency_ms.mid)
    assert any("the front end" in sentence and "Assumed" in sentence for sentence in estimate.provenance)


def test_fits_compares_with_the_part():
    board = labkit.device("nucleo-g0b1re")
    assert board.estimate(reference("kws")).fits
    assert not board.estimate(small(in_shape=(1000,), out_shape=(600,))).fits  # 600 kB of weights, 512 kB of flash
    assert not board.estimate(small("conv", in_shape=(1, 200, 200), out_shape=(4, 200, 200), kernel=(1, 1))).fits


def test_an_interval_is_wider_where_nobody_measured():
    width = lambda e: e.high / e.low  # noqa: E731
    measured = labkit.device("nucleo-u575zi").estimate(reference("kws"))
    borrowed = labkit.device("nucleo-u385rg").estimate(reference("kws"))
    assert width(borrowed.latency_ms) > width(measured.latency_ms)
    assert width(borrowed.energy_uj) > width(measured.energy_uj)
    assert any("nobody measured" in sentence for sentence in borrowed.provenance)


@pytest.mark.parametrize("system", systems(), ids=lambda s: s.name)
def test_estimates_reproduce_the_measurements_they_were_fitted_to(system):
    if np.isnan(system.latency_ms).any():
        pytest.skip("not all four networks")
    board = labkit.device(system.board, stack=system.stack)
    errors = [
        abs(board.estimate(reference(b)).latency_ms.mid / ms - 1) for b, ms in zip(BENCHMARKS, system.latency_ms, strict=True)
    ]
    assert np.mean(errors) < 0.10


class TestCalibrated:
    """One measurement on the student's own board."""

    def test_the_measured_workload_takes_what_was_measured(self):
        board = labkit.device("nucleo-l4r5zi")
        mine = board.calibrated(reference("kws"), latency_ms=60.0, energy_uj=2400.0)
        estimate = mine.estimate(reference("kws"))
        assert estimate.latency_ms.mid == pytest.approx(60.0)
        assert estimate.energy_uj.mid == pytest.approx(2400.0)
        assert board.estimate(reference("kws")).latency_ms.mid != pytest.approx(60.0)  # the board itself stays as it was

    def test_everything_else_scales_alike(self):
        board = labkit.device("nucleo-u575zi")
        mine = board.calibrated(reference("ic"), latency_ms=222.0)
        ratio = 222.0 / board.estimate(reference("ic")).latency_ms.mid
        for name in ("ad", "kws", "vww", "sww"):
            before, after = board.estimate(reference(name)), mine.estimate(reference(name))
            assert after.latency_ms.mid == pytest.approx(ratio * before.latency_ms.mid)
            assert after.energy_uj.mid == pytest.approx(ratio * before.energy_uj.mid)  # no energy measured: the power stays
            assert after.flash_bytes == before.flash_bytes

    def test_twice_is_the_last(self):
        mine = labkit.device("nucleo-h7a3zi").calibrated(reference("kws"), 30.0).calibrated(reference("kws"), 20.0)
        assert mine.estimate(reference("kws")).latency_ms.mid == pytest.approx(20.0)

    @pytest.mark.parametrize("name", ["arduino-nano-33-ble", "raspberry-pi-pico", "nucleo-u385rg", "nucleo-l4r5zi"])
    def test_an_interval_never_widens(self, name):
        width = lambda e: e.high / e.low  # noqa: E731
        board = labkit.device(name)
        middle = board.estimate(reference("kws"))
        mine = board.calibrated(reference("kws"), middle.latency_ms.mid, middle.energy_uj.mid).estimate(reference("kws"))
        assert width(mine.latency_ms) <= width(middle.latency_ms) * (1 + 1e-9)
        assert width(mine.energy_uj) <= width(middle.energy_uj) * (1 + 1e-9)
        if name != "nucleo-l4r5zi":  # which is known from its own four networks
            assert width(mine.latency_ms) < width(middle.latency_ms)

    def test_provenance_says_so(self):
        mine = labkit.device("raspberry-pi-pico").calibrated(reference("kws"), 310.0, 25_000.0)
        sentences = " ".join(mine.estimate(reference("ad")).provenance)
        assert "mlperf-tiny-kws takes the 310 ms measured" in sentences
        assert "from the 25000 µJ measured" in sentences
        assert "predicted from one measured network" in sentences

    @pytest.mark.parametrize(
        "latency, energy", [(0, None), (-3, None), (float("nan"), None), (float("inf"), None), (10, 0), (10, -1)]
    )
    def test_a_measurement_is_above_zero(self, latency, energy):
        with pytest.raises(ValueError, match="above 0"):
            labkit.device("nucleo-l4r5zi").calibrated(reference("kws"), latency, energy)


def test_the_interval_of_a_pico_holds_pilotnet():
    """DeepPicarMicro (Bechtel et al., 2022): 8-bit PilotNet, 66 x 200 x 3, about three seconds a frame on an RP2040."""
    layers, shape, source = [], (3, 66, 200), "input"
    for i, (channels, kernel, stride) in enumerate([(24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1)]):
        out = (channels, *((size - kernel) // stride + 1 for size in shape[1:]))
        layers.append(Layer(f"conv{i}", "conv", (source,), shape, out, kernel=(kernel,) * 2, stride=(stride,) * 2, bias=True))
        shape, source = out, f"conv{i}"
    for i, width in enumerate((100, 50, 10, 1)):
        layers.append(Layer(f"fc{i}", "linear", (source,), shape, (width,), bias=True))
        shape, source = (width,), f"fc{i}"
    pilotnet = Workload("pilotnet", (3, 66, 200), tuple(layers))
    assert pilotnet.macs == pytest.approx(26.9e6, rel=0.02)
    estimate = labkit.device("raspberry-pi-pico").estimate(pilotnet)
    assert 3000 in estimate.latency_ms
