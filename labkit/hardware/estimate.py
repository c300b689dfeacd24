"""What a device answers: an `Interval` for every uncertain number, and the `Estimate` that gathers them."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Interval:
    """A most likely value between two ends; it is meant to hold the truth eight times out of ten. The unit stands in the name.

    Sums and products work end by end: errors are taken to go the same way (one wrong coefficient makes every layer slower), so an
    interval never shrinks by adding.

    >>> Interval(1.0, 2.0, 4.0) + Interval(1.0, 1.0, 1.0)
    Interval(low=2.0, mid=3.0, high=5.0)
    >>> 2 * Interval(1.0, 2.0, 4.0)
    Interval(low=2.0, mid=4.0, high=8.0)
    >>> 3.5 in Interval(1.0, 2.0, 4.0)
    True
    """

    low: float
    mid: float
    high: float

    def __post_init__(self):
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"an interval needs low <= mid <= high, not {self.low}, {self.mid}, {self.high}")

    @classmethod
    def exactly(cls, value: float) -> Interval:
        return cls(value, value, value)

    @classmethod
    def within(cls, mid: float, factor: float) -> Interval:
        """`mid`, give or take a factor.

        >>> Interval.within(10.0, 2.0)
        Interval(low=5.0, mid=10.0, high=20.0)
        """
        return cls(mid / factor, mid, mid * factor)

    def __add__(self, other: Interval | float) -> Interval:
        other = other if isinstance(other, Interval) else Interval.exactly(other)
        return Interval(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, other: Interval | float) -> Interval:
        other = other if isinstance(other, Interval) else Interval.exactly(other)
        if self.low < 0 or other.low < 0:
            raise ValueError("only intervals of positive quantities can be multiplied")
        return Interval(self.low * other.low, self.mid * other.mid, self.high * other.high)

    __radd__, __rmul__ = __add__, __mul__

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.mid:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class LayerCost:
    """The most likely price of one layer; the uncertainty stands on the whole network, in `Estimate`."""

    name: str
    op: str
    macs: int
    latency_ms: float
    energy_uj: float


@dataclass(frozen=True)
class Estimate:
    """One network on one device, for one inference. `provenance` says in sentences where each number comes from.

    `missing` is what the device lacks, by resource: ``{"flash_bytes": 1200}``; empty when the network fits.
    """

    model: str
    device: str
    latency_ms: Interval
    energy_uj: Interval
    flash_bytes: int
    ram_bytes: int
    missing: dict[str, int]
    layers: tuple[LayerCost, ...]
    provenance: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.missing

    def as_dict(self) -> dict:
        """Plain numbers, strings and lists: what ``labkit estimate --json`` prints."""
        fields = asdict(self)
        last = {name: fields.pop(name) for name in ("missing", "layers", "provenance")}
        return {**fields, "fits": self.fits, **last}

    def __str__(self) -> str:
        lacks = ", ".join(f"{amount:,} {resource.replace('_', ' ')}" for resource, amount in self.missing.items())
        verdict = f"does not fit ({lacks} missing)" if lacks else "fits"
        lines = [
            f"{self.model} on {self.device}",
            f"  latency {self.latency_ms} ms, energy {self.energy_uj} µJ per inference (80 % interval)",
            f"  flash {self.flash_bytes:,} bytes, RAM {self.ram_bytes:,} bytes: {verdict}",
        ]
        return "\n".join(lines + [f"  - {sentence}" for sentence in self.provenance])
