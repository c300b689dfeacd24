"""Inner loops by weight format: what is faster where, and what a 45 nm circuit pays."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.hardware.catalog import KINDS
from labkit.hardware.inner_loops import CORES, WEIGHTS, cycles_per_mac, energy_pj, inner_loop, inner_loops
from tests.shared import ROOT


def test_every_format_has_a_figure_on_every_core_and_a_source():
    assert [(loop.core, loop.weights) for loop in inner_loops()] == list(itertools.product(CORES, WEIGHTS))
    for loop in inner_loops():
        assert loop.kind in KINDS and loop.source
        assert 0 < loop.cycles_per_mac.low < loop.cycles_per_mac.mid < loop.cycles_per_mac.high


def test_shifts_are_slower_on_a_cortex_m4_beyond_any_doubt():
    """Even the fastest shift kernel against the slowest int8 kernel."""
    assert cycles_per_mac("M4", "power-of-two").low > 2 * cycles_per_mac("M4", "int8").high
    assert 3 < cycles_per_mac("M4", "power-of-two").mid / cycles_per_mac("M4", "int8").mid < 8


def test_shifts_win_where_a_multiplication_takes_32_cycles():
    assert cycles_per_mac("M0+ slow", "power-of-two").high < cycles_per_mac("M0+ slow", "int8").low
    assert cycles_per_mac("M0+", "power-of-two").low > cycles_per_mac("M0+", "int8").mid
    assert cycles_per_mac("M0+", "power-of-two") == cycles_per_mac("M0+ slow", "power-of-two")


def test_four_bits_change_nothing_and_one_bit_on_both_sides_much():
    int8, int4, xnor = (cycles_per_mac("M4", weights) for weights in ("int8", "int4", "xnor"))
    assert int4.low < int8.mid < int4.high
    assert xnor.mid == pytest.approx(int8.mid / 4)


def test_what_is_derived_is_called_assumed():
    assert {(loop.core, loop.weights) for loop in inner_loops() if loop.kind == "assumed"} == {
        ("M0+ slow", "ternary"),
        ("M0+ slow", "xnor"),
    }
    assert "assumed" in str(inner_loop("M0+ slow", "ternary"))


def test_energy_by_hand():
    """Multiplication 0.2 pJ, shift 0.024 pJ, 32-bit addition 0.1 pJ (Horowitz; You et al.)."""
    assert energy_pj("int8").mid == pytest.approx(0.2 + 0.1)
    assert energy_pj("int4").mid == pytest.approx(0.1 + 0.1)
    assert energy_pj("power-of-two").mid == pytest.approx(0.024 + 0.1)
    assert energy_pj("ternary").mid == energy_pj("binary").mid == pytest.approx(0.1)
    assert energy_pj("xnor").mid == pytest.approx(0.0075)
    assert energy_pj("power-of-two").high == pytest.approx(1.5 * (0.13 + 0.1))
    assert energy_pj("int8").low == pytest.approx(0.2)


def test_scaled_to_32_bits_the_figures_meet_the_published_ones():
    product, shift = (energy_pj(weights, 32).mid - 0.1 for weights in ("int8", "power-of-two"))
    assert 4 * product == pytest.approx(3.1, rel=0.04)  # 32 × 8 bits are a quarter of 32 × 32
    assert shift == pytest.approx(0.13, rel=0.27)


@given(st.sampled_from([w for w in WEIGHTS if w != "xnor"]), st.integers(1, 31))
def test_wider_activations_never_cost_less(weights, bits):
    assert energy_pj(weights, bits).mid <= energy_pj(weights, bits + 1).mid


def test_unknown_names_and_widths():
    with pytest.raises(ValueError, match=r"did you mean M0\+"):
        cycles_per_mac("M0", "int8")
    with pytest.raises(ValueError, match="did you mean power-of-two"):
        cycles_per_mac("M4", "power of two")
    with pytest.raises(ValueError, match="did you mean ternary"):
        energy_pj("ternery")
    for bits in (0, 33, 8.5, "8"):
        with pytest.raises(ValueError, match="from 1 to 32"):
            energy_pj("int8", bits)


def test_the_table_in_the_docs_is_the_one_of_the_code():
    text = (ROOT / "docs" / "hardware.md").read_text(encoding="utf-8").split("## Weight formats without hardware")[1]
    lines = [line for line in text.splitlines() if line.startswith(("| Cortex-M4 |", "| Cortex-M0+,", "| 45 nm circuit"))]
    shown = [[float(cell) for cell in line.split("|")[2:-1]] for line in lines]
    computed = [[cycles_per_mac(core, weights).mid for weights in WEIGHTS] for core in CORES]
    assert shown == [*computed, pytest.approx([energy_pj(weights).mid for weights in WEIGHTS])]
