"""The 45 nm table: the published figures, the lines between them, and what is only recalled."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.hardware.catalog import load
from labkit.hardware.energy_per_operation import (
    OPERATIONS,
    dram_pj,
    in_process,
    instruction_pj,
    mac_pj,
    operation,
    sram_pj,
)
from labkit.hardware.estimate import Interval

PUBLISHED = {  # Horowitz, ISSCC 2014, figure 1.1.9, pJ
    "add": {"int8": 0.03, "int16": 0.05, "int32": 0.1, "fp16": 0.4, "fp32": 0.9},
    "multiply": {"int8": 0.2, "int32": 3.1, "fp16": 1.1, "fp32": 3.7},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_say_so_and_nothing_else_does(name):
    table = {number: q for number, q in load("energy_per_operation")[name].items() if q.kind == "published"}
    assert {number: q.value for number, q in table.items()} == PUBLISHED[name]


def test_a_parabola_through_the_published_products_gives_the_16_bit_one():
    """a·8² + b·8 = 0.2 and a·32² + b·32 = 3.1."""
    a = (3.1 / 32 - 0.2 / 8) / 24
    b = 0.2 / 8 - 8 * a
    assert operation("multiply", "int16").value == pytest.approx(a * 256 + b * 16, abs=0.005)
    assert operation("multiply", "int16").kind == "assumed"


def test_a_mac_by_hand():
    assert mac_pj().mid == pytest.approx(0.2 + 0.1) and mac_pj("int8", "int8").mid == pytest.approx(0.23)
    assert mac_pj("fp16", "fp32").mid == pytest.approx(1.1 + 0.9)


@pytest.mark.parametrize(("kib", "energy"), [(8, 10), (32, 20), (1024, 100)])
def test_memory_at_the_published_sizes(kib, energy):
    assert sram_pj(kib * 1024, bits=64).mid == pytest.approx(energy)
    assert sram_pj(kib * 1024).mid == pytest.approx(energy / 8)


def test_dram_spans_the_published_range():
    assert (dram_pj(64).low, dram_pj(64).high) == (1300, 2600)
    assert load("energy_per_operation")["dram"]["low"].value == pytest.approx(20.3125 * 64)


@given(st.floats(16, 2**30), st.floats(1.01, 100))
def test_a_larger_memory_costs_more_and_less_than_in_proportion(size, factor):
    ratio = sram_pj(size * factor).mid / sram_pj(size).mid
    assert 1 < ratio < factor


def test_the_ladder_of_the_paper():
    """Arithmetic, on-chip memory, external memory, a whole instruction: each step is more than three times the one before."""
    steps = [mac_pj().mid, sram_pj(32 * 1024, 16).mid, instruction_pj().mid, dram_pj(16).mid]
    assert all(b > 3 * a for a, b in itertools.pairwise(steps))
    assert load("energy_per_operation")["instruction"]["any"].kind == "assumed"


def test_another_process():
    assert in_process(Interval.exactly(2.0), 45, 0.9).mid == pytest.approx(2.0)
    assert in_process(Interval.exactly(1.0), 90, 0.9).mid == pytest.approx(2.0)
    assert in_process(Interval.exactly(1.0), 45, 1.8).mid == pytest.approx(4.0)


def test_unknown_names_and_sizes():
    with pytest.raises(ValueError, match="did you mean multiply"):
        operation("multiplication", "int8")
    with pytest.raises(ValueError, match="did you mean int8"):
        operation("add", "int 8")
    with pytest.raises(ValueError, match="known: int8, int32"):
        operation("shift", "fp16")
    assert OPERATIONS == ("add", "multiply", "shift")
    for size in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="size in bytes, above 0"):
            sram_pj(size)
    with pytest.raises(ValueError, match="give both above 0"):
        in_process(Interval.exactly(1.0), 0, 1)
