"""UltraTrail: a generated accelerator for temporal convolutions, at a few microwatts (Palomero Bernardo et al., TCAD 2020).

    latency = cycles / clock                                (`ultratrail_cycles`: the authors' closed form)
    energy  = power · period                                (`ultratrail_area`: three terms, fitted)

One inference runs in every period of 100 ms, and the chip is never switched off: its energy is that of the whole period, standby
included. Array size, bit widths and memories are chosen when the chip is made; `UltraTrail.sized_for` chooses the memory for a
network, as HANNAH's search does (Gerum et al., arXiv 2209.03807).
"""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.device import Device, Prices, within
from labkit.hardware.estimate import Interval
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.ultratrail_area import area_terms, fitted, memory_depth, power_terms
from labkit.hardware.ultratrail_cycles import cycles_and_words
from labkit.layer import FRONT_END, WEIGHTED, Layer, positions
from labkit.workload import Workload

SEEN = {"array": (2, 8), "weight_bits": (4, 6), "activation_bits": (4, 6), "clock_khz": (250, 250), "period_ms": (100, 100)}
LARGEST = {"array": 64, "weight_bits": 16, "activation_bits": 16}
CANNOT = {
    FRONT_END: "it computes networks, not features; a microcontroller beside it makes those",
    ("depthwise",): "its array sums over all the input channels of a tile; use dense convolutions",
    ("maxpool",): "its output unit has global average pooling only; use strides",
    ("mul", "concat"): "its output unit adds feature maps and does nothing else with two of them; add them",
    ("activation",): "its output unit has ReLU only; train with ReLU",
    ("norm",): "it has no batch normalisation; fold it into the weights before",
}


