"""What circuits take: exact where a report can be reproduced, and a plain loop as the second opinion on memory shapes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.hardware import fpga_resources as resources
from labkit.hardware.fpga_designs import designs
from labkit.hardware.fpga_folding import RESOURCES, choices, divisors, fastest, for_target
from labkit.hardware.fpga_stage import stage, stages
from labkit.hardware.reference import reference
from labkit.workload import Layer

FINN, HLS4ML = resources.flow("finn"), resources.flow("hls4ml")
CHIP = {"dsp": 220, "lut": 53200, "bram36": 140}


def design(name):
    return next(one for one in designs() if one.name == name)


def dense(inputs=64, outputs=32, weight_bits=8, input_bits=8, activation_bits=8):
    layer = Layer("fc", "linear", ("input",), (inputs,), (outputs,), weight_bits=weight_bits, activation_bits=activation_bits)
    return stage(layer, input_bits)


def test_block_memories_of_the_published_mlp_are_exact():
    """lfcW1A1: 208 RAMB18 in Vivado's report (and 6 RAMB36, the shell)."""
    for name in ("lfcW1A1", "lfcW1A2"):
        assert design(name).memory_blocks() * 2 == 208
        assert 208 / 2 + resources.costs().bram_shell == design(name).bram36


def test_block_memories_of_the_published_cnv():
    """conv1, conv2, conv3 have 32, 16 and 16 weight memories: each fits half a block."""
    counts = {}
    for one, fold in design("cnvW1A1").multiplying:
        count, width, depth = resources.weight_memory(one, fold.pe, fold.simd, FINN)
        counts[one.name] = count * resources.half_blocks(width, depth)
    assert (counts["conv1"], counts["conv2"], counts["conv3"]) == (32, 16, 16)


@pytest.mark.parametrize("name", ["kws", "vww"])
def test_dsp_slices_of_published_designs_are_exact(name):
    for one in designs():
        if one.flow == "fpgaconvnet" and one.network == name:
            assert one.predicted_dsp() == one.dsp


@given(st.integers(1, 600), st.integers(1, 40000))
@settings(max_examples=100, deadline=None)
def test_half_blocks_against_a_loop(width, depth):
    shapes = {1: 16384, 2: 8192, 4: 4096, 9: 2048, 18: 1024, 36: 512}
    assert resources.half_blocks(width, depth) == min(math.ceil(width / b) * math.ceil(depth / d) for b, d in shapes.items())


def test_what_becomes_a_dsp_slice():
    assert resources.dsp(dense(weight_bits=8), 4, 8, FINN) == 32
    assert resources.dsp(dense(weight_bits=4, input_bits=4), 4, 8, FINN) == 0
    assert resources.dsp(dense(weight_bits=1, input_bits=8), 4, 8, FINN) == 0  # a sign, no multiplication
    assert resources.dsp(dense(weight_bits=8), 4, 8, HLS4ML) == 0
    assert resources.dsp(dense(weight_bits=13, input_bits=7), 4, 8, HLS4ML) == 32


def test_one_memory_or_one_for_each_pe():
    one = dense(64, 32, weight_bits=2)
    assert resources.weight_memory(one, 4, 8, FINN) == (4, 16, 64)
    assert resources.weight_memory(one, 4, 8, HLS4ML) == (1, 64, 64)


@given(st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_wider_numbers_never_take_less_logic(weight_bits, input_bits):
    """As long as multiplications stay in LUTs and outputs as they are."""
    lut = [resources.lut(dense(weight_bits=w, input_bits=a), 4, 8, HLS4ML) for w, a in ((weight_bits, input_bits), (8, 8))]
    assert lut[0] <= lut[1] + 1e-9


@given(st.sampled_from([6, 10, 64, 72]), st.sampled_from([4, 12, 32]), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_choices_cover_every_reuse_factor_once(inputs, outputs, bits):
    one = dense(inputs, outputs, bits)
    table = choices(one, FINN, tuple(CHIP[name] for name in RESOURCES))
    expected = {one.products // (p * s) for p in divisors(outputs) for s in divisors(inputs)}
    assert table[:, 0].tolist() == sorted(expected)
    assert np.all(table[:, 0] * table[:, 1] * table[:, 2] == one.products)


def test_the_cheapest_pair_is_kept():
    one = dense(64, 32, 2, 2, 2)
    limits = tuple(CHIP[name] for name in RESOURCES)
    row = next(row for row in choices(one, FINN, limits) if row[0] == 64)

    def share(pe, simd):
        needs = resources.dsp(one, pe, simd, FINN), resources.lut(one, pe, simd, FINN), resources.bram36(one, pe, simd, FINN)
        return float(sum(need / limit for need, limit in zip(needs, limits, strict=True)))

    pairs = [(pe, 32 // pe) for pe in (1, 2, 4, 8, 16, 32)]
    assert share(*row[1:3]) == pytest.approx(min(share(*pair) for pair in pairs))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_the_fastest_is_the_smallest_target_that_fits(bits):
    parts = stages(reference("kws").with_bits(bits))
    best = fastest(parts, 61.25, FINN, CHIP)
    assert best.fits(CHIP)
    interval = max(one.positions * reuse for one, reuse in zip(parts, best["reuse"], strict=True))
    assert not for_target(parts, interval - 1, FINN, CHIP).fits(CHIP)
