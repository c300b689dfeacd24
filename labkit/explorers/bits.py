"""The bit painter: how many bits a search gives every output channel, and what accuracy, memory and energy come out.

Nothing is searched here: `labkit train mixed-table` has run all searches, and a move of a slider looks one up. Memory, time and
energy are computed from its widths.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.bits_picture import INKS, SHARES, BitPicture
from labkit.explorers.units import memory, quantity, span
from labkit.hardware import Estimate, device
from labkit.quantization.mixed.price import weighted
from labkit.workload import WEIGHTED, Workload

TABLE = Path(__file__).parent / "tables" / "mixed.json"
COMMAND = "labkit train mixed-table"
NETWORKS = {"keywords": families.ds_cnn, "activities": families.har_cnn}


@cache
def measured(path: Path = TABLE) -> tuple[dict, ...]:
    """The searches of the table, a dict each. Raises ValueError when nobody has run them."""
    if not path.exists():
        raise ValueError(f"the table of searches is missing; run `{COMMAND}`")
    return tuple(json.loads(path.read_text(encoding="utf-8"))["rows"])


def pareto(costs, accuracies) -> np.ndarray:
    """Which points no other point beats, bool ``(n,)``: none is as cheap and as accurate, and better in one of the two.

    >>> pareto([1, 2, 3, 3], [0.7, 0.9, 0.8, 0.95]).tolist()
    [True, True, False, True]
    """
    costs, accuracies = np.asarray(costs), np.asarray(accuracies)
    cheap = costs[:, None] <= costs
    good = accuracies[:, None] >= accuracies
    better = (costs[:, None] < costs) | (accuracies[:, None] > accuracies)
    return ~np.any(cheap & good & better, axis=0)


def at_widths(task: str, widths: list) -> Workload:
    """The network of a task with the weights of its layers at `widths`, a number or one per channel each."""
    network, remaining = NETWORKS[task](), iter(widths)
    layers = (dataclasses.replace(x, weight_bits=next(remaining)) if x.op in WEIGHTED else x for x in network.layers)
    return dataclasses.replace(network, layers=tuple(layers))


def savings(rows: list[dict], tolerance: float = 0.005) -> tuple[str, str]:
    """How much memory and energy it saves, at equal accuracy, to let channels choose a width instead of layers: least to most.

    For the mean of each layer-wise strength over its seeds, the cheapest channel-wise one at most `tolerance` less accurate.

    >>> row = {"seed": 0, "energy_uj": 1.0, "bits": {}}
    >>> savings([row | {"share": "layer", "strength": 1.0, "accuracy": 0.9, "weight_bytes": 400},
    ...          row | {"share": "channel", "strength": 2.0, "accuracy": 0.896, "weight_bytes": 300}])
    ('25% to 25%', '0% to 0%')
    """
    accuracy, *costs = (averages(rows, field) for field in ("accuracy", "weight_bytes", "energy_uj"))
    found = []
    for cost in costs:
        shares = []
        for layers, cost_of_layers in zip(accuracy["layer"], cost["layer"], strict=True):
            equal = cost["channel"][accuracy["channel"] >= layers - tolerance]
            if equal.size:
                shares.append(1 - equal.min() / cost_of_layers)
        found.append(f"{round(min(shares), 2) + 0:.0%} to {round(max(shares), 2) + 0:.0%}" if shares else "nothing equal")
    return tuple(found)


def averages(rows: list[dict], field: str) -> dict[str, np.ndarray]:
    """The mean over seeds of a field, for each strength in ascending order, by who chooses."""
    means = {}
    for share in SHARES:
        mine = [row for row in rows if row["share"] == share]
        strengths = sorted({row["strength"] for row in mine})
        means[share] = np.array([np.mean([row[field] for row in mine if row["strength"] == s]) for s in strengths])
    return means


@dataclass(frozen=True)
class Means:
    """A task's searches of one kind, each strength the mean over its seeds; `front` says which the front function kept."""

    accuracy: np.ndarray
    weight_bytes: np.ndarray
    energy_uj: np.ndarray
    fronts: tuple[np.ndarray, np.ndarray]  # by memory and by energy


@dataclass(frozen=True, eq=False)
class BitResult:
    """One search: its row of the table, the network that came out, and its price on MPIC."""

    row: dict
    workload: Workload
    estimate: Estimate
    int8: Estimate
    all_rows: tuple[dict, ...]  # of the task
    means: dict[str, Means]

    @property
    def channels(self) -> dict[str, np.ndarray]:
        """The width of every output channel, by layer."""
        return {layer.name: layer.channel_bits for layer in weighted(self.workload)}

    @property
    def counts(self) -> dict[int, int]:
        widths = np.concatenate(list(self.channels.values()))
        return {bits: int(np.sum(widths == bits)) for bits in INKS}

    @property
    def mean_bits(self) -> float:
        """Bits of an average weight."""
        layers = weighted(self.workload)
        bits = sum(layer.weights_per_channel * int(layer.channel_bits.sum()) for layer in layers)
        return bits / sum(layer.weights_per_channel * layer.out_channels for layer in layers)


