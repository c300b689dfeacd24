"""What every device can do: price one workload with intervals, or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.candidates import Candidates
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
    """What a device asks for a table of layers. Latency and energy have a low, a mid and a high column.

    `needs` says how much of each resource in `Device.capacity` every workload takes. What belongs to no layer, such as the cycle
    that starts an accelerator, is added to a workload's first row.
    """

    latency_ms: np.ndarray  # (rows, 3)
    energy_uj: np.ndarray  # (rows, 3)
    needs: dict[str, np.ndarray]  # resource: (workloads,)


class Device:
    """A device prices layers; sums and records are the same for all. Subclasses write `price` and `provenance`."""

    name: str  # what `labkit.device` is called with
    family: str
    title: str  # what a person calls it
    capacity: dict[str, int]  # how much it has of each resource, "flash_bytes" (weights and code) and "ram_bytes" among them
    reads_neighbours = False  # True where the price of a layer depends on the layers around it

    @property
    def flash_bytes(self) -> int:
        return self.capacity["flash_bytes"]

    @property
    def ram_bytes(self) -> int:
        return self.capacity["ram_bytes"]

    def price(self, table: LayerTable) -> Prices:
        raise NotImplementedError

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        raise NotImplementedError

    def refuse(self, table: LayerTable, mask: np.ndarray, why: str) -> None:
        """Raises ValueError that names the first layer of `mask`, bool ``(rows,)``; does nothing when there is none."""
        if mask.any():
            layer = table.layers[int(mask.argmax())]
            raise ValueError(f"{self.name} cannot run layer {layer.name!r} ({layer.op}): {why}")

    def refuse_wider(self, table: LayerTable, bits: int, why: str) -> None:
        """Refuses the first layer that multiplies a weight or an input of more than so many bits."""
        self.refuse(table, table.wider_than(bits), f"{why}; quantize the network first (Workload.with_bits(8))")

    def estimate(self, workload: Workload) -> Estimate:
        """One inference of `workload` on this device: latency and energy as 80 % intervals, memory, layers, sources.

        A network that does not fit is priced all the same; `Estimate.missing` says what lacks. Raises ValueError when the device
        has no way to run a layer.
        """
        table = LayerTable.of([workload])
        prices = self.price(table)
        layers = tuple(
            LayerCost(layer.name, layer.op, layer.macs, float(ms), float(uj))
            for layer, ms, uj in zip(workload.layers, prices.latency_ms[:, MID], prices.energy_uj[:, MID], strict=True)
        )
        needs = {name: int(np.ceil(need[0])) for name, need in prices.needs.items()}
        return Estimate(
            model=workload.name,
            device=self.name,
            latency_ms=_interval(table, prices.latency_ms),
            energy_uj=_interval(table, prices.energy_uj),
            flash_bytes=needs["flash_bytes"],
            ram_bytes=needs["ram_bytes"],
            missing={
                resource: need - self.capacity[resource] for resource, need in needs.items() if need > self.capacity[resource]
            },
            layers=layers,
            provenance=self.provenance(table),
        )

    def estimate_many(self, workloads: Sequence[Workload] | Candidates) -> dict[str, np.ndarray]:
        """The most likely values for many workloads, ``(n,)`` each: latency_ms, energy_uj, flash_bytes, ram_bytes, fits.

        `Candidates` share layers, so each distinct layer is priced once: hundreds of thousands of networks a second.
        """
        if self.reads_neighbours and isinstance(workloads, Candidates):
            workloads = list(workloads)
        table = LayerTable.of(workloads)
        prices = self.price(table)
        needs = {name: np.ceil(need).astype(np.int64) for name, need in prices.needs.items()}
        return {
            "latency_ms": table.total(prices.latency_ms[:, MID]),
            "energy_uj": table.total(prices.energy_uj[:, MID]),
            "flash_bytes": needs["flash_bytes"],
            "ram_bytes": needs["ram_bytes"],
            "fits": np.all([need <= self.capacity[name] for name, need in needs.items()], axis=0),
        }

    def __str__(self) -> str:
        flash, ram = self.flash_bytes // 1024, self.ram_bytes // 1024
        return f"{self.name:20} {self.family:10} {flash:>5} KiB flash {ram:>5} KiB RAM  {self.title}"

    def __repr__(self) -> str:
        return f"<{self.name}, {self.family}>"


def _interval(table: LayerTable, values: np.ndarray) -> Interval:
    return Interval(*(float(table.total(column)[0]) for column in values.T))
