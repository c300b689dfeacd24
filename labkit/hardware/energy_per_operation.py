"""What one operation costs in a 45 nm circuit: arithmetic is cheap, fetching is not (Horowitz, ISSCC 2014).

An 8-bit multiplication takes 0.2 pJ, reading its two bytes from a 32 kB memory 5 pJ, reading them from DRAM 325 pJ, and telling a
processor to do it about 70 pJ. A device is efficient when it fetches a number once and uses it often (`labkit.hardware.dataflow`),
and when one instruction starts many multiplications.
"""

from __future__ import annotations

import math

from labkit.hardware.catalog import Quantity, load
from labkit.hardware.estimate import Interval
from labkit.naming import did_you_mean

OPERATIONS = ("add", "multiply", "shift")
ACCESS_BITS = 64  # the memories of the table are read this wide


def operation(name: str, number: str) -> Quantity:
    """An operation on numbers of one format ("int8", "int16", "int32", "fp16", "fp32"), and why we believe the figure.

    >>> print(operation("multiply", "int8"))
    0.2 pJ (published: Horowitz, ISSCC 2014, 45 nm at 0.9 V)
    """
    if name not in OPERATIONS:
        raise ValueError(f"no energy for operation {name!r}; {did_you_mean(name, OPERATIONS)}")
    known = load("energy_per_operation")[name]
    if number not in known:
        raise ValueError(f"no energy for {name} with {number!r} numbers; {did_you_mean(number, known)}")
    return known[number]


def mac_pj(number: str = "int8", accumulator: str = "int32") -> Interval:
    """Picojoules of a multiply-accumulate, operands and sum already at hand: one multiplication, one addition.

    >>> round(mac_pj().mid, 3), round(mac_pj("fp32", "fp32").mid, 3)
    (0.3, 4.6)
    """
    arithmetic = operation("multiply", number).value + operation("add", accumulator).value
    return Interval.within(arithmetic, load("energy_per_operation")["uncertainty"]["circuit"].value)


def sram_pj(size_bytes: float, bits: int = 8) -> Interval:
    """Picojoules to read or write `bits` of an on-chip memory, of which every access uses all 64.

    Between the published sizes the energy follows a straight line in logarithms (about the square root of the size: that is how
    the wires grow); outside, the line goes on.

    >>> [round(sram_pj(kib * 1024, bits=64).mid, 1) for kib in (8, 32, 128, 1024)]
    [10.0, 20.0, 38.1, 100.0]
    """
    if not size_bytes > 0 or not math.isfinite(size_bytes):
        raise ValueError(f"a memory of {size_bytes!r} bytes has no energy figure; give its size in bytes, above 0")
    sizes = {float(size): energy.value for size, energy in load("energy_per_operation")["sram"].items()}
    points = sorted((math.log(size), math.log(energy)) for size, energy in sizes.items())
    at = math.log(size_bytes)
    (x0, y0), (x1, y1) = points[:2] if at <= points[1][0] else points[-2:]
    energy = math.exp(y0 + (y1 - y0) * (at - x0) / (x1 - x0))
    return Interval.within(energy * bits / ACCESS_BITS, load("energy_per_operation")["uncertainty"]["circuit"].value)


def dram_pj(bits: int = 8) -> Interval:
    """Picojoules to read or write `bits` of external memory, of which every access uses all 64.

    >>> dram_pj(64)
    Interval(low=1300.0, mid=1838.4776310850236, high=2600.0)
    """
    low, high = (load("energy_per_operation")["dram"][end].value * bits / ACCESS_BITS for end in ("low", "high"))
    return Interval(low, math.sqrt(low * high), high)


def instruction_pj() -> Interval:
    """Picojoules of one instruction of a simple processor, whatever it computes.

    >>> instruction_pj()
    Interval(low=35.0, mid=70.0, high=140.0)
    """
    constants = load("energy_per_operation")
    return Interval.within(float(constants["instruction"]["any"].value), constants["uncertainty"]["instruction"].value)


def in_process(energy_pj: Interval, nm: float | None = None, volts: float | None = None) -> Interval:
    """What takes `energy_pj` in this table, in another process: capacitance grows with length, energy with voltage squared.

        E = C · V²

    Without a process: that of a Cortex-M4 microcontroller (STM32L4+, 90 nm, 1.2 V; recalled).

    >>> round(in_process(Interval.exactly(1.0)).mid, 2)
    3.56
    """
    constants = load("energy_per_operation")
    here, usual = constants["process"], constants["microcontroller"]
    nm, volts = usual["nm"].value if nm is None else nm, usual["core_volts"].value if volts is None else volts
    if not (nm > 0 and volts > 0):
        raise ValueError(f"a process of {nm!r} nm at {volts!r} V does not exist; give both above 0")
    scale = nm / here["nm"].value * (volts / here["volts"].value) ** 2
    return energy_pj * Interval.within(scale, constants["uncertainty"]["process"].value)
