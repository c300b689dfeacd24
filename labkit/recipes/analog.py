"""Networks for analog memory, and how accurate they are there: with time, converters, compensation and training.

A network is trained on with noise on its weights (`labkit.analog.training`) for a few epochs, beside the answers of the network it
came from. Then it, and the network as it was, are programmed into arrays again and again, and tested at five times.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from labkit import analog, models
from labkit.models.weights import ModelCard, figure, save
from labkit.recipes import quantization
from labkit.recipes.partial import PartialTable
from labkit.recipes.quantization import Task, share_right
from labkit.recipes.speech import of_seed
from labkit.training import Recipe, evaluate, fit, predict

TABLE = Path(__file__).parents[1] / "explorers" / "tables" / "analog.json"
COMMAND = "labkit train analog-table"
TIMES_S = {"25 s": 25.0, "1 hour": 3600.0, "24 hours": 86_400.0, "1 month": 2_592_000.0, "1 year": 31_536_000.0}
SEEDS, PROGRAMMINGS = (0, 1, 2), (0, 1, 2, 3)
TRAINED = ("as it was", "with noise")
BITS = (8, 6, 4)
STRENGTH, REACH, EPOCHS = 0.1, 2.5, 10
CALIBRATION = 256  # training examples, of all classes, from which the converters learn their ranges
NOTE = (
    "Looked at on the test people (seed 0): 10 epochs and 20, for activities also reach 2 and strength 0.15. The differences were "
    "within the spread of the arrays, and the first choice stayed."
)


def ds_cnn_mini_analog(seed: int = 0, folder=None, progress: bool = True) -> ModelCard:
    """DS-CNN for keywords, trained on with noise on its weights."""
    return _ship("ds-cnn", "mini", quantization.keywords(progress), seed, folder, progress)


def har_cnn_watch_analog(seed: int = 0, folder=None, progress: bool = True) -> ModelCard:
    """HAR-CNN for activities, trained on with noise on its weights."""
    return _ship("har-cnn", "watch", quantization.activities(progress), seed, folder, progress)


def _ship(network: str, data: str, task: Task, seed: int, folder, progress: bool) -> ModelCard:
    before = models.card(f"{network}-{data}")
    torch.set_num_threads(1)
    start = task.network(seed)
    started = time.process_time()
    made = noise_aware(task, start, seed, progress)
    seconds = time.process_time() - started
    name = f"{before.name}-analog"
    card = dataclasses.replace(
        before, name=of_seed(name, seed), data=f"{before.data}; then with noise on the weights", seed=seed,
        command=f"labkit train {name} --seed {seed}", training_seconds=round(seconds, 1),
        figures={"people in no training, digital": figure(evaluate(made, *task.test, before.labels))},
        notes=(f"Starts from the weights of {of_seed(before.name, seed)}. Accuracy in arrays: `{COMMAND}`.", NOTE),
    )  # fmt: skip
    save(made, card, folder)
    return card


def noise_aware(task: Task, network: nn.Module, seed: int, progress: bool = False) -> nn.Module:
    """`network` trained on with noise on its weights; the network itself stays as it is."""
    made = analog.inject_noise(copy.deepcopy(network), STRENGTH, REACH)
    recipe = Recipe(epochs=EPOCHS, learning_rate=1e-3, weight_decay=task.weight_decay, seed=seed)
    fit(made, task.train, task.val, recipe, augment=task.augment, teacher=network, progress=progress)
    return analog.keep_weights(made)


def analog_table(seed: int = 0, folder=None, progress: bool = True) -> str:
    """Accuracy in arrays, three networks × four programmings a setting: `labkit/explorers/tables/analog.json`. Resumes."""
    torch.set_num_threads(1)
    partial = PartialTable(
        Path(folder) / TABLE.name if folder else TABLE, ("task", "trained", "bits", "empty_cells", "seed", "programming")
    )
    data, digital = {}, {}
    for name, make in quantization.TASKS.items():
        task = make(progress)
        data[name], digital[name] = task.data, {trained: [] for trained in TRAINED}
        depthwise = any(getattr(module, "groups", 1) > 1 for module in task.network(0).modules())
        mappings = [(bits, True) for bits in BITS] + ([(8, False)] if depthwise else [])
        for number in SEEDS:
            networks = {"as it was": task.network(number)}
            networks["with noise"] = noise_aware(task, networks["as it was"], number)
            for trained, network in networks.items():
                digital[name][trained].append(share_right(predict(network, task.test[0]), task.test[1]))
            settings = [(name, t, *mapping, number, p) for t in TRAINED for mapping in mappings for p in PROGRAMMINGS]
            partial.fill(settings, _compute(task, networks), progress, about=f"{name}, seed {number}")
    partial.finish(command=COMMAND, data=data, times_s=list(TIMES_S.values()), digital=digital)
    return as_text(Table(partial.path))


def _compute(task: Task, networks: dict[str, nn.Module]) -> Callable[..., dict]:
    heard = calibration(task)

    @cache
    def arrays(trained: str, bits: int, empty_cells: bool) -> analog.AnalogNetwork:
        return analog.program(networks[trained], heard, analog.Crossbar(dac_bits=bits, adc_bits=bits, empty_cells=empty_cells))

    def compute(_, trained: str, bits: int, empty_cells: bool, seed: int, programming: int) -> dict:
        programmed = arrays(trained, bits, empty_cells).reprogrammed(len(PROGRAMMINGS) * seed + programming)
        return accuracies(task, programmed, uncompensated=bits == 8 and empty_cells)

    return compute


def calibration(task: Task) -> torch.Tensor:
    """Training examples as the network reads them, evenly over the set: it is sorted by class, and its first ones are silence."""
    x = task.train[0]
    return task.augment(x[:: max(1, len(x) // CALIBRATION)], torch.Generator().manual_seed(0))


def accuracies(task: Task, programmed: analog.AnalogNetwork, uncompensated: bool) -> dict:
    """Accuracy at each of TIMES_S of programmed arrays, with drift compensation and, if asked for, without."""
    x, y = task.test
    ways = {"accuracy": analog.global_drift_compensation} | ({"uncompensated": None} if uncompensated else {})
    return {
        name: [share_right(predict(programmed.at(seconds, way), x), y) for seconds in TIMES_S.values()]
        for name, way in ways.items()
    }


class Table:
    """What `analog-table` measured. Raises ValueError when nobody has run it."""

    def __init__(self, path: Path = TABLE):
        if not path.exists():
            raise ValueError(f"the table of analog accuracies is missing; run `{COMMAND}`")
        self.about = json.loads(path.read_text(encoding="utf-8"))
        self.rows = self.about["rows"]

    def arrays(self, task: str, trained: str, bits: int = 8, *, empty_cells: bool = True, compensated: bool = True) -> np.ndarray:
        """Accuracies ``(arrays, times)`` of one setting; ``(0, times)`` where it was not measured."""
        wanted = {"task": task, "trained": trained, "bits": bits, "empty_cells": empty_cells}
        name = "accuracy" if compensated else "uncompensated"
        found = [row[name] for row in self.rows if wanted.items() <= row.items() and name in row]
        return np.array(found).reshape(-1, len(self.about["times_s"]))

    def digital(self, task: str, trained: str = "as it was") -> float:
        """Accuracy of the networks before they were programmed, mean over seeds."""
        return float(np.mean(self.about["digital"][task][trained]))


@cache
def measured() -> Table:
    """The table that is shipped."""
    return Table()


def as_text(table: Table) -> str:
    """Mean ± standard deviation over arrays (per cent), a line a setting, a column a time."""
    lines = [f"{'':48}{'digital':>9}" + "".join(f"{name:>12}" for name in TIMES_S)]
    for task in table.about["data"]:
        lines.append(f"{task}:")
        for trained in TRAINED:
            for bits, empty_cells, compensated in [(8, True, False), (8, False, True), *((b, True, True) for b in BITS)]:
                arrays = 100 * table.arrays(task, trained, bits, empty_cells=empty_cells, compensated=compensated)
                if len(arrays):
                    about = ("" if compensated else ", no compensation") + ("" if empty_cells else ", empty cells off")
                    cells = (f"{m:.1f} ± {s:.1f}" for m, s in zip(arrays.mean(axis=0), arrays.std(axis=0, ddof=1), strict=True))
                    digital = f"{100 * table.digital(task, trained):9.1f}"
                    lines.append(f"  {f'{trained}, {bits} bits{about}':46}{digital}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)
