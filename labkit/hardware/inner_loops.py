"""What one multiply-accumulate costs, by the format of its weight, where no hardware was made for that format.

A multiplication is not expensive everywhere. A Cortex-M4 multiplies in one cycle, two products at a time, and pays for unpacking
and shifting: there **power-of-two weights are three to eight times slower than int8**. A Cortex-M0+ with the small multiplier needs
32 cycles for a product, and shifts win. In a circuit of one's own (45 nm, `energy_pj`) a shift costs an eighth of an 8-bit
multiplication, but the addition behind both stays, and so does fetching the weight, which is not counted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from labkit.hardware.catalog import load, read_csv
from labkit.hardware.energy_per_operation import operation
from labkit.hardware.estimate import Interval
from labkit.naming import did_you_mean

CORES = ("M4", "M0+", "M0+ slow")  # M0+ slow: with the multiplier that takes 32 cycles
WEIGHTS = ("int8", "int4", "power-of-two", "ternary", "binary", "xnor")  # xnor: binary weights and binary activations
WEIGHT_BITS = {"int8": 8, "int4": 4}


@dataclass(frozen=True)
class InnerLoop:
    """Cycles per multiply-accumulate of one weight format on one core. `kind` is one of `labkit.hardware.catalog`."""

    core: str
    weights: str
    cycles_per_mac: Interval
    kind: str
    source: str

    def __str__(self) -> str:
        return f"{self.weights} weights on {self.core}: {self.cycles_per_mac} cycles per MAC ({self.kind}: {self.source})"


@cache
def inner_loops() -> tuple[InnerLoop, ...]:
    """All of them, core by core."""
    table = load("inner_loops")["uncertainty"]["cycle_table"].value
    return tuple(
        InnerLoop(
            row["core"],
            row["weights"],
            Interval(float(row["low"]) / table, float(row["mid"]), float(row["high"]) * table),
            row["kind"],
            row["source"],
        )
        for row in read_csv("inner_loops")
    )


def inner_loop(core: str, weights: str) -> InnerLoop:
    """The figure for one core and format, and why we believe it. Raises ValueError for names without figures.

    >>> print(inner_loop("M0+ slow", "binary"))
    binary weights on M0+ slow: 12 (10.4 to 13.8) cycles per MAC (emulated: the M0+ kernel; it does not multiply)
    """
    if core not in CORES:
        raise ValueError(f"no inner loops for core {core!r}; {did_you_mean(core, CORES)}")
    _check_weights(weights)
    return next(loop for loop in inner_loops() if (loop.core, loop.weights) == (core, weights))


def cycles_per_mac(core: str, weights: str) -> Interval:
    """Cycles of one multiply-accumulate with int8 activations (with binary ones for "xnor").

    >>> [cycles_per_mac(core, "power-of-two").mid / cycles_per_mac(core, "int8").mid > 1 for core in CORES]
    [True, True, False]
    """
    return inner_loop(core, weights).cycles_per_mac


def energy_pj(weights: str, bits: int = 8) -> Interval:
    """Picojoules of one multiply-accumulate in a 45 nm circuit, with activations of `bits` bits and a 32-bit accumulator.

    The energy of a product grows with the product of both widths, that of a shift with the activation's width: both are scaled from
    the published 8-bit figure (scaled to 32 bits, they are off by 3 % and 26 %).

    >>> [round(energy_pj(weights).mid, 3) for weights in ("int8", "int4", "power-of-two", "binary")]
    [0.3, 0.2, 0.124, 0.1]
    """
    _check_weights(weights)
    if bits not in range(1, 33):
        raise ValueError(f"an activation of {bits!r} bits has no energy figure; give a whole number from 1 to 32")
    if weights == "xnor":  # an exclusive or and a place in the counter: two bits of an adder
        return Interval.within(2 * operation("add", "int8").value / 8, load("inner_loops")["uncertainty"]["counter"].value)
    if weights in WEIGHT_BITS:
        work = Interval.exactly(operation("multiply", "int8").value * bits * WEIGHT_BITS[weights] / 64)
    elif weights == "power-of-two":  # the result is wider than what goes in: at most as wide as the accumulator
        shift = operation("shift", "int8").value * bits / 8
        work = Interval(shift, shift, max(shift, operation("shift", "int32").value))
    else:  # the sign of the activation changes within the addition
        work = Interval.exactly(0.0)
    another_circuit = load("energy_per_operation")["uncertainty"]["circuit"].value
    return (work + operation("add", "int32").value) * Interval.within(1.0, another_circuit)


def _check_weights(weights: str) -> None:
    if weights not in WEIGHTS:
        raise ValueError(f"no inner loops for {weights!r} weights; {did_you_mean(weights, WEIGHTS)}")