class BitExplorer(Explorer):
    """`front` is a function (costs, accuracies) -> which points no other beats, as `pareto`, the default; a lab passes the
    student's own. `table` is what ``labkit train mixed-table`` wrote.

    >>> explorer = BitExplorer(task="activities", share="layer", strength=0.3)
    >>> {len(set(bits)) for bits in explorer.result.channels.values()}
    {1}
    """

    task = Setting("activities", "task", lambda explorer: explorer.known("task"), control="menu")
    share = Setting("channel", "a width for", tuple(SHARES), control="menu", show=SHARES.get)
    strength = Setting(None, "strength", lambda explorer: explorer.strengths(), show="{:g}".format)
    seed = Setting(0, "seed", lambda explorer: explorer.known("seed"))

    def __init__(self, front: Callable = pareto, table: Path = TABLE, **settings):
        self.front, self.searches = front, measured(table)
        self._means: dict[str, dict[str, Means]] = {}
        self.strength = self._middle()
        super().__init__(**settings)

    def follow(self, name: str) -> None:
        """Another task may have been searched at other strengths."""
        if name == "task" and self.strength not in self.strengths():
            self.strength = self._middle()

    def _middle(self) -> float:
        return self.strengths()[len(self.strengths()) // 2]

    def strengths(self) -> tuple[float, ...]:
        return tuple(sorted({row["strength"] for row in self.searches if row["task"] == self.task}))

    def known(self, field: str) -> tuple:
        return tuple(sorted({row[field] for row in self.searches}))

    def compute(self) -> BitResult:
        wanted = {name: getattr(self, name) for name in ("task", "share", "strength", "seed")}
        rows = tuple(row for row in self.searches if row["task"] == self.task)
        row = next((row for row in rows if wanted.items() <= row.items()), None)
        if row is None:
            raise ValueError(f"this search is not in the table; run `{COMMAND}` to the end, or choose another strength or seed")
        workload, mpic = at_widths(self.task, list(row["bits"].values())), device("mpic")
        int8 = mpic.estimate(NETWORKS[self.task]())
        return BitResult(row, workload, mpic.estimate(workload), int8, rows, self._averages(rows))

    def _averages(self, rows: tuple[dict, ...]) -> dict[str, Means]:
        """Computed once for each task."""
        if self.task not in self._means:
            mean = {field: averages(rows, field) for field in ("accuracy", "weight_bytes", "energy_uj")}
            self._means[self.task] = {share: self._with_fronts({f: mean[f][share] for f in mean}) for share in SHARES}
        return self._means[self.task]

    def _with_fronts(self, mean: dict[str, np.ndarray]) -> Means:
        return Means(**mean, fronts=tuple(self._front(mean[cost], mean["accuracy"]) for cost in ("weight_bytes", "energy_uj")))

    def _front(self, costs: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
        front = np.asarray(call(self.front, costs, accuracies))
        if front.shape != costs.shape or front.dtype != bool:
            raise ValueError(f"for {len(costs)} points came {front.dtype} of shape {front.shape}; return True or False for each")
        return front

    def say(self) -> str:
        r, pruned = self.result, self.result.counts[0]
        size, energy = memory(r.workload.weight_bytes), quantity(r.estimate.energy_uj.mid / 1e6, "J")
        return (
            f"{SHARES[self.share].capitalize()} chooses: {r.mean_bits:.1f} bits for an average weight, {pruned} channels pruned. "
            f"{size} of weights, an estimated {energy} on MPIC, accuracy {r.row['accuracy']:.1%}."
        )

    def rows(self, r: BitResult) -> list[tuple[str, str]]:
        energy, latency = r.estimate.energy_uj * 1e-6, r.estimate.latency_ms * 1e-3
        same = [row["accuracy"] for row in r.all_rows if all(row[key] == r.row[key] for key in ("share", "strength"))]
        saved = 1 - r.workload.weight_bytes / at_widths(r.row["task"], [8] * len(r.channels)).weight_bytes
        return [
            ("accuracy", f"{r.row['accuracy']:.1%}"),
            (f"over {len(same)} seeds", f"{np.mean(same):.1%}"),
            ("weights", memory(r.workload.weight_bytes)),
            ("less than int8", f"{saved:.0%}"),
            ("energy", quantity(energy.mid, "J")),
            ("80% interval", span(energy.low, energy.high, "J")),
            ("less than int8 ", f"{1 - energy.mid / (r.int8.energy_uj.mid * 1e-6):.0%}"),
            ("latency", quantity(latency.mid, "s")),
            *((f"{bits} bits" if bits else "pruned", f"{count} channels") for bits, count in r.counts.items()),
        ]

    def sources(self) -> tuple[str, ...]:
        return (
            f"Widths and accuracy: a search of `{COMMAND}` and its training afterwards, on people that were in no training. Faint "
            "dots are single searches, marks are means over seeds, lines join the marks that no other mark of their kind beats.",
            "A pruned channel is counted as costing nothing; what other layers store to read it is counted still.",
            *self.result.estimate.provenance,
        )

    def picture(self) -> BitPicture:
        return BitPicture()
