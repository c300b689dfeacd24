"""What the levels explorer compares: four number formats at equal bits, the price of a MAC with each, and trained layers."""

from __future__ import annotations

from functools import cache

import numpy as np
from torch import nn

from labkit import models
from labkit.hardware.estimate import Interval
from labkit.hardware.inner_loops import CORES, cycles_per_mac, energy_pj
from labkit.quantization.folding import fold_batch_norms
from labkit.quantization.formats import AdditivePowerOfTwo, Format, Int, PowerOfTwo, TwoStep

FORMATS = ("uniform", "power of two", "additive", "two steps")
UNIFORM, POWER, ADDITIVE, TWO_STEPS = FORMATS
CIRCUIT = "45 nm circuit"  # its energy; the cores are compared by cycles


def format_of(name: str, bits: int) -> Format:
    """The number format called `name`.

    >>> format_of("additive", 2).levels.tolist() == format_of("uniform", 2).levels.tolist()
    True
    """
    if name == ADDITIVE:
        return AdditivePowerOfTwo(bits, terms=min(2, bits - 1))
    return {UNIFORM: Int, POWER: PowerOfTwo, TWO_STEPS: TwoStep}[name](bits)


def density(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a staircase of area 1: every level shares its cell, from half-way to one neighbour to half-way to the other."""
    middle = (levels[1:] + levels[:-1]) / 2
    edges = np.concatenate([[2 * levels[0] - middle[0]], middle, [2 * levels[-1] - middle[-1]]])
    heights = 1 / (len(levels) * np.diff(edges))
    return np.repeat(edges, 2), np.concatenate([[0], np.repeat(heights, 2), [0]])


def mac(levels: np.ndarray) -> tuple[str, int]:
    """The inner loop that fits a set of levels, and how many of its rounds one weight takes.

    >>> mac(Int(4).levels), mac(PowerOfTwo(4).levels), mac(AdditivePowerOfTwo(4).levels), mac(PowerOfTwo(2).levels)
    (('int4', 1), ('power-of-two', 1), ('power-of-two', 2), ('ternary', 1))
    """
    positive = levels[levels > 0]
    if positive[-1] == 1:
        return "ternary", 1
    if len(positive) == positive[-1]:
        return ("int4" if positive[-1] < 8 else "int8"), 1
    return "power-of-two", int(np.max(np.bitwise_count(positive)))  # a sum of two powers: two shifts, two additions


def costs(levels: np.ndarray) -> dict[str, Interval]:
    """Cycles of a MAC on each core, and its picojoules in a circuit (int8 activations)."""
    loop, rounds = mac(levels)
    return {core: rounds * cycles_per_mac(core, loop) for core in CORES} | {CIRCUIT: rounds * energy_pj(loop)}


INT8 = costs(Int(8).levels)


@cache
def trained_layers() -> dict[str, np.ndarray]:
    """The weights ``(out, …)`` of the keyword and the motion network, norms folded, as they would be stored.

    >>> trained_layers()["keywords 3: 1×1 conv"].shape
    (64, 64, 1, 1)
    """
    layers = {}
    for title, network, data in (("keywords", "ds-cnn", "mini"), ("motion", "har-cnn", "watch")):
        model = fold_batch_norms(models.pretrained(network, data)[0])
        weighted = [module for module in model.modules() if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)]
        for number, module in enumerate(weighted, start=1):
            layers[f"{title} {number}: {_kind(module)}"] = module.weight.detach().numpy()
    return layers


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Linear):
        return "linear"
    return "depthwise" if module.groups > 1 else "1×1 conv" if set(module.kernel_size) == {1} else "conv"
