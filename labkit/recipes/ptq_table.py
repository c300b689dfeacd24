"""Post-training quantization measured: bits, granularity and observer against accuracy, and what the three corrections are worth.

Two networks on people they never met: HAR-CNN on the watch, DS-CNN on real keywords. Nothing is trained and nothing is random. The
keywords are the `mini` set of `labkit.data.speech`, which is downloaded when it is not on this machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm.auto import tqdm

from labkit import atomic, models
from labkit.data import motion, speech
from labkit.quantization.activations import ActivationQuantizer
from labkit.quantization.adaround import adaround
from labkit.quantization.bias_correction import correct_bias
from labkit.quantization.equalization import equalize
from labkit.quantization.formats import Int
from labkit.quantization.granularity import PerChannel, PerGroup, PerTensor
from labkit.quantization.observers import OBSERVERS
from labkit.quantization.prepare import Scheme, calibrate, prepare
from labkit.training import predict

TABLE = Path(__file__).parents[1] / "explorers" / "tables" / "ptq.json"
BITS = (2, 3, 4, 5, 6, 8)
GRANULARITIES = {"tensor": PerTensor(), "channel": PerChannel(), "group": PerGroup(8)}
CORRECTED_BITS = (8, 6, 5, 4, 3)
CORRECTIONS = {  # what is done to the float network, and to the calibrated one
    "nothing": (False, ()),
    "equalisation": (True, ()),
    "bias correction": (False, ("bias",)),
    "AdaRound": (False, ("adaround",)),
    "equalisation, bias correction": (True, ("bias",)),
    "all three": (True, ("adaround", "bias")),
}
BATCH = 32  # examples that an observer sees at a time


@dataclass(frozen=True)
class Task:
    """A trained network, what to calibrate it with, and the people to test it on."""

    name: str
    data: str
    model: nn.Module
    calibration: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor

    def accuracy(self, network: nn.Module) -> float:
        return round((predict(network, self.x) == self.y).double().mean().item(), 4)


def activities() -> Task:
    model, card = models.pretrained("har-cnn", "watch")
    data = motion.load("watch")
    test, calibration = data.part("test"), data.only(data.split != "test").x[::10]
    about = f"{card.name}, {len(test)} windows of subjects 8 to 10; calibrated on {len(calibration)} windows of subjects 1 to 7"
    return Task(card.name, about, model, card.prepare(calibration), card.prepare(test.x), torch.from_numpy(test.y))


def keywords(progress: bool = True) -> Task:
    model, card = models.pretrained("ds-cnn", "mini")
    data = speech.load("mini", progress=progress)
    test, calibration = data.part("test"), data.part("train").x[::10]
    about = f"{card.name}, {len(test)} real clips of people in no training; calibrated on {len(calibration)} training clips"
    return Task(card.name, about, model, card.prepare(calibration), card.prepare(test.x), torch.from_numpy(test.y))


def ptq_table(seed: int = 0, folder=None, progress: bool = True) -> str:
    """Writes `labkit/explorers/tables/ptq.json`; returns its corrections as text. `seed` changes nothing: nothing is drawn.

    HAR-CNN has all combinations of weight and activation bits, granularity and observer; DS-CNN, larger, 8 and 4 activation bits.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    har, kws = activities(), keywords(progress)
    table = {
        "command": "labkit train ptq-table",
        "group": GRANULARITIES["group"].size,
        **measured(har, BITS, progress),
        "keywords": measured(kws, (8, 4), progress),
        "corrections": [row for task in (har, kws) for row in corrected(task, progress=progress)],
    }
    table["seconds"] = round(time.process_time() - started, 1)
    atomic.write(Path(folder) / TABLE.name if folder else TABLE, json.dumps(table) + "\n")
    return as_text(table["corrections"])


def measured(task: Task, activation_bits: Iterable[int], progress: bool) -> dict:
    """Float accuracy and an entry for every setting of one network."""
    entries = list(tqdm(settings(task, BITS, activation_bits), desc=task.name, disable=not progress, unit="setting"))
    return {"network": task.name, "data": task.data, "float_accuracy": task.accuracy(task.model), "entries": entries}


def settings(
    task: Task, weight_bits: Iterable[int], activation_bits: Iterable[int], granularities=GRANULARITIES, observers=OBSERVERS
) -> Iterator[dict]:
    """An entry of the table for every combination. One calibration serves all widths of the activations."""
    for bits in weight_bits:
        for granularity in granularities:
            for observer in observers:
                prepared = prepare(task.model, Scheme(Int(bits), granularity=GRANULARITIES[granularity], observer=observer))
                calibrate(prepared, task.calibration.split(BATCH))
                for width in activation_bits:
                    set_activation_bits(prepared, width)
                    setting = {"weight_bits": bits, "activation_bits": width, "granularity": granularity, "observer": observer}
                    yield setting | {"accuracy": task.accuracy(prepared)}


def set_activation_bits(prepared: nn.Module, bits: int) -> None:
    """Other activation widths for a calibrated network: its observers know what they saw."""
    for quantizer in prepared.modules():
        if isinstance(quantizer, ActivationQuantizer):
            quantizer.format, quantizer.activation_bits = Int(bits, narrow=False), bits
            if hasattr(quantizer.observer, "bits"):
                quantizer.observer.bits = bits
            quantizer.freeze()


def corrected(
    task: Task, bits: Iterable[int] = CORRECTED_BITS, granularities=("tensor", "channel"), progress=True
) -> Iterator[dict]:
    """Accuracy with few-bit weights and 8-bit activations, with and without each correction."""
    even = equalize(task.model)
    plan = [(b, g, name) for b in bits for g in granularities for name in CORRECTIONS]
    for b, granularity, name in tqdm(plan, desc=f"{task.name}, corrections", disable=not progress, unit="network"):
        before, after = CORRECTIONS[name]
        prepared = prepare(even if before else task.model, Scheme(Int(b), granularity=GRANULARITIES[granularity]))
        calibrate(prepared, task.calibration)
        if "adaround" in after:
            adaround(prepared, task.calibration, progress=False)
        if "bias" in after:
            correct_bias(prepared, task.calibration)
        yield {
            "network": task.name,
            "weight_bits": b,
            "granularity": granularity,
            "correction": name,
            "accuracy": task.accuracy(prepared),
        }


def corrected_column(rows: list[dict], network: str, correction: str, granularity: str) -> dict[int, float]:
    """Accuracy by weight bits."""
    key = (network, correction, granularity)
    return {row["weight_bits"]: row["accuracy"] for row in rows if (row["network"], row["correction"], row["granularity"]) == key}


def as_text(rows: list[dict]) -> str:
    """The corrections as a table: a line for each network, granularity and correction, a column for each width."""
    widths = list(dict.fromkeys(row["weight_bits"] for row in rows))
    lines = [f"{'network':16}{'scales':9}{'correction':32}" + "".join(f"{f'{b} bits':>9}" for b in widths)]
    for network, granularity, name in dict.fromkeys((row["network"], row["granularity"], row["correction"]) for row in rows):
        column = corrected_column(rows, network, name, granularity)
        lines.append(f"{network:16}{granularity:9}{name:32}" + "".join(f"{column[b]:9.1%}" for b in widths))
    return "\n".join(lines)
