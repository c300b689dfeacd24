"""A crossbar: weights as pairs of conductances, inputs as voltages, sums as currents (Ohm's and Kirchhoff's laws).

A conductance is never negative, so a weight is the difference of two: w ∝ g⁺ − g⁻, one of which is 0. Column j of the array adds
the currents Σ_i x_i (g⁺_ij − g⁻_ij); one digital number behind each column scales the sum back to what the network expects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from labkit.hardware.pcm import PCM, ProgrammedArray
from labkit.naming import did_you_mean

SCALES = ("column", "layer")
Compensation = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Crossbar:
    """The device, the converters and the mapping. `None` bits: ideal converters.

    `scale`: the largest weight of each column, or of the layer, becomes g_max. A column's own scale costs nothing where a batch
    norm follows, since that multiplies each channel anyway. `empty_cells`: a depthwise layer fills one block of k·k cells a column;
    True drives the rest of the column too, whose devices hold 0 and still add their noise, False switches those rows off.
    """

    pcm: PCM = field(default_factory=PCM)
    dac_bits: int | None = 8
    adc_bits: int | None = 8
    scale: str = "column"
    empty_cells: bool = True

    def __post_init__(self):
        if self.scale not in SCALES:
            raise ValueError(f"unknown scale {self.scale!r}; {did_you_mean(self.scale, SCALES)}")
        for name in ("dac_bits", "adc_bits"):
            if getattr(self, name) is not None and getattr(self, name) not in range(2, 17):
                raise ValueError(f"{name} is {getattr(self, name)}; give 2 to 16 bits, or None for an ideal converter")


def to_pairs(weights: np.ndarray, g_max_us: float = 25.0, scale: str = "column") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Conductances (µS) of plus and minus devices, and the weight that g_max stands for: ``(outputs, n)`` twice, ``(outputs, 1)``.

    >>> plus, minus, largest = to_pairs(np.array([[1.0, -2.0, 0.5]]))
    >>> plus.tolist(), minus.tolist(), largest.tolist()
    ([[12.5, 0.0, 6.25]], [[0.0, 25.0, 0.0]], [[2.0]])
    """
    magnitude = np.abs(weights)
    largest = magnitude.max(axis=1 if scale == "column" else None, keepdims=True)
    largest = np.repeat(np.where(largest > 0, largest, 1.0), len(weights) // len(largest), axis=0)
    target_us = np.minimum(g_max_us * magnitude / largest, g_max_us)  # the division may round above g_max
    return np.where(weights > 0, target_us, 0.0), np.where(weights < 0, target_us, 0.0), largest


def from_pairs(plus: np.ndarray, minus: np.ndarray, largest: np.ndarray, g_max_us: float = 25.0) -> np.ndarray:
    """The weights that pairs stand for.

    >>> from_pairs(*to_pairs(np.array([[1.0, -2.0, 0.5]]))).tolist()
    [[1.0, -2.0, 0.5]]
    """
    return (plus - minus) * largest / g_max_us


def global_drift_compensation(before: np.ndarray, now: np.ndarray) -> float:
    """One factor a layer: mean magnitude of its outputs for known inputs after programming, over the same now (Joshi et al., 2020).

    The known inputs are one-hot, so the outputs are the pairs' differences themselves.

    >>> global_drift_compensation(np.array([4.0, -2.0]), np.array([3.0, -1.0]))
    1.5
    """
    return float(np.mean(np.abs(before)) / max(np.mean(np.abs(now)), 1e-12))


@dataclass(frozen=True, eq=False)
class PairArray:
    """A programmed layer: two arrays of devices, ``(outputs, n)`` each. `used` says which pairs hold a weight."""

    plus: ProgrammedArray
    minus: ProgrammedArray
    used: np.ndarray

    @classmethod
    def of(cls, plus_us: np.ndarray, minus_us: np.ndarray, used: np.ndarray, pcm: PCM, rng: np.random.Generator) -> PairArray:
        return cls(pcm.program(plus_us, rng), pcm.program(minus_us, rng), used)

    @property
    def programmed_us(self) -> np.ndarray:
        """g⁺ − g⁻ right after programming, µS."""
        return self.plus.programmed_us - self.minus.programmed_us

    def read(self, seconds: float) -> np.ndarray:
        """g⁺ − g⁻ as a read returns it, µS."""
        return self.plus.read(seconds) - self.minus.read(seconds)

    def factor(self, now: np.ndarray, compensation: Compensation | None) -> float:
        """What the layer's outputs are multiplied with, digitally, when a read returns `now`; 1 without compensation.

        Cells without a weight are not asked. Raises ValueError when a compensation returns no factor.
        """
        if compensation is None:
            return 1.0
        returned = compensation(self.programmed_us[self.used], now[self.used])
        try:
            factor = float(returned)
        except (TypeError, ValueError):
            factor = np.nan
        if not 0 <= factor < np.inf:
            raise ValueError(f"the compensation returned {returned}; return one factor, a number of 0 or more")
        return factor
