"""Many workloads as one table of columns, so that a device prices ten thousand networks with a few numpy operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np

from labkit.workload import INPUT, OPS, WEIGHTED, Layer, Workload

COLUMNS = (
    "op", "macs", "live_macs", "in_elements", "out_elements", "live_out_elements", "weights", "weight_bytes", "weight_bits",
    "activation_bits", "dot_length", "out_bytes", "kept", "sub_byte",
)  # fmt: skip
# kept, sub_byte: the share of output channels that are not pruned, and of those whose weights have 1 to 7 bits
MAX_BITS = 32  # wider weights count as this wide in `channel_shares`


@lru_cache(maxsize=1 << 16)
def _row(layer: Layer) -> tuple[float, ...]:
    """One layer's numbers in the order of COLUMNS. Search spaces reuse layers, hence the cache."""
    macs, outputs, length = layer.macs, layer.out_elements, layer.weights_per_channel
    live_out = layer.live_output_fraction
    bits, kept, sub_byte = 8, 1.0, 0.0
    if layer.op in WEIGHTED:
        bits = layer.weight_bits if isinstance(layer.weight_bits, int) else max(layer.weight_bits)
        kept, sub_byte = layer.share_of_channels(1), layer.share_of_channels(1, 7)
    return (
        OPS.index(layer.op), macs, round(macs * layer.live_fraction), math.prod(layer.in_shape), outputs, outputs * live_out,
        length * layer.out_channels, layer.weight_bytes, bits, layer.activation_bits, length, layer.out_bytes, kept, sub_byte,
    )  # fmt: skip


@lru_cache(maxsize=1 << 16)
def _channel_shares(layer: Layer) -> np.ndarray:
    """Share of a layer's output channels at 0, 1, ... MAX_BITS weight bits; a layer without weights has 8."""
    bits = np.minimum(layer.channel_bits, MAX_BITS) if layer.op in WEIGHTED else np.array([8])
    return np.bincount(bits, minlength=MAX_BITS + 1) / len(bits)


def _input_bits(workload: Workload) -> list[int]:
    """Width of the widest tensor that each layer reads: what it multiplies its weights with."""
    written = {INPUT: workload.input_bits} | {layer.name: layer.activation_bits for layer in workload.layers}
    return [max(written[source] for source in layer.inputs) for layer in workload.layers]


@cache
def _membership(ops: tuple[str, ...]) -> np.ndarray:
    return np.array([op in ops for op in OPS])


@dataclass(frozen=True)
class LayerTable:
    """Columns over all layers of all workloads, shape ``(layers,)``; `owner` says which workload a layer belongs to.

    >>> fc = Layer("fc", "linear", ("input",), (64,), (12,), bias=True)
    >>> table = LayerTable.of([Workload("a", (64,), (fc,)), Workload("b", (64,), (fc,))])
    >>> table["macs"], table.total(table["macs"])
    (array([768., 768.]), array([768., 768.]))
    """

    workloads: tuple[Workload, ...]
    owner: np.ndarray
    columns: np.ndarray  # (layers, len(COLUMNS))

    @classmethod
    def of(cls, workloads: Sequence[Workload]) -> LayerTable:
        if isinstance(workloads, Workload):
            raise ValueError("estimate_many wants a list of workloads; for one, call estimate")
        workloads = tuple(workloads)
        for workload in workloads:
            if not isinstance(workload, Workload):
                kind = type(workload).__name__
                raise ValueError(f"a device prices a Workload, not {kind}; make one with labkit.trace(model, example)")
            if not len(workload):
                raise ValueError(f"workload {workload.name!r} has no layers; trace a network that computes something")
        rows = [_row(layer) for workload in workloads for layer in workload.layers]
        owner = np.repeat(np.arange(len(workloads)), [len(workload) for workload in workloads])
        return cls(workloads, owner, np.array(rows, dtype=float).reshape(-1, len(COLUMNS)))

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[:, COLUMNS.index(column)]

    def op_is(self, *ops: str) -> np.ndarray:
        """Which layers do one of these operations, bool ``(layers,)``."""
        return _membership(ops)[self.columns[:, 0].astype(np.int64)]

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums a number per layer over each workload: ``(layers,)`` to ``(workloads,)``."""
        return np.bincount(self.owner, weights=values, minlength=len(self.workloads))

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The largest number of each workload, at least 0."""
        result = np.zeros(len(self.workloads))
        np.maximum.at(result, self.owner, values)
        return result

    @cached_property
    def channel_shares(self) -> np.ndarray:
        """Share of each layer's output channels at every weight width: ``(layers, 33)``, column b for b bits."""
        rows = [_channel_shares(layer) for workload in self.workloads for layer in workload.layers]
        return np.array(rows, dtype=float).reshape(-1, MAX_BITS + 1)

    @cached_property
    def input_bits(self) -> np.ndarray:
        """Bits of the activations that each layer reads, ``(layers,)``; `activation_bits` are those it writes."""
        return np.array([bits for workload in self.workloads for bits in _input_bits(workload)], dtype=np.int64)

    @property
    def peak_activation_bytes(self) -> np.ndarray:
        return np.array([workload.peak_activation_bytes for workload in self.workloads])
