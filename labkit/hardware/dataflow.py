"""Why an accelerator is efficient: how often each memory is asked for the numbers of a layer, by dataflow.

    energy = MACs · energy of a MAC  +  Σ over levels and numbers:  words · bytes of a word · energy of a byte

A number that is fetched from the buffer once and then used 100 times from a register costs a hundredth of its fetch each time.
Four dataflows differ in which number they keep (`dataflow_mappings`); how a layer is cut to fit the buffer is the same for all
(`dataflow_tiles`). Counts are exact for these loops; energies are 45 nm figures or Eyeriss' ratios, without control and clock.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np

from labkit.hardware.catalog import load, read_csv
from labkit.hardware.dataflow_mappings import DATAFLOWS, LEVELS, NUMBERS, Array, Traffic, ratios
from labkit.hardware.dataflow_tiles import Tiling, tiles, tiling
from labkit.hardware.energy_per_operation import dram_pj, mac_pj, sram_pj
from labkit.hardware.estimate import Interval
from labkit.hardware.loops import Loops
from labkit.naming import did_you_mean
from labkit.workload import WEIGHTED, Layer, Workload

__all__ = ["DATAFLOWS", "LEVELS", "NUMBERS", "Array", "Costs", "Loops", "Movement", "eyeriss", "move", "move_network"]


@dataclass(frozen=True)
class Costs:
    """Energy of a multiply-accumulate, and of a byte at each level in the order of LEVELS."""

    mac: float
    byte: tuple[float, float, float, float]
    unit: str

    @classmethod
    def at_45nm(cls, array: Array) -> Costs:
        """Picojoules with 8-bit numbers. Buffer and DRAM: Horowitz; registers and network: Eyeriss' ratio to its buffer (assumed).

        >>> [round(energy, 2) for energy in Costs.at_45nm(Array()).byte]
        [0.79, 1.59, 3.45, 229.81]
        """
        registers, network, buffer, _ = ratios()
        unit = sram_pj(load("dataflow")["eyeriss"]["buffer_bytes"].value).mid / buffer
        return cls(mac_pj().mid, (unit * registers, unit * network, sram_pj(array.buffer_bytes).mid, dram_pj().mid), "pJ")

    @classmethod
    def eyeriss(cls) -> Costs:
        """In multiply-accumulates: 1, 2, 6 and 200 for a 16-bit word (Chen, Emer, Sze, ISCA 2016, table IV)."""
        per_byte = 8 / load("dataflow")["eyeriss"]["word_bits"].value
        return cls(1.0, tuple(ratio * per_byte for ratio in ratios()), "MAC")


@dataclass(frozen=True, eq=False)
class Movement:
    """What one dataflow moves for one layer (or, added up, for a network)."""

    dataflow: str
    array: Array
    macs: int
    cycles: int
    words: np.ndarray  # (4, 3): rows LEVELS, columns NUMBERS
    tiling: Tiling | None = None  # None for a network

    @property
    def utilisation(self) -> float:
        """Share of the elements that multiply in an average cycle."""
        return self.macs / (self.cycles * self.array.elements)

    @property
    def bytes(self) -> np.ndarray:
        """(4, 3): sums are wide on the chip; what leaves it is an output and as narrow as an input."""
        sizes = np.full((len(LEVELS), len(NUMBERS)), self.array.word_bytes)
        sizes[:-1, NUMBERS.index("sums")] = self.array.sum_bytes
        return self.words * sizes

    def energy(self, costs: Costs) -> np.ndarray:
        """Energy by level and number, ``(4, 3)``, without the arithmetic, in the unit of `costs`."""
        return self.bytes * np.array(costs.byte)[:, None]

    def per_mac(self, costs: Costs) -> Interval:
        """Energy of one multiply-accumulate with all that it makes move."""
        total = costs.mac + float(self.energy(costs).sum()) / self.macs
        return Interval.within(total, load("dataflow")["uncertainty"]["energy"].value)

    def __add__(self, other: Movement) -> Movement:
        both = {name: getattr(self, name) + getattr(other, name) for name in ("macs", "cycles", "words")}
        return Movement(self.dataflow, self.array, **both)


def move(layer: Layer | Loops, dataflow: str, array: Array | None = None) -> Movement:
    """Counts the words that one layer moves. Groups run one after another.

    Raises ValueError for unknown dataflows, layers without weights, and a buffer or registers too small for any tile.

    >>> pointwise = Loops(m=64, c=64, p=25, q=5, r=1, s=1)
    >>> result = move(pointwise, "weight stationary")
    >>> result.utilisation, result.cycles, result.words[2].tolist()
    (1.0, 2000, [4096, 32000, 56000])
    """
    if dataflow not in DATAFLOWS:
        raise ValueError(f"no dataflow {dataflow!r}; {did_you_mean(dataflow, DATAFLOWS)}")
    array = array or Array()
    if isinstance(layer, Layer):
        loops = Loops.of(layer)
        try:
            return move(loops, dataflow, array)
        except ValueError as error:
            raise ValueError(f"{dataflow} cannot run layer {layer.name!r} ({layer.op}): {error}") from None
    loops, cut = layer, tiling(layer, array)
    traffic = Traffic(0, np.zeros((3, 3), dtype=np.int64))
    for tile, count in tiles(loops, cut):
        traffic += DATAFLOWS[dataflow](tile, array) * (loops.groups * count)
    words = np.vstack([traffic.words, cut.words])
    words[LEVELS.index("buffer"), NUMBERS.index("sums")] -= loops.outputs  # a sum starts at zero: nothing to read
    return Movement(dataflow, array, loops.macs, traffic.cycles, words, cut)


def move_network(workload: Workload, dataflow: str, array: Array | None = None) -> Movement:
    """The sum over all layers with weights; pooling, additions and the like are left to somebody else.

    >>> from labkit.hardware.reference import reference
    >>> round(move_network(reference("kws"), "output stationary").utilisation, 2)
    0.37
    """
    layers = [layer for layer in workload.layers if layer.op in WEIGHTED]
    if not layers:
        raise ValueError(f"workload {workload.name!r} has no layer with weights; an array of multipliers has nothing to do")
    first, *rest = (move(layer, dataflow, array) for layer in layers)
    return sum(rest, first)


@cache
def eyeriss() -> dict[str, tuple[Loops, dict[str, float]]]:
    """AlexNet's convolutions and what Eyeriss' papers publish about each: `catalog/eyeriss_alexnet.csv`.

    >>> loops, published = eyeriss()["conv3"]
    >>> loops.macs, published["active_pes"]
    (149520384, 156.0)
    """
    table = {}
    for row in read_csv("eyeriss_alexnet"):
        name, bounds = row.pop("layer"), {field.name: int(row.pop(field.name)) for field in dataclasses.fields(Loops)}
        table[name] = Loops(**bounds), {figure: float(value) for figure, value in row.items()}
    return table
