"""What a stage takes from an FPGA: multipliers (DSP slices), logic (LUTs) and memory (block RAM).

A stage with PE × SIMD multipliers computes PE output channels at once, SIMD products of each (FINN's words; hls4ml says reuse
factor = products / multipliers). Its weights lie in PE memories, SIMD weights wide and products / multipliers deep.

    DSP  = multipliers                                                   where a number is wide enough for a DSP slice
    LUT  = 1.1 · multipliers · weight bits · input bits                  where it is not (FINN-R, arXiv 1809.04570)
         + a · multipliers · bits of a product                           adder trees
         + b · PE  or  (2^bits - 1) · accumulator bits · PE              scaling the sum, or comparing it with thresholds
         + c per stage, and weight memories too small for a block RAM
    BRAM = k · (weight memories + line buffers of the sliding window)    k: rounding and the queues between the stages

a, b, c and k are fitted to published reports of Vivado (`labkit.hardware.fpga_fitting`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.fpga_stage import Stage

BLOCK_SHAPES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))  # (bits, words) of half a block RAM: UG473
RESOURCES = ("dsp", "lut", "bram36")
PLAIN_STAGES = ("avgpool", "maxpool", "add", "mul", "concat")  # circuits without weights; the others cost nothing worth counting
BLOCK_BYTES = 36 * 1024 // 8


@dataclass(frozen=True)
class Flow:
    """A tool that turns a network into a circuit, and what is typical of its circuits."""

    name: str
    dsp_from_bits: int  # a product goes into a DSP slice when its wider factor has so many bits
    thresholds_to_bits: int  # outputs of so many bits or fewer come from comparisons, wider ones from a scaling multiplication
    scaling_dsp: int  # DSP slices of such a scaling
    one_memory: bool  # all weights of a stage lie in one memory instead of one for each PE
    whole_rows: bool  # the sliding window waits for whole rows
    elements_per_cycle: float  # how fast the input arrives


def flow(name: str) -> Flow:
    """A flow of the catalog: "finn", "hls4ml" or "fpgaconvnet"."""
    return Flow(name, **{key: quantity.value for key, quantity in load("fpga")["flow"][name].items()})


@dataclass(frozen=True)
class Costs:
    """The fitted constants of the equations above."""

    lut_per_bit_product: float
    lut_per_sum_bit: float
    lut_per_scaling: float
    lut_per_stage: float
    lut_shell: float
    bram_factor: float
    bram_shell: float


def costs() -> Costs:
    tables = load("fpga")["cost"] | load("fpga_fitted")["cost"]
    return Costs(**{key: quantity.value for key, quantity in tables.items()})


def half_blocks(width, depth):
    """Halves of a block RAM (18 kbit) for a memory of `depth` words of `width` bits: the best of the shapes that it can take.

    >>> int(half_blocks(32, 512)), int(half_blocks(32, 2304)), int(half_blocks(4, 32768))
    (1, 5, 8)
    """
    counts = [np.ceil(width / bits) * np.ceil(depth / words) for bits, words in BLOCK_SHAPES]
    return np.min(counts, axis=0)


def sum_bits(one: Stage) -> int:
    """Width of the accumulator."""
    return int(np.ceil(np.log2(max(one.dot, 2)))) + one.weight_bits + one.input_bits


def product_bits(one: Stage) -> int:
    """Width of a product; a binary factor only chooses a sign."""
    narrow, wide = sorted((one.weight_bits, one.input_bits))
    return wide if narrow <= 1 else narrow + wide


def on_dsp(one: Stage, tool: Flow) -> bool:
    return max(one.weight_bits, one.input_bits) >= tool.dsp_from_bits and min(one.weight_bits, one.input_bits) > 1


def dsp(one: Stage, pe, simd, tool: Flow, multiplies_on_dsp: bool | None = None):
    """DSP slices of a stage with weights. `multiplies_on_dsp` overrules what the flow would do."""
    used = on_dsp(one, tool) if multiplies_on_dsp is None else multiplies_on_dsp
    scaling = tool.scaling_dsp * (one.output_bits > tool.thresholds_to_bits)
    return used * pe * simd + scaling


def lut(one: Stage, pe, simd, tool: Flow, multiplies_on_dsp: bool | None = None, constants: Costs | None = None):
    """LUTs of a stage with weights."""
    return lut_terms(one, pe, simd, tool, multiplies_on_dsp) @ lut_coefficients(constants or costs())


def lut_coefficients(constants: Costs) -> np.ndarray:
    """In the order of `lut_terms`: known in advance, then fitted."""
    return np.array([
        1.0, constants.lut_per_bit_product, constants.lut_per_sum_bit, constants.lut_per_scaling, constants.lut_per_stage
    ])  # fmt: skip


def lut_terms(one: Stage, pe, simd, tool: Flow, multiplies_on_dsp: bool | None = None) -> np.ndarray:
    """What the coefficients count, ``(..., 5)``: LUTs of memories and comparisons; bit products; sum bits; scalings; stages."""
    pe, simd = np.asarray(pe, float), np.asarray(simd, float)
    used = on_dsp(one, tool) if multiplies_on_dsp is None else multiplies_on_dsp
    width, depth = weight_memory(one, pe, simd, tool)[1:]
    memory = np.where(_is_block(width, depth), 0.0, pe * simd * one.weight_bits * np.ceil(depth / 64))  # a LUT holds 64 bits
    compares = one.output_bits <= tool.thresholds_to_bits
    steps = 2.0 ** min(one.output_bits, tool.thresholds_to_bits) - 1
    thresholds = compares * steps * sum_bits(one) * pe * (1 + np.ceil(one.outputs / pe / 64))
    products = (not used) * one.weight_bits * one.input_bits * pe * simd
    terms = memory + thresholds, products, product_bits(one) * pe * simd, (not compares) * pe, np.ones_like(pe * simd)
    return np.stack(np.broadcast_arrays(*terms), axis=-1)


def weight_memory(one: Stage, pe, simd, tool: Flow):
    """How many memories hold the weights, their width in bits, their depth in words."""
    if tool.one_memory:
        return 1, pe * simd * one.weight_bits, one.products / (pe * simd)
    return pe, simd * one.weight_bits, one.products / (pe * simd)


def half_blocks_of(one: Stage, pe, simd, tool: Flow):
    """Halves of block RAMs for the weights and for the rows that the sliding window keeps, before rounding losses."""
    count, width, depth = weight_memory(one, pe, simd, tool)
    weights = np.where(_is_block(width, depth), count * half_blocks(width, depth), 0.0)
    lanes = np.minimum(simd, one.channels)  # the row buffers deliver as many channels a cycle as are multiplied
    bits, words = lanes * one.input_bits, one.line_width * one.channels / lanes
    return weights + one.line_rows * np.where(_is_block(bits, words), half_blocks(bits, words), 0.0)


def _is_block(width, depth):
    """Smaller memories are built from LUTs."""
    return np.asarray(width * depth) >= load("fpga")["memory"]["block_from_bits"].value


def bram36(one: Stage, pe, simd, tool: Flow, constants: Costs | None = None):
    """Block RAMs of a stage with weights."""
    return (constants or costs()).bram_factor * half_blocks_of(one, pe, simd, tool) / 2
