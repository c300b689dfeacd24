"""Analog memory that forgets: time, converters and compensation against weights, confusion and accuracy of a real network.

Everything but the band of accuracies is computed at the move of a slider: devices drift, are read, and the network runs on windows
of people it never met. The band is what `labkit train analog-table` measured over the same four arrays, on all windows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from labkit.analog.crossbar import global_drift_compensation
from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.units import quantity, span
from labkit.hardware.analog_memory import PCMComputeInMemory
from labkit.hardware.estimate import Estimate
from labkit.report import Report

TABLE = Path(__file__).parent / "tables" / "analog.json"
COMMAND = "labkit train analog-table"
TIMES = {
    0.0: "just programmed", 25.0: "25 s", 120.0: "2 minutes", 600.0: "10 minutes", 3600.0: "1 hour", 21_600.0: "6 hours",
    86_400.0: "24 hours", 604_800.0: "1 week", 2_592_000.0: "1 month", 15_552_000.0: "6 months", 31_536_000.0: "1 year",
}  # fmt: skip
NETWORKS = {"as it was": "watch", "with noise": "watch-analog"}  # how it was trained: the shipped weights
BITS = (8, 6, 4)
ON, OFF = "one factor a layer", "nothing"
EVERY = 4  # of the test windows; all of them would take 40 ms
CALIBRATION = 128


@contextmanager
def one_thread() -> Iterator[None]:
    """Layers this small gain nothing from a second thread, and on a busy machine each thread waits for the other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def examples() -> tuple:
    """Calibration windows of people in training, then test windows of others, their classes and labels."""

    from labkit import models
    from labkit.data import motion

    card, data = models.card("har-cnn-watch"), motion.load("watch")
    learning, test = data.only(data.split != "test"), data.part("test")
    chosen = np.random.default_rng(0).permutation(len(learning))[:CALIBRATION]
    return card.prepare(learning.x[chosen]), card.prepare(test.x[::EVERY]), test.y[::EVERY], test.labels


@cache
def network(trained: str):
    """One of the shipped networks, in eval mode."""
    from labkit import models

    return models.pretrained("har-cnn", NETWORKS[trained])[0]


@cache
def digital(trained: str) -> float:
    """Accuracy of the network itself on the same windows."""
    from labkit.training import predict

    _, x, y, _ = examples()
    return float(np.mean(predict(network(trained), x).numpy() == y))


@cache
def calibrated(trained: str, bits: int):
    """The network in arrays, its converters fitted: the slow part."""
    from labkit import analog

    return analog.program(network(trained), examples()[0], analog.Crossbar(dac_bits=bits, adc_bits=bits))


@cache
def programmed(trained: str, bits: int, array: int):
    """The same in devices of its own."""
    return calibrated(trained, bits).reprogrammed(array)


@cache
def price(bits: int) -> Estimate:
    return PCMComputeInMemory(bits).estimate(families.har_cnn())


class Bands:
    """Mean and standard deviation over arrays, from the table; empty where nothing was measured."""

    def __init__(self, path: Path = TABLE):
        about = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": [], "times_s": []}
        self.rows, self.times_s = about["rows"], about["times_s"]

    def of(self, trained: str, bits: int, compensated: bool) -> np.ndarray:
        """Columns time, mean, standard deviation: ``(times, 3)``."""
        name = "accuracy" if compensated else "uncompensated"
        wanted = {"task": "activities", "trained": trained, "bits": bits, "empty_cells": True, "seed": 0}  # the shipped network's
        arrays = np.array([row[name] for row in self.rows if wanted.items() <= row.items() and name in row])
        if not len(arrays):
            return np.zeros((0, 3))
        return np.column_stack([self.times_s, arrays.mean(axis=0), arrays.std(axis=0, ddof=1)])


@dataclass(frozen=True, eq=False)
class DriftResult:
    """One array at one time. Weights are shares of the column's largest, all layers together."""

    seconds: float
    compensated: bool
    target: np.ndarray  # what was meant to be stored
    now: np.ndarray  # what the network computes with: what a read returns, times the factor of its layer
    kept: float  # mean magnitude of what a read returns, over that of the programmed pairs
    factors: dict[str, float]
    report: Report
    digital: float
    band: np.ndarray
    estimate: Estimate

    @property
    def noise(self) -> float:
        """Root mean square of now − target, as a share of the largest weight."""
        return float(np.sqrt(np.mean((self.now - self.target) ** 2)))

    @property
    def weakest(self) -> tuple[str, float]:
        """The class that is found least often."""
        return min(self.report.recall.items(), key=lambda pair: pair[1])


