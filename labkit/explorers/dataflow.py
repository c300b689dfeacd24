"""Dataflows: what an array of multipliers fetches from where, by the number that it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.dataflow_picture import DataflowPicture
from labkit.explorers.units import quantity
from labkit.hardware.dataflow import DATAFLOWS, LEVELS, NUMBERS, Array, Costs, Movement, eyeriss, move
from labkit.hardware.dataflow_occupancy import busy
from labkit.hardware.loops import Loops
from labkit.hardware.reference import reference
from labkit.workload import WEIGHTED

WHOLE = "the whole network"
ALEXNET = "AlexNet, convolutions"
NETWORKS = {  # by what the menu says: a network of MLPerf Tiny, of the zoo, or the one that Eyeriss was measured with
    "keywords, 1-D (TC-ResNet8)": "tc-resnet8",
    "keywords (DS-CNN)": "kws",
    "images (ResNet-8)": "ic",
    "persons (MobileNet)": "vww",
    "anomalies (autoencoder)": "ad",
    ALEXNET: "alexnet",
}
MEMORIES = {"external memory": True, "only the buffer": False}
PLACES = dict(zip(LEVELS, ("in registers", "between elements", "in the buffer", "in external memory"), strict=True))


def energy(bytes_moved: np.ndarray, pj_per_byte: np.ndarray) -> np.ndarray:
    """Picojoules at each level, ``(4,)``, for bytes ``(4, 3)`` (levels; weights, inputs, sums) and picojoules a byte ``(4,)``.

    >>> energy(np.ones((4, 3)), np.array([1, 2, 6, 200])).tolist()
    [3.0, 6.0, 18.0, 600.0]
    """
    return np.asarray(bytes_moved).sum(axis=1) * pj_per_byte


@cache
def layers(network: str) -> dict[str, Loops]:
    """The loops of each layer with weights."""
    name = NETWORKS[network]
    if name == "alexnet":
        return {name: loops for name, (loops, _) in eyeriss().items()}
    workload = families.tc_resnet8() if name == "tc-resnet8" else reference(name)
    return {layer.name: Loops.of(layer) for layer in workload.layers if layer.op in WEIGHTED}


# A slider comes back to where it was, and layers of one shape cost the same: nothing is counted twice.
moved, worked = (lru_cache(maxsize=1 << 14)(function) for function in (move, busy))


@dataclass(frozen=True, eq=False)
class DataflowResult:
    """All four dataflows on the same layers and the same array, and the one that is looked at."""

    chosen: str
    movements: dict[str, Movement]
    work: np.ndarray  # (rows, columns) multiplications of each element, in the chosen dataflow
    levels: dict[str, np.ndarray]  # pJ of a multiply-accumulate: arithmetic, then LEVELS

    @property
    def movement(self) -> Movement:
        return self.movements[self.chosen]

    @property
    def occupancy(self) -> np.ndarray:
        """Share of the time in which each element multiplies."""
        return self.work / self.movement.cycles

    @property
    def per_mac(self) -> dict[str, float]:
        return {name: float(parts.sum()) for name, parts in self.levels.items()}


class DataflowExplorer(Explorer):
    """`energy` is a function (bytes moved, pJ per byte) -> pJ by level, as the one above, which is the default; a lab passes the
    student's own.

    >>> explorer = DataflowExplorer(network="keywords (DS-CNN)", memory="only the buffer", dataflow="weight stationary")
    >>> f"{explorer.result.movement.utilisation:.0%}", min(explorer.result.per_mac, key=explorer.result.per_mac.get)
    ('3%', 'row stationary')
    """

    network = Setting("keywords, 1-D (TC-ResNet8)", "network", NETWORKS, control="menu")
    layer = Setting(WHOLE, "layer", lambda explorer: (WHOLE, *layers(explorer.network)), control="menu")
    dataflow = Setting("weight stationary", "look at", DATAFLOWS, control="menu")
    memory = Setting("external memory", "beyond it", MEMORIES, control="menu")
    side = Setting(16, "array", (2, 4, 8, 12, 16, 24, 32), show=lambda side: f"{side} × {side}")
    buffer = Setting(64, "buffer", (2, 4, 8, 16, 32, 64, 128, 256, 512), show="{} KiB".format)

    def __init__(self, energy: Callable = energy, **settings):
        self.energy = energy
        super().__init__(**settings)

    def follow(self, name: str) -> None:
        if name == "network" and self.layer not in (WHOLE, *layers(self.network)):
            self.layer = WHOLE

    def compute(self) -> DataflowResult:
        array = Array(self.side, self.side, self.buffer * 1024, external_memory=MEMORIES[self.memory])
        costs = Costs.at_45nm(array)
        chosen = {name: loops for name, loops in layers(self.network).items() if self.layer in (WHOLE, name)}
        movements = {dataflow: self._network(chosen, dataflow, array) for dataflow in DATAFLOWS}
        work = sum(worked(loops, self.dataflow, array) for loops in chosen.values())
        levels = {dataflow: self._per_mac(movement, costs) for dataflow, movement in movements.items()}
        return DataflowResult(self.dataflow, movements, work, levels)

    def _network(self, chosen: dict[str, Loops], dataflow: str, array: Array) -> Movement:
        parts = []
        for name, loops in chosen.items():
            try:
                parts.append(moved(loops, dataflow, array))
            except ValueError as error:
                raise ValueError(f"Layer {name}: {error}.") from None
        return sum(parts[1:], parts[0])

    def _per_mac(self, movement: Movement, costs: Costs) -> np.ndarray:
        by_level = np.asarray(call(self.energy, movement.bytes, np.array(costs.byte)), dtype=float)
        if by_level.shape != (len(LEVELS),):
            raise ValueError(f"the energies have shape {by_level.shape}; return one number for each of the {len(LEVELS)} levels")
        return np.concatenate([[costs.mac], by_level / movement.macs])

    def say(self) -> str:
        per_mac, levels = self.result.per_mac, self.result.levels
        best, second, *_, worst = sorted(per_mac, key=per_mac.get)
        saved = levels[second][1:] - levels[best][1:]
        where = int(saved.argmax())
        if per_mac[worst] < 1.02 * per_mac[best]:
            text = f"All four need the same within 2%, {per_mac[best]:.3g} pJ a MAC"
        else:
            text = f"{best.capitalize()} needs least, {per_mac[best]:.3g} pJ a MAC; against {second} it saves most"
            text += f" {PLACES[LEVELS[where]]} ({levels[best][1 + where]:.2g} instead of {levels[second][1 + where]:.2g} pJ)"
        largest = int(levels[best][1:].argmax())
        text += f". What moves {PLACES[LEVELS[largest]]} takes {levels[best][1 + largest] / per_mac[best]:.0%} of it,"
        text += f" arithmetic {levels[best][0] / per_mac[best]:.1%}."
        return text + f" With {self.dataflow}, {self.result.movement.utilisation:.0%} of the elements work."

    def rows(self, r: DataflowResult) -> list[tuple[str, str]]:
        movement, per_mac = r.movement, r.per_mac[r.chosen]
        usual = movement.per_mac(Costs.at_45nm(movement.array))
        words = {
            f"{place}, {number}": quantity(words, "B")
            for place, row in zip(("buffer", "outside"), movement.bytes[2:], strict=True)
            for number, words in zip(NUMBERS, row, strict=True)
        }
        return [
            ("of a MAC", f"{per_mac:.3g} pJ"),
            ("80% interval", f"{usual.low / usual.mid * per_mac:.3g}–{usual.high / usual.mid * per_mac:.3g} pJ"),
            ("work", quantity(movement.macs, "MAC")),
            ("energy", quantity(per_mac * movement.macs * 1e-12, "J")),
            ("cycles", f"{movement.cycles:,}"),
            ("at work", f"{movement.utilisation:.1%}"),
            *words.items(),
        ]

    def sources(self) -> tuple[str, ...]:
        return (
            "Words: exact for these loops; a test counts them one by one (labkit.hardware.dataflow).",
            "Energies: arithmetic, buffer and external memory in 45 nm (Horowitz, ISSCC 2014); registers and network in the ratio "
            "to the buffer of Eyeriss' table (Chen, Emer, Sze, ISCA 2016): assumed. Weights and inputs have 8 bits, sums 32.",
            "Not counted: control, clock, leakage, pooling, requantization.",
        )

    def picture(self) -> DataflowPicture:
        return DataflowPicture()
