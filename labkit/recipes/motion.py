"""Human activity: networks for unseen people, and the table behind the windows explorer.

Ten people are few, so two things are done with care. Training windows are changed in ways a body can change them (the watch sits a
little turned, the exercise goes a little faster), and accuracy is the mean over people each of whom was left out once.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from tqdm.auto import tqdm

from labkit import models
from labkit.data import motion
from labkit.data.dataset import Dataset
from labkit.models.weights import ModelCard, figure, save
from labkit.recipes.motion_augmentation import jitter, stretch, turn
from labkit.report import Report
from labkit.training import Recipe, evaluate, fit

RECIPE = Recipe(epochs=20, batch_size=64, weight_decay=1e-2)
TABLE = Path(__file__).parents[1] / "explorers" / "tables" / "windows.json"
TABLE_STEPS = 400  # gradient steps of every entry, however many windows it has


def har_cnn_watch(seed: int = 0, folder=None, progress: bool = True) -> ModelCard:
    """HAR-CNN on the watch: every person left out once, then the network that is shipped, which never saw subjects 8 to 10."""
    started = time.perf_counter()
    data = motion.load("watch")
    recipe = dataclasses.replace(RECIPE, seed=seed)
    people = {}
    for fold in motion.folds(data):
        people |= by_person(fold, *train(fold, recipe, progress))
    model, mean, std = train(data, recipe, progress)
    test = data.part("test")
    worst = min(people, key=lambda person: people[person].accuracy)
    card = ModelCard(
        name="har-cnn-watch",
        network="har-cnn",
        data="the watch recordings of subjects 1 to 7",
        labels=data.labels,
        command=f"labkit train har-cnn-watch --seed {seed}",
        seed=seed,
        mean=_as_list(mean),
        std=_as_list(std),
        figures={
            "subjects 8 to 10, the shipped network": figure(evaluate(model, normalise(test.x, mean, std), test.y, test.labels)),
            "every person left out once, mean over people and its interval": over_people(list(people.values())),
            **{f"person {person} left out": figure(report) for person, report in people.items()},
        },
        training_seconds=round(time.perf_counter() - started, 1),
        notes=(
            f"The spread over people is wide: from {people[worst].accuracy:.1%} (person {worst}) upwards. Windows of one person "
            "resemble each other, so an interval that counts windows is too narrow.",
            "The augmentation was chosen with these ten people at hand; expect a little less on an eleventh.",
        ),
    )
    save(model, card, folder)
    return card


def har_cnn_hapt(seed: int = 0, folder=None, progress: bool = True) -> ModelCard:
    """HAR-CNN on HAPT's official split, six activities and all twelve classes. Only the card is written: see datasets/hapt.md."""
    started = time.perf_counter()
    figures = {}
    for classes, about in ((6, "six activities"), (12, "twelve classes")):
        data = motion.load("hapt", classes=classes)
        data = dataclasses.replace(data, x=compress_rates(data.x))
        model, mean, std = train(data, dataclasses.replace(RECIPE, seed=seed), progress)
        test = data.part("test")
        report = evaluate(model, normalise(test.x, mean, std), test.y, test.labels)
        figures[f"{about}, official test subjects"] = figure(report)
        print(report)
    card = ModelCard(
        name="har-cnn-hapt",
        network="har-cnn",
        data="HAPT, the 21 official training subjects",
        labels=data.labels,
        command=f"labkit train har-cnn-hapt --seed {seed}",
        seed=seed,
        mean=_as_list(mean),
        std=_as_list(std),
        options={"classes": classes},
        figures=figures,
        training_seconds=round(time.perf_counter() - started, 1),
        notes=(
            "No weights are shipped: the data's README prohibits commercial use.",
            "Angular rates w enter as w/sqrt|w|, chosen by cross-validation on the training subjects: a body turns at 0.03 rad/s "
            "standing and 0.02 sitting, but 0.7 walking (medians), and the small difference must stay visible.",
            "That step was looked for after a first score on the test subjects had shown sitting taken for standing, so the test "
            "figures are not blind.",
        ),
    )
    save(None, card, folder)
    return card


def compress_rates(x: np.ndarray) -> np.ndarray:
    """Windows ``(n, 6, samples)`` with every angular rate ω replaced by ω/√|ω|: same axis, square root of the speed.

    The small turns of a standing body become visible beside those of a walking one. It commutes with a rotation of the sensor, so
    `turn` may come after it.

    >>> compress_rates(np.array([0, 0, 1, 0, 0, 0.04]).reshape(1, 6, 1)).ravel().round(6).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 0.2]
    """
    acceleration, rates = x[:, :3], x[:, 3:]
    speed = np.linalg.norm(rates, axis=1, keepdims=True)
    return np.concatenate([acceleration, rates / np.sqrt(np.maximum(speed, 1e-6))], axis=1)