class UltraTrail(Device):
    """A chip with `array` × `array` multipliers, made for so many bits, at one inference every `period_ms`.

    `weight_words` is the depth of its weight memory in words of array² weights; left out, there is room for TC-ResNet8. It has
    three resources: weight memory (called flash here, although it is SRAM), feature memory, and the cycles of a period.

    >>> chip = UltraTrail(array=8, weight_bits=6, activation_bits=6)
    >>> chip.capacity["cycles"], str(chip.area_um2)
    (25000, '1.47e+05 (1.44e+05 to 1.51e+05)')
    """

    name, family, title = "ultratrail", "UltraTrail", "UltraTrail, an array for temporal convolutions (22FDX)"

    def __init__(
        self,
        array: int = 8,
        weight_bits: int = 8,
        activation_bits: int = 8,
        clock_khz: float = 250.0,
        period_ms: float = 100.0,
        weight_words: int | None = None,
    ):
        constants = load("ultratrail")
        self.array = _whole("array", array, LARGEST["array"])
        self.weight_bits = _whole("weight_bits", weight_bits, LARGEST["weight_bits"])
        self.activation_bits = _whole("activation_bits", activation_bits, LARGEST["activation_bits"])
        self.clock_khz, self.period_ms = _positive("clock_khz", clock_khz), _positive("period_ms", period_ms)
        wanted = constants["memory"]["weights"].value / array**2 if weight_words is None else weight_words
        self.depth = memory_depth(_positive("weight_words", wanted))
        self.capacity = {
            "flash_bytes": self.depth * self._word_bits // 8,
            "ram_bytes": constants["memory"]["features"].value * self.activation_bits // 8,
            "cycles": int(self.clock_khz * self.period_ms),
        }

    @classmethod
    def sized_for(cls, workload: Workload, **options) -> UltraTrail:
        """The chip whose weight memory just holds `workload`: what HANNAH would generate for it.

        >>> from labkit.hardware.ultratrail_networks import networks
        >>> network = networks()[0]
        >>> chip = UltraTrail.sized_for(network.workload, **network.chip)
        >>> chip.depth, network.area_um2, round(chip.area_um2.mid)
        (768, 129306.658, 128181)
        """
        table = LayerTable.of([workload])
        _, words = cycles_and_words(table, cls(**options).array)
        return cls(**(options | {"weight_words": max(words.sum(), 1)}))

    @property
    def _word_bits(self) -> int:
        return self.array**2 * self.weight_bits

    @property
    def area_um2(self) -> Interval:
        """Square micrometres in 22FDX, 80 % interval."""
        terms = area_terms(self.array, self.weight_bits, self.activation_bits, self.depth)
        return Interval(*(float(terms @ fitted("area")) * self._spread("area")).tolist())

    def power_uw(self, workload: Workload) -> Interval:
        """Mean microwatts over a period with one inference of `workload`, 80 % interval."""
        return self.estimate(workload).energy_uj * (1e3 / self.period_ms)

    def price(self, table: LayerTable) -> Prices:
        self._refuse_what_it_cannot_run(table)
        cycles, words = cycles_and_words(table, self.array)
        idle, running = self._power(0.0), self._power(1.0)  # µW at no cycle, and at one cycle a second
        energy_uj = (running - idle) * cycles  # µW at one cycle a second is µJ a cycle
        energy_uj[np.unique(table.members[table.starts])] += idle * self.period_ms / 1e3  # standby belongs to no layer
        needs = {
            "flash_bytes": np.ceil(table.total(words) * self._word_bits / 8),
            "ram_bytes": table.peak_activation_bytes,
            "cycles": table.total(cycles),
        }
        latency_ms = np.repeat(cycles[:, None] / self.clock_khz, 3, axis=1)
        silicon = load("ultratrail")["uncertainty"]["silicon"].value  # the fit is to the authors' model of a chip
        return Prices(latency_ms, energy_uj[:, None] * self._spread("power") * within(silicon), needs)

    def _power(self, cycles_per_s: float) -> float:
        terms = power_terms(self.array, self.weight_bits, self.activation_bits, cycles_per_s, self.area_um2.mid)
        return float(terms @ fitted("power"))

    @property
    def _doublings_from_the_fitted(self) -> float:
        """How far the chip lies outside of those that were fitted, in doublings or halvings of its options."""
        ends = [(low / getattr(self, name), getattr(self, name) / high) for name, (low, high) in SEEN.items()]
        return sum(math.log2(max(1.0, *ratios)) for ratios in ends)

    def _spread(self, quantity: str) -> np.ndarray:
        """Low, mid and high factor: errors of held-out networks; outside the fitted range, for each doubling, the largest error of
        a held-out array size."""
        errors, doublings = load("ultratrail_fitted")[quantity], self._doublings_from_the_fitted
        return within(errors["far_factor"].value ** max(1.0, doublings) if doublings else errors["factor"].value)

    def _refuse_what_it_cannot_run(self, table: LayerTable) -> None:
        for ops, why in CANNOT.items():
            self.refuse(table, table.op_is(*ops), why)
        axes, groups, places = table.column(_facts).reshape(-1, 3).T
        self.refuse(table, axes > 1, "its array walks along one axis, time; use 1-D convolutions, with mel bands as channels")
        self.refuse(table, groups > 1, "its array sums over all the input channels of a tile; use one group")
        self.refuse(table, table.op_is("avgpool") & (places > 1), "its output unit averages over all of time only; use strides")
        advice = "make the chip wider or the network narrower (Workload.with_bits)"
        wide = table.op_is(*WEIGHTED) & (table["weight_bits"] > self.weight_bits)
        self.refuse(table, wide, f"its weights are wider than the chip's {self.weight_bits} bits; {advice}")
        wide = (table.input_bits > self.activation_bits) & ~table.op_is("softmax")
        self.refuse(table, wide, f"it reads features wider than the chip's {self.activation_bits} bits; {advice}")

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        silicon = load("ultratrail")["uncertainty"]["silicon"].value
        sentences = [
            f"Latency: the authors' closed-form cycles (exact on their own networks) at {self.clock_khz:g} kHz; additions, pooling "
            "and ReLU happen while results are written.",
            f"Energy: of a whole period of {self.period_ms:g} ms with one inference, standby included.",
            "Area and power: three terms each, fitted to the authors' model of 22 generated chips in 22FDX, not to silicon. The "
            "published chip takes 8.2 µW for TC-ResNet8; this says 8.7 at 6 bits and 11 at 8 (its widths were not at hand), so the "
            f"interval of the energy reaches a factor of {silicon:g} further than the model's errors (assumed).",
            f"Memory: flash is the weight SRAM ({self.depth} words of {self._word_bits} bits), tiles filled up; the size of the "
            "feature memory is assumed.",
        ]
        if self._doublings_from_the_fitted:
            sentences.append(
                "Estimated: array size, bits, clock or period lie outside those of the fit; the interval grows by the error of "
                "held-out array sizes with every doubling."
            )
        if table.op_is("softmax").any():
            sentences.append("Softmax is left to whoever reads the result; the largest output is the answer without it.")
        return tuple(sentences)


def _facts(layer: Layer) -> tuple[int, int, int]:
    """Axes that the layer walks along, groups, and places at which it writes."""
    return (0 if layer.op in ("linear", "softmax") else len(layer.in_shape) - 1), layer.groups, positions(layer.out_shape)


def _whole(name: str, value: int, most: int) -> int:
    if not (isinstance(value, Integral) and 1 <= value <= most):
        raise ValueError(f"UltraTrail: {name} is {value!r}; give a whole number from 1 to {most}")
    return int(value)


def _positive(name: str, value: float) -> float:
    if not (isinstance(value, Real) and 0 < value < float("inf")):
        raise ValueError(f"UltraTrail: {name} is {value!r}; give a number above zero")
    return float(value)


DEVICES = {UltraTrail.name: UltraTrail}
