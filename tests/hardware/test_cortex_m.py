"""The Cortex-M model: energy, folding, front end, widths, stacks; and its held-out errors, which the README quotes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.hardware import cortex_m, fitting, heldout, validation
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


@pytest.mark.parametrize("name", cortex_m.boards())
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
    with pytest.raises(ValueError, match="above 0"):
        labkit.device("nucleo-l4r5zi", supply_v=0)
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


def test_the_held_out_network_is_never_seen():
    """Changing the hidden measurement must not change its prediction."""
    system = next(s for s in systems() if s.core == "M4" and s.submitter == "bosch")
    others = [s for s in systems() if s.core == "M4" and s.submitter != "bosch"]
    for unseen in range(len(BENCHMARKS)):
        latency = system.latency_ms.copy()
        latency[unseen] *= 7
        changed = dataclasses.replace(system, latency_ms=latency)
        assert heldout.predict_cycles(changed, others, unseen) == heldout.predict_cycles(system, others, unseen)


def test_relative_least_squares_against_a_grid():
    """scipy's answer is no worse than any point of a fine grid around it."""
    features = np.array([[1.0, 4.0], [3.0, 1.0], [2.0, 2.0], [5.0, 0.5]])
    target = np.array([10.0, 7.0, 9.5, 8.0])
    loss = lambda c: np.sum((features @ c / target - 1) ** 2)  # noqa: E731
    best = fitting.relative_nnls(features, target)
    grid = [np.array([a, b]) for a in np.linspace(0, 5, 101) for b in np.linspace(0, 5, 101)]
    assert loss(best) <= min(loss(point) for point in grid) + 1e-12


ROWS = validation.validate()


@pytest.mark.parametrize(
    ("family", "quantity", "limit"),
    [("Cortex-M4", "latency", 12), ("Cortex-M7", "latency", 7), ("Cortex-M33", "latency", 13), ("Cortex-M0+", "latency", 15)]
    + [(f"Cortex-{core}", "energy", 15) for core in ("M4", "M7", "M33")],
)
def test_held_out_errors(family, quantity, limit):
    row = next(r for r in ROWS if (r.family, r.quantity) == (family, quantity) and "held-out network" in r.protocol)
    assert row.mape <= limit
    assert row.mape < 0.6 * row.baseline_mape  # MACs alone, same protocol
    assert row.median <= row.mape <= row.worst


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.coverage80 is not None], ids=lambda r: f"{r.family} {r.quantity} {r.protocol}"
)
def test_80_percent_intervals_hold_about_80_percent(row):
    assert 0.70 <= row.coverage80 <= 0.95


def test_validate_has_the_fixed_keys_and_a_table():
    keys = ["family", "quantity", "protocol", "n", "mape", "median", "worst", "worst_case", "baseline_mape", "coverage80"]
    keys += ["rank", "at_most"]
    assert all(list(row.as_dict()) == keys for row in ROWS)
    lines = validation.table(ROWS).splitlines()
    assert len(lines) == len(ROWS) + 1
    assert len({line.index("%") for line in lines[1:]}) == 1  # columns are aligned