def windows_table(seed: int = 0, folder=None, progress: bool = True) -> str:
    """Accuracy by window, hop and channels, for people never seen and with leakage: `labkit/explorers/tables/windows.json`.

    Every entry is HAR-CNN after the same short training. `accuracy` is the mean over ten people, tested in three groups by networks
    that did not see their group; `leaked` is what the same training scores on a random third of the windows of everybody.
    Returns the table as text.
    """
    started = time.perf_counter()
    settings = [(w, w * part // 4, c) for w in (32, 64, 128, 256) for part in (1, 2, 4) for c in ("acc", "gyro", "both")]
    entries = [table_entry(*setting, seed) for setting in tqdm(settings, disable=not progress, unit="setting")]
    table = {
        "data": "watch",
        "command": f"labkit train windows-table --seed {seed}",
        "steps": TABLE_STEPS,
        "seconds": round(time.perf_counter() - started, 1),
        "entries": entries,
    }
    path = Path(folder) / TABLE.name if folder else TABLE
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(table, indent=1) + "\n")
    os.replace(part, path)
    lines = [f"{e['window']:6}  {e['hop']:4}  {e['channels']:8}  {e['accuracy']:12.1%}  {e['leaked']:12.1%}" for e in entries]
    return "\n".join(["window   hop  channels  unseen people  random split", *lines])


def table_entry(window: int, hop: int, channels: str, seed: int = 0, steps: int = TABLE_STEPS) -> dict:
    """One entry of the windows table."""
    started = time.perf_counter()
    data = motion.load("watch", window=window, hop=hop, channels=None if channels == "both" else channels)
    batches = math.ceil(len(data) * 2 / 3 / RECIPE.batch_size)
    recipe = dataclasses.replace(RECIPE, epochs=max(1, round(steps / batches)), seed=seed)
    people = {}
    for group in (("01", "02", "03"), ("04", "05", "06"), ("07", "08", "09", "10")):
        fold = dataclasses.replace(data, split=np.where(np.isin(data.group, group), "test", "train"))
        people |= by_person(fold, *train(fold, recipe, progress=False))
    mixed = as_if_strangers(data, seed)
    model, mean, std = train(mixed, recipe, progress=False)
    test = mixed.part("test")
    accuracy = np.array([report.accuracy for report in people.values()])
    return {
        "window": window,
        "hop": hop,
        "channels": channels,
        "accuracy": round(float(accuracy.mean()), 4),
        "spread": round(float(accuracy.std(ddof=1)), 4),
        "leaked": round(evaluate(model, normalise(test.x, mean, std), test.y, test.labels).accuracy, 4),
        "people": len(people),
        "windows": len(data),
        "seconds": round(time.perf_counter() - started, 1),
    }


def as_if_strangers(data: Dataset, seed: int) -> Dataset:
    """The mistake: a random third of the windows is `test`, as if every window came from another person."""
    split = np.where(np.random.default_rng(seed).permutation(len(data)) < len(data) // 3, "test", "train")
    return dataclasses.replace(data, group=np.arange(len(data)).astype(str), split=split)


def train(data: Dataset, recipe: Recipe, progress: bool = True) -> tuple[torch.nn.Module, np.ndarray, np.ndarray]:
    """HAR-CNN trained on everybody but the people of `test`, and the mean and standard deviation of its input, ``(channels, 1)``.

    The number of epochs is fixed beforehand, so nobody is needed to choose one, and the people of `val` train as well: with ten
    people, one more to learn from is worth more than an epoch chosen on a single person.
    """
    torch.set_num_threads(1)  # networks this small gain nothing from a second thread, and sums keep their order
    learning = data.only(data.split != "test")
    mean, std = statistics(learning.x)
    model, _ = models.build("har-cnn", seed=recipe.seed, classes=len(data.labels), channels=data.x.shape[1])
    examples = torch.from_numpy(learning.x), torch.from_numpy(learning.y)
    fit(model, examples, None, recipe, augment=augment(mean, std), progress=progress)
    return model, mean, std


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every channel of ``(n, channels, samples)``, ``(channels, 1)`` each."""
    mean, std = (f(x, axis=(0, 2), keepdims=True)[0].round(4) for f in (np.mean, np.std))
    return mean, std


def augment(mean: np.ndarray, std: np.ndarray):
    """An `augment` for `fit`: windows turned, stretched, normalised and jittered."""

    def change(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return jitter(normalise(stretch(turn(x, 15, generator), 1.25, generator), mean, std), generator)

    return change


def normalise(x: np.ndarray | torch.Tensor, mean: np.ndarray, std: np.ndarray) -> torch.Tensor:
    """Windows ``(n, channels, samples)`` with zero mean and unit spread in each channel; `ModelCard.prepare` does the same."""
    return (torch.as_tensor(x) - torch.from_numpy(mean)) / torch.from_numpy(std)


def by_person(data: Dataset, model: torch.nn.Module, mean: np.ndarray, std: np.ndarray) -> dict[str, Report]:
    """A report for each person of `data`'s test part."""
    test = data.part("test")
    parts = {person: test.only(test.group == person) for person in np.unique(test.group)}
    return {person: evaluate(model, normalise(part.x, mean, std), part.y, part.labels) for person, part in parts.items()}


def over_people(reports: list[Report]) -> dict:
    """Mean over people, and the 95 % interval of that mean (Student's t): the people are the sample here, not their windows."""
    accuracy = np.array([report.accuracy for report in reports])
    half = stats.t.ppf(0.975, len(accuracy) - 1) * accuracy.std(ddof=1) / math.sqrt(len(accuracy))
    values = {
        "accuracy": accuracy.mean(),
        "balanced_accuracy": np.mean([report.balanced_accuracy for report in reports]),
        "low": accuracy.mean() - half,
        "high": min(1.0, accuracy.mean() + half),
    }
    return {key: round(float(value), 4) for key, value in values.items()} | {"n": len(reports)}


def _as_list(values: np.ndarray) -> list[list[float]]:
    return values.astype(np.float64).round(4).tolist()
