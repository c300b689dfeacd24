"""What every width would cost every layer: the hourglass in one table.

    table[l, b] = price of layer l if all of its channels had bits[b] bits

Any hardware model can fill it, because all it needs is a function from a workload to a number for each layer. Where a cost is a sum
over output channels, as weight memory is and MPIC's and a Cortex-M's cycles are, the table says everything: a layer of mixed widths
costs the mean of its channels' entries, and with probabilities instead of choices the mean is differentiable,

    cost = Σ_layers  mean over channels  Σ_b p(b) · table[l, b]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch

from labkit.hardware import Device, device
from labkit.workload import WEIGHTED, Layer, Workload

Cost = Callable[[Workload], np.ndarray]  # a number for each weighted layer, in the order they run


def weighted(workload: Workload) -> tuple[Layer, ...]:
    """The layers that have weights: the rows of a price table."""
    return tuple(layer for layer in workload.layers if layer.op in WEIGHTED)


def weight_memory(workload: Workload) -> np.ndarray:
    """Bytes of weights and biases of each weighted layer, before rounding up to whole bytes (`Layer.weight_bytes` rounds).

    >>> fc = Layer("fc", "linear", ("input",), (64,), (12,), bias=True, weight_bits=4)
    >>> weight_memory(Workload("tiny", (64,), (fc,)))
    array([432.])
    """
    return np.array([layer.stored_bits / 8 for layer in weighted(workload)])


def device_latency(name: str | Device, **options) -> Cost:
    """Milliseconds of each weighted layer on a device, the most likely value. `options` as `labkit.device` takes them."""
    return _on_device(name, options, "latency_ms")


def device_energy(name: str | Device, **options) -> Cost:
    """Microjoules of each weighted layer on a device, the most likely value."""
    return _on_device(name, options, "energy_uj")


def _on_device(name: str | Device, options: dict, quantity: str) -> Cost:
    priced_on = name if isinstance(name, Device) else device(name, **options)

    def cost(workload: Workload) -> np.ndarray:
        return np.array([getattr(layer, quantity) for layer in priced_on.estimate(workload).layers if layer.op in WEIGHTED])

    return cost


def price_table(workload: Workload, bits: Sequence[int] = (0, 2, 4, 8), cost: Cost = weight_memory) -> np.ndarray:
    """The price of each weighted layer with all channels at each width, ``(weighted layers, len(bits))``. 0 bits are pruned: free.

    >>> fc = Layer("fc", "linear", ("input",), (64,), (12,), bias=True)
    >>> price_table(Workload("tiny", (64,), (fc,)))
    array([[  0., 240., 432., 816.]])
    >>> price_table(Workload("tiny", (64,), (fc,)), cost=device_latency("mpic")).round(6)
    array([[0.      , 0.001229, 0.001336, 0.001463]])
    """
    if not weighted(workload):
        raise ValueError(f"workload {workload.name!r} has no layer with weights; there is nothing to price")
    # a layer without channels is not built at all, so no device is asked what it would make of weights of 0 bits
    columns = [cost(_with_weight_bits(workload, b)) if b else np.zeros(len(weighted(workload))) for b in bits]
    return np.column_stack(columns)


def _with_weight_bits(workload: Workload, bits: int) -> Workload:
    return dataclasses.replace(workload, layers=tuple(dataclasses.replace(layer, weight_bits=bits) for layer in workload.layers))


def expected_cost(probabilities: Sequence[torch.Tensor], table: torch.Tensor | np.ndarray) -> torch.Tensor:
    """The price of a network whose widths are still probabilities: a number, differentiable in them.

    `probabilities`: for each row of `table` a tensor ``(channels, widths)``, or ``(1, widths)`` where a layer's channels share one
    width; its rows sum to 1.

    >>> expected_cost([torch.tensor([[0.5, 0.5], [0.0, 1.0]])], np.array([[0.0, 8.0]])).item()
    6.0
    """
    if len(probabilities) != len(table):
        raise ValueError(f"{len(probabilities)} layers have probabilities, {len(table)} have prices; give both for the same layers")
    means = torch.stack([p.mean(dim=0) for p in probabilities])
    return (means * torch.as_tensor(table, dtype=means.dtype, device=means.device)).sum()
