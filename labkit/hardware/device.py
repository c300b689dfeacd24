"""What every device can do: price one workload with intervals, or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.hardware.estimate import Estimate, Interval, LayerCost
from labkit.hardware.layer_table import LayerTable
from labkit.workload import Workload

LOW, MID, HIGH = 0, 1, 2


def within(factor: float) -> np.ndarray:
    """The low, mid and high end of "give or take a factor", as multipliers ``(3,)``.

    >>> within(2.0)
    array([0.5, 1. , 2. ])
    """
    return np.array([1 / factor, 1.0, factor])


@dataclass(frozen=True)
class Prices:
    """What a device asks for a table of layers. Latency and energy have a low, a mid and a high column."""

    latency_ms: np.ndarray  # (layers, 3)
    energy_uj: np.ndarray  # (layers, 3)
    flash_bytes: np.ndarray  # (workloads,)
    ram_bytes: np.ndarray  # (workloads,)
    fits: np.ndarray  # (workloads,) bool


class Device:
    """A device prices layers; sums and records are the same for all. Subclasses write `price` and `provenance`."""

    name: str  # what `labkit.device` is called with
    family: str
    title: str  # what a person calls it
    flash_bytes: int  # memory for weights and code
    ram_bytes: int

    def price(self, table: LayerTable) -> Prices:
        raise NotImplementedError

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        raise NotImplementedError

    def estimate(self, workload: Workload) -> Estimate:
        """One inference of `workload` on this device: latency and energy as 80 % intervals, memory, layers, sources.

        Raises ValueError when the device has no way to run a layer.
        """
        table = LayerTable.of([workload])
        prices = self.price(table)
        layers = tuple(
            LayerCost(layer.name, layer.op, layer.macs, float(ms), float(uj))
            for layer, ms, uj in zip(workload.layers, prices.latency_ms[:, MID], prices.energy_uj[:, MID], strict=True)
        )
        return Estimate(
            model=workload.name,
            device=self.name,
            latency_ms=_interval(table, prices.latency_ms),
            energy_uj=_interval(table, prices.energy_uj),
            flash_bytes=int(prices.flash_bytes[0]),
            ram_bytes=int(prices.ram_bytes[0]),
            fits=bool(prices.fits[0]),
            layers=layers,
            provenance=self.provenance(table),
        )

    def estimate_many(self, workloads: Sequence[Workload]) -> dict[str, np.ndarray]:
        """The most likely values for many workloads, ``(n,)`` each: latency_ms, energy_uj, flash_bytes, ram_bytes, fits."""
        table = LayerTable.of(workloads)
        prices = self.price(table)
        return {
            "latency_ms": table.total(prices.latency_ms[:, MID]),
            "energy_uj": table.total(prices.energy_uj[:, MID]),
            "flash_bytes": prices.flash_bytes.astype(np.int64),
            "ram_bytes": prices.ram_bytes.astype(np.int64),
            "fits": prices.fits,
        }

    def __str__(self) -> str:
        flash, ram = self.flash_bytes // 1024, self.ram_bytes // 1024
        return f"{self.name:20} {self.family:10} {flash:>5} KiB flash {ram:>5} KiB RAM  {self.title}"

    def __repr__(self) -> str:
        return f"<{self.name}, {self.family}>"


def _interval(table: LayerTable, values: np.ndarray) -> Interval:
    return Interval(*(float(table.total(column)[0]) for column in values.T))
