"""Numbers as people read them: three digits and a prefix."""

from __future__ import annotations

import math

PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def quantity(value: float, unit: str) -> str:
    """Three significant digits with an SI prefix.

    >>> quantity(0.02134, "s"), quantity(999.7, "J"), quantity(2_656_768, "MAC"), quantity(0, "s")
    ('21.3 ms', '1.00 kJ', '2.66 MMAC', '0 s')
    """
    if not value:
        return f"0 {unit}"
    rounded = float(f"{value:.2e}")
    exponent = min(max(3 * (math.floor(math.log10(abs(rounded))) // 3), min(PREFIXES)), max(PREFIXES))
    return f"{_three_digits(rounded / 10**exponent)} {PREFIXES[exponent]}{unit}"


def span(low: float, high: float, unit: str) -> str:
    """The ends of an interval in the unit of the upper one.

    >>> span(0.018, 0.0251, "s")
    '18.0–25.1 ms'
    """
    number, unit = quantity(high, unit).split()
    return f"{_three_digits(low * float(number) / high) if high else 0}–{number} {unit}"


def memory(nbytes: float) -> str:
    """Memory in units of 1,024, as data sheets of microcontrollers count it.

    >>> memory(800), memory(24_368), memory(655_360), memory(2 * 1024**2)
    ('800 B', '23.8 KiB', '640 KiB', '2.00 MiB')
    """
    for unit, size in (("MiB", 1024**2), ("KiB", 1024)):
        if nbytes >= size:
            return f"{_three_digits(nbytes / size)} {unit}"
    return f"{nbytes:.0f} B"


def lacks(missing: dict[str, int]) -> str:
    """What a device lacks, of `Estimate.missing`, in words.

    >>> lacks({"flash_bytes": 2048, "dsp": 12, "cycles": 300})
    '2.00 KiB of flash, 12 DSP slices, 300 cycles'
    """
    return ", ".join(f"{memory(n)} of {what(k)}" if k.endswith("_bytes") else f"{n:,} {what(k)}" for k, n in missing.items())


def what(name: str) -> str:
    """A key of `Estimate.missing` in words.

    >>> what("ram_bytes"), what("bram36"), what("crossbar_cells")
    ('RAM', 'block RAMs', 'crossbar cells')
    """
    usual = {"ram_bytes": "RAM", "dsp": "DSP slices", "lut": "LUTs", "bram36": "block RAMs"}
    return usual.get(name, name.removesuffix("_bytes").replace("_", " "))


def duration(days: float) -> str:
    """A time as hours, days or years.

    >>> duration(0.175), duration(21.3), duration(1000)
    ('4.20 hours', '21.3 days', '2.74 years')
    """
    if days < 1:
        return f"{_three_digits(24 * days)} hours"
    return f"{_three_digits(days)} days" if days < 365.25 else f"{_three_digits(days / 365.25)} years"


def _three_digits(number: float) -> str:
    size = abs(number)
    return f"{number:.2f}" if size < 9.995 else f"{number:.1f}" if size < 99.95 else f"{number:.0f}"
