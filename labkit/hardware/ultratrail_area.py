"""Area and power of an UltraTrail chip: what they are made of. The coefficients are fitted (`ultratrail_fit`) to HANNAH's figures.

    area  = a · weight memory bits + b · feature bits + c · n³
    power = d · feature bits + e · n² · (weight bits + feature bits) + f · cycles · area / period

Feature memories do not depend on the network, so their area goes with the width of a feature alone. The array's area grows faster
than its n² multipliers: wires and adders join all of them, and the data ask for n³. Power is a mean over a period with one
inference. Two terms never stop: feature memories leak, registers of the array are clocked. The third is switching: each cycle
charges a capacitance that goes with the area.
"""

from __future__ import annotations

import math

import numpy as np

from labkit.hardware.catalog import load

AREA = ("um2_per_weight_bit", "um2_per_feature_bit", "um2_per_cubed_array")
POWER = ("uw_per_feature_bit", "uw_per_array_bit", "fj_per_cycle_um2")


def memory_depth(words: float) -> int:
    """Words of the weight memory that a generator builds for so many: a multiple of 32, at least 128.

    >>> memory_depth(70), memory_depth(610)
    (128, 640)
    """
    memory = load("ultratrail")["memory"]
    step = memory["step_words"].value
    return max(memory["least_words"].value, step * math.ceil(words / step))


def area_terms(array: int, weight_bits: int, feature_bits: int, depth: int) -> np.ndarray:
    """What the three area coefficients multiply, ``(3,)``; `depth` is in words of array × array weights."""
    return np.array([depth * array**2 * weight_bits, feature_bits, array**3], dtype=float)


def power_terms(array: int, weight_bits: int, feature_bits: int, cycles_per_s: float, area_um2: float) -> np.ndarray:
    """What the three power coefficients multiply, ``(3,)``. A femtojoule is 1e-9 µJ."""
    return np.array([feature_bits, array**2 * (weight_bits + feature_bits), 1e-9 * cycles_per_s * area_um2])


def fitted(quantity: str) -> np.ndarray:
    """The three coefficients of "area" or "power", ``(3,)``."""
    names = {"area": AREA, "power": POWER}[quantity]
    return np.array([load("ultratrail_fitted")[quantity][name].value for name in names])
