"""Bits, granularity, observer: what rounding does to a layer's weights and inputs, to accuracy, and to the price of a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import labkit
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.units import memory, quantity, span
from labkit.workload import Workload

TABLES = Path(__file__).parent / "tables"
ACCURACY, RANGES = TABLES / "ptq.json", TABLES / "ranges.json"
COMMAND = "labkit train ptq-table"
LAYERS = {"convolution 1": "features.0.0", "convolution 2": "features.1.0", "convolution 3": "features.2.0", "linear": "classifier"}
BITS = (2, 3, 4, 5, 6, 8)
GRANULARITIES = {"tensor": "one a layer", "channel": "one a channel", "group": "one for 8 weights"}
OBSERVERS = ("minmax", "moving average", "percentile", "entropy", "mse")
DEVICES = ("mpic", "nucleo-l4r5zi", "max78000")


def nearest(x, scale, zero_point, low, high):
    """Codes of the numbers `x`. A lab passes the student's own function in its place.

    >>> nearest([0.6, 9], 0.5, -1, -4, 3).tolist()
    [0.0, 3.0]
    """
    return np.clip(np.round(np.asarray(x) / scale) + zero_point, low, high)


@cache
def network() -> tuple[dict[str, np.ndarray], Workload]:
    """The weights of each layer, batch norms folded, and what the network costs."""
    from labkit import models
    from labkit.quantization.folding import fold_batch_norms

    model, example = models.build("har-cnn")
    trained, _ = models.pretrained("har-cnn", "watch")
    folded = fold_batch_norms(trained)
    weights = {name: folded.get_submodule(name).weight.detach().flatten(1).numpy().astype(float) for name in LAYERS.values()}
    return weights, labkit.trace(model, example, name="HAR-CNN")


@cache
def device(name: str) -> labkit.Device:
    return labkit.device(name)


def in_rows(weights: np.ndarray, granularity: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``(outputs, n)`` in rows that share a scale, and the largest magnitude that each scale must reach, ``(rows, 1)``.

    A channel that does not split into groups of 8 is one group.

    >>> [largest.ravel().tolist() for _, largest in (in_rows(np.array([[1, -2], [5, 3]]), g) for g in ("tensor", "channel"))]
    [[5, 5], [2, 5]]
    """
    x = weights.reshape(-1, 8) if granularity == "group" and weights.shape[1] % 8 == 0 else weights
    largest = np.abs(x).max(axis=None if granularity == "tensor" else 1, keepdims=True)
    return x, np.broadcast_to(largest, (len(x), 1))


@dataclass(frozen=True, eq=False)
class Rounded:
    """Numbers and what is left of them after they were codes. Weights: every number once; inputs: bins of a histogram."""

    x: np.ndarray
    back: np.ndarray
    counts: np.ndarray  # how often each number occurs
    levels: np.ndarray  # (rows, codes): what the codes of each row stand for
    snr_db: float


@dataclass(frozen=True, eq=False)
class QuantizationResult:
    layer: str
    weights: Rounded
    inputs: Rounded
    range: dict  # what the observer found: low, high, saturated
    workload: Workload
    estimate: labkit.Estimate
    flash_limit: int
    accuracy: dict | None  # the row of the table
    curve: list[dict]  # the rows that differ in the weights' bits only
    float_accuracy: float | None

    @property
    def zeros(self) -> float:
        """Share of the weights that became 0."""
        return float(np.mean(self.weights.back == 0))


class Table:
    """Accuracies by (weight bits, activation bits, granularity, observer); empty when they have not been computed yet."""

    def __init__(self, path: Path = ACCURACY):
        self.about = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"entries": []}
        self.float_accuracy = self.about.get("float_accuracy")
        self.entries = {
            (row["weight_bits"], row["activation_bits"], row["granularity"], row["observer"]): row for row in self.about["entries"]
        }

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, *setting) -> dict | None:
        return self.entries.get(setting)

    def curve(self, *setting) -> list[dict]:
        """The rows that differ in the bits of the weights only."""
        return [row for bits in BITS if (row := self.get(bits, *setting))]

    def sources(self) -> tuple[str, ...]:
        if not self.entries:
            return ()
        return (f"Accuracy: {self.about['data']}. Computed by `{self.about['command']}`.",)


