"""Many workloads as one table of columns, so that a device prices ten thousand networks with a few numpy operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np

from labkit.candidates import Candidates
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


@dataclass(frozen=True, eq=False)
class LayerTable:
    """One row for each layer to price, and which rows make up each workload.

    A list of workloads gives a row for each layer of each of them, in order. `Candidates` share rows: each distinct layer has one.

    >>> fc = Layer("fc", "linear", ("input",), (64,), (12,), bias=True)
    >>> table = LayerTable.of([Workload("a", (64,), (fc,)), Workload("b", (64,), (fc,))])
    >>> table["macs"], table.total(table["macs"])
    (array([768., 768.]), array([768., 768.]))
    """

    workloads: tuple[Workload, ...] | Candidates
    layers: tuple[Layer, ...]  # (rows,)
    input_bits: np.ndarray  # (rows,) bits of the activations that a layer reads; `activation_bits` are those it writes
    members: np.ndarray  # the rows of the first workload, then those of the second, ...
    starts: np.ndarray  # (workloads,) where each workload begins in `members`

    @classmethod
    def of(cls, workloads: Sequence[Workload] | Candidates) -> LayerTable:
        if isinstance(workloads, Candidates):
            return cls._of_candidates(workloads)
        if isinstance(workloads, Workload):
            raise ValueError("estimate_many wants a list of workloads; for one, call estimate")
        workloads = tuple(workloads)
        for workload in workloads:
            if not isinstance(workload, Workload):
                kind = type(workload).__name__
                raise ValueError(f"a device prices a Workload, not {kind}; make one with labkit.trace(model, example)")
            if not len(workload):
                raise ValueError(f"workload {workload.name!r} has no layers; trace a network that computes something")
        layers = tuple(layer for workload in workloads for layer in workload.layers)
        bits = np.array([bits for workload in workloads for bits in _input_bits(workload)], dtype=np.int64)
        lengths = [len(workload) for workload in workloads]
        return cls(workloads, layers, bits, np.arange(len(layers)), np.cumsum([0, *lengths], dtype=np.int64)[:-1])

    @classmethod
    def _of_candidates(cls, candidates: Candidates) -> LayerTable:
        """A row for each layer of each place, and for each width that it may find at its input."""
        place = {INPUT: 0} | {layers[0].name: p + 1 for p, layers in enumerate(candidates.places)}
        widths = [np.array([candidates.input_bits])]  # of each tensor, by choice
        widths += [np.array([layer.activation_bits for layer in layers]) for layers in candidates.places]
        rows, layers, input_bits = np.empty(candidates.choice.shape, dtype=np.int64), [], []
        for p, options in enumerate(candidates.places):
            sources = [place[name] for name in options[0].inputs]
            possible = np.unique(np.concatenate([widths[source] for source in sources]))
            rows[:, p] = len(layers) + candidates.choice[:, p]
            if len(possible) > 1:
                read = [widths[s][candidates.choice[:, s - 1]] if s else np.full(len(candidates), widths[0]) for s in sources]
                rows[:, p] += len(options) * np.searchsorted(possible, np.max(read, axis=0))
            layers += options * len(possible)
            input_bits += [bits for bits in possible for _ in options]
        members, starts = rows.ravel(), np.arange(len(candidates)) * len(candidates.places)
        chosen = np.bincount(members, minlength=len(layers)) > 0
        if not chosen.all():  # nobody asks what the others would cost, or whether they can run
            members = (np.cumsum(chosen) - 1)[members]
            layers = [layer for layer, used in zip(layers, chosen, strict=True) if used]
        return cls(candidates, tuple(layers), np.array(input_bits)[chosen], members, starts)

    @cached_property
    def columns(self) -> np.ndarray:
        return np.array([_row(layer) for layer in self.layers], dtype=float).reshape(-1, len(COLUMNS))

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[:, COLUMNS.index(column)]

    def column(self, function: Callable[[Layer], float]) -> np.ndarray:
        """A device family's own number for each row, ``(rows,)``: kernel sizes, channels, whatever `function` reads off a layer."""
        return np.array([function(layer) for layer in self.layers])

    def op_is(self, *ops: str) -> np.ndarray:
        """Which rows do one of these operations, bool ``(rows,)``."""
        return _membership(ops)[self.columns[:, 0].astype(np.int64)]

    @cached_property
    def built(self) -> np.ndarray:
        """Which rows are layers with weights of which a channel is left, bool ``(rows,)``; one pruned whole is not compiled."""
        return self.op_is(*WEIGHTED) & (self["kept"] > 0)

    def wider_than(self, bits: int) -> np.ndarray:
        """Which rows multiply a weight or an input of more than so many bits, bool ``(rows,)``."""
        return self.op_is(*WEIGHTED) & ((self["weight_bits"] > bits) | (self.input_bits > bits))

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums a number per row over each workload: ``(rows,)`` to ``(workloads,)``."""
        return self._reduced(np.add, values)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The largest number of each workload."""
        return self._reduced(np.maximum, values)

    def _reduced(self, operation: np.ufunc, values: np.ndarray) -> np.ndarray:
        return operation.reduceat(values[self.members], self.starts) if len(self.starts) else np.zeros(0)

    @cached_property
    def channel_shares(self) -> np.ndarray:
        """Share of each layer's output channels at every weight width: ``(rows, 33)``, column b for b bits."""
        return np.array([_channel_shares(layer) for layer in self.layers], dtype=float).reshape(-1, MAX_BITS + 1)

    @property
    def peak_activation_bytes(self) -> np.ndarray:
        """Bytes of activations alive at once, ``(workloads,)``."""
        if isinstance(self.workloads, Candidates):
            return self.workloads.peak_activation_bytes
        return np.array([workload.peak_activation_bytes for workload in self.workloads])