class DriftExplorer(Explorer):
    """HAR-CNN in phase-change memory. `compensation` is a function (outputs after programming, outputs now) -> factor of a layer,
    as `labkit.analog.global_drift_compensation`, the default; a lab passes the student's own.

    >>> explorer = DriftExplorer(seconds=86_400.0, compensate="nothing")
    >>> explorer.result.report.accuracy < explorer.result.digital - 0.2
    True
    """

    seconds = Setting(25.0, "time", TIMES, show=TIMES.get)
    compensate = Setting(ON, "corrected", (ON, OFF), control="menu")
    bits = Setting(8, "converters", BITS, show="{} bits".format)
    trained = Setting("as it was", "trained", NETWORKS, control="menu")
    array = Setting(0, "array", (0, 1, 2, 3), show=lambda number: f"number {number + 1}")

    def __init__(self, compensation: Callable = global_drift_compensation, table: Path = TABLE, **settings):
        self.compensation, self.bands = compensation, Bands(table)
        super().__init__(**settings)
        with one_thread():  # so that the first move of a control is as fast as the next
            for trained in NETWORKS:
                for bits in BITS:
                    programmed(trained, bits, self.array), digital(trained), price(bits)

    @one_thread()
    def compute(self) -> DriftResult:
        from labkit.training import predict

        made, (_, x, y, labels) = programmed(self.trained, self.bits, self.array), examples()
        compensated = self.compensate == ON
        reading = made.at(self.seconds, (lambda *readouts: call(self.compensation, *readouts)) if compensated else None)
        target, now, factors = [], [], {}
        for name, layer in made.layers():
            read, factors[name] = reading.tensors[f"{name}.conductance"].numpy(), float(reading.tensors[f"{name}.factor"])
            target.append(layer.conductance.numpy().ravel())
            now.append(read.ravel())
        before = np.concatenate([layer.array.programmed_us.ravel() / layer.g_max_us for _, layer in made.layers()])
        scaled = [factor * weights for factor, weights in zip(factors.values(), now, strict=True)]
        return DriftResult(
            seconds=self.seconds,
            compensated=compensated,
            target=np.concatenate(target),
            now=np.concatenate(scaled),
            kept=float(np.abs(np.concatenate(now)).mean() / np.abs(before).mean()),
            factors=factors,
            report=Report.of(y, predict(reading, x).numpy(), labels),
            digital=digital(self.trained),
            band=self.bands.of(self.trained, self.bits, compensated),
            estimate=price(self.bits),
        )

    def say(self) -> str:
        r = self.result
        name, recall = r.weakest
        factors = "" if not r.compensated else f", the factors are {min(r.factors.values()):.2f} to {max(r.factors.values()):.2f}"
        return (
            f"{TIMES[r.seconds].capitalize()}: {r.kept:.0%} of the conductance is left{factors}. Accuracy {r.report.accuracy:.1%}, "
            f"digital {r.digital:.1%}; found least: {name} ({recall:.0%}). "
            f"An estimated {quantity(r.estimate.energy_uj.mid / 1e6, 'J')} an inference."
        )

    def rows(self, r: DriftResult) -> list[tuple[str, str]]:
        energy = r.estimate.energy_uj * 1e-6
        measured = {time: f"{mean:.1%} ± {spread:.1%}" for time, mean, spread in r.band}
        return [
            ("accuracy", f"{r.report.accuracy:.1%}"),
            ("digital", f"{r.digital:.1%}"),
            ("four arrays", measured.get(r.seconds, "–")),
            ("conductance", f"{r.kept:.0%} left"),
            ("weights", f"off by {r.noise:.1%}"),
            *((name, f"{recall:.0%} found") for name, recall in r.report.recall.items()),
            ("energy", quantity(energy.mid, "J")),
            ("80% interval", span(energy.low, energy.high, "J")),
        ]

    def sources(self) -> tuple[str, ...]:
        return (
            "Devices: statistical model of phase-change memory, Nandakumar et al. (ICECS 2019), constants as in aihwkit.",
            f"Accuracy: {self.result.report.n} windows, every fourth of subjects 8 to 10 of the watch recordings, computed now.",
            f"Band: mean ± standard deviation of this network in four arrays, on all windows, `{COMMAND}`.",
            *self.result.estimate.provenance,
        )

    def picture(self):
        from labkit.explorers.drift_picture import DriftPicture

        return DriftPicture(examples()[3])