class QuantizationExplorer(Explorer):
    """HAR-CNN on the watch after post-training quantization. `quantize` is a function of (x, scale, zero_point, low, high) that
    returns codes; a lab passes the student's own. Accuracies come from a table that a recipe has measured.

    >>> explorer = QuantizationExplorer(weight_bits=2, granularity="tensor")
    >>> np.unique(explorer.result.weights.back.round(2)).tolist()
    [-0.71, 0.0, 0.71]
    """

    layer = Setting("convolution 1", "layer", LAYERS, control="menu")
    weight_bits = Setting(4, "weights", BITS, show="{} bits".format)
    granularity = Setting("channel", "scales", GRANULARITIES, control="menu", show=GRANULARITIES.get)
    activation_bits = Setting(8, "activations", BITS, show="{} bits".format)
    observer = Setting("minmax", "observer", OBSERVERS, control="menu")
    device = Setting("mpic", "device", DEVICES, control="menu")

    def __init__(self, quantize: Callable = nearest, table: Path = ACCURACY, **settings):
        self.quantize, self.table = quantize, Table(table)
        self.ranges = json.loads(RANGES.read_text(encoding="utf-8"))
        super().__init__(**settings)

    def compute(self) -> QuantizationResult:
        weights, base = network()
        name = LAYERS[self.layer]
        tensor = self.ranges["tensors"][name]
        found = next(r for r in tensor["ranges"] if (r["observer"], r["bits"]) == (self.observer, self.activation_bits))
        workload = base.with_bits(self.weight_bits, self.activation_bits)
        board = device(self.device)
        setting = (self.weight_bits, self.activation_bits, self.granularity, self.observer)
        return QuantizationResult(
            layer=self.layer,
            weights=self._weights(weights[name]),
            inputs=self._inputs(tensor, found),
            range=found,
            workload=workload,
            estimate=board.estimate(workload),
            flash_limit=board.flash_bytes,
            accuracy=self.table.get(*setting),
            curve=self.table.curve(*setting[1:]),
            float_accuracy=self.table.float_accuracy,
        )

    def _weights(self, weights: np.ndarray) -> Rounded:
        last = 2 ** (self.weight_bits - 1) - 1
        x, largest = in_rows(weights, self.granularity)
        scale = largest / last
        back = self._codes(x, scale, 0, -last, last) * scale
        error = float(np.sum((back - x) ** 2))
        snr_db = 10 * np.log10(np.sum(x**2) / error) if error else np.inf
        levels = np.arange(-last, last + 1) * scale
        return Rounded(x, back, np.ones(x.shape), levels, float(snr_db))

    def _inputs(self, tensor: dict, found: dict) -> Rounded:
        """The histogram of the inputs through the same function; its own bins are too coarse for the ratio, the table has it."""
        from labkit.quantization.affine import qparams
        from labkit.quantization.formats import Int

        codes = Int(self.activation_bits, narrow=False)
        scale, zero_point = qparams(found["low"], found["high"], codes)
        edges = np.linspace(tensor["low"], tensor["high"], len(tensor["counts"]) + 1)
        centres = (edges[1:] + edges[:-1]) / 2
        back = (self._codes(centres, scale, zero_point, codes.low, codes.high) - zero_point) * scale
        levels = (codes.levels[None] - zero_point) * scale
        return Rounded(centres, back, np.array(tensor["counts"]), levels, found["snr_db"])

    def _codes(self, x: np.ndarray, *ruler) -> np.ndarray:
        codes = np.asarray(call(self.quantize, x, *ruler), dtype=float)
        if codes.shape != x.shape:
            raise ValueError(f"the codes have shape {codes.shape}; return one for each of the {x.shape} numbers")
        return codes

    def say(self) -> str:
        r = self.result
        cost = f"{quantity(r.estimate.latency_ms.mid / 1e3, 's')} and {quantity(r.estimate.energy_uj.mid / 1e6, 'J')}"
        text = f"Weights of this layer: {r.weights.snr_db:.1f} dB, {r.zeros:.0%} became 0. Inputs: {r.inputs.snr_db:.1f} dB. "
        return text + self._about_accuracy() + f" An estimated {cost} on {self.device}."

    def _about_accuracy(self) -> str:
        r = self.result
        if r.accuracy:
            return f"Accuracy {r.accuracy['accuracy']:.1%} (float: {r.float_accuracy:.1%})."
        return "Accuracy: not measured for this setting." if self.table else f"Accuracy: not measured yet; run `{COMMAND}`."

    def rows(self, r: QuantizationResult) -> list[tuple[str, str]]:
        latency, energy = r.estimate.latency_ms * 1e-3, r.estimate.energy_uj * 1e-6
        return [
            ("accuracy", f"{r.accuracy['accuracy']:.1%}" if r.accuracy else "–"),
            ("weights, SNR", f"{r.weights.snr_db:.1f} dB"),
            ("became 0", f"{r.zeros:.0%}"),
            ("inputs, SNR", f"{r.inputs.snr_db:.1f} dB"),
            ("saturated", f"{r.range['saturated']:.2%}"),
            ("weight memory", memory(r.workload.weight_bytes)),
            ("flash", memory(r.estimate.flash_bytes)),
            ("RAM", memory(r.estimate.ram_bytes)),
            ("latency", quantity(latency.mid, "s")),
            ("80% interval", span(latency.low, latency.high, "s")),
            ("energy", quantity(energy.mid, "J")),
            ("80% interval ", span(energy.low, energy.high, "J")),
        ]

    def sources(self) -> tuple[str, ...]:
        return (*self.table.sources(), f"Ranges of the inputs: {self.ranges['data']}; `{self.ranges['command']}`.",
                *self.result.estimate.provenance)  # fmt: skip

    def picture(self):
        from labkit.explorers.quantization_picture import QuantizationPicture

        return QuantizationPicture()
