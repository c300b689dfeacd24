"""How good are quantized networks? One pipeline, many number formats and algorithms, on keyword spotting and on activities.

Every row starts from the same float network of its seed, sees the same examples, learns from the labels and from that network's
answers, and is judged on people that were in no training.
Two questions are kept apart:

- *formats*: what does a number format cost, done as it is deployed (norms folded, every operation quantized, integers only)?
- *algorithms*: which training algorithm is best, in the *academic* setting (norms stay float, only inputs of layers are quantized)
  and in the *deployable* one? (MQBench, Li et al., arXiv:2111.03759, found that the answers differ.)

Accuracy in integers stands beside the accuracy of fake quantization, because with few bits they part: a unit of the accumulator is
then a tenth of an output code, and the rounded bias and TensorFlow Lite's double rounding, which floats do not imitate, are felt.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from labkit import models
from labkit.data import motion, speech
from labkit.data.augmentation import Augmentation
from labkit.quantization.folding import fold_into_scales
from labkit.quantization.formats import AdditivePowerOfTwo, Int, PowerOfTwo, TwoStep
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.prepare import Scheme, calibrate, prepare
from labkit.recipes import motion as activity
from labkit.recipes.partial import PartialTable
from labkit.recipes.speech import changed_anew, of_seed, pcm
from labkit.tracing import trace
from labkit.training import Recipe, fit, predict

TABLE = Path(__file__).parents[1] / "explorers" / "tables" / "quantization.json"
SEEDS = (0, 1, 2)
BYTES = Int(8, narrow=False)
NIBBLES = Int(4, narrow=False)


@dataclass(frozen=True)
class Method:
    """A scheme and how long to train under it; 0 epochs is post-training quantization. No scheme: the float network."""

    scheme: Scheme | None = None
    epochs: int = 0
    learning_rate: float = 1e-3


def learned(weights, **options) -> Scheme:
    """Learned scales; norms stay while training and fold into the scales afterwards (`fold_into_scales`)."""
    return Scheme(weights, weight_scale="lsq", activation_scale="lsq", fold=False, **options)


FORMATS = {
    "float": Method(),
    "float, trained on": Method(epochs=10),  # what the extra epochs alone are worth
    "int8, post-training": Method(Scheme(observer="mse")),
    "int4, post-training": Method(Scheme(Int(4), weight_scale="mse", observer="mse")),
    "int4": Method(learned(Int(4)), 10),
    "int2, edges int8": Method(learned(Int(2), edges=Int(8)), 20),
    "power of two, 4 bits": Method(learned(PowerOfTwo(4)), 10),
    "additive power of two, 4 bits": Method(learned(AdditivePowerOfTwo(4)), 10),
    "two-step power of two, 4 bits": Method(learned(TwoStep(4)), 10),
}
ACADEMIC = {"fold": False, "every_op": False}
FOUR_BITS = Scheme(Int(4), NIBBLES, edges=Int(8))
ALGORITHMS = {
    f"{name}, {setting}": Method(dataclasses.replace(FOUR_BITS, **scales, **options), 5)
    for name, scales in {
        "straight-through": {},
        "DoReFa": {"weight_scale": "dorefa"},
        "PACT": {"activation_scale": "pact"},
        "LSQ": {"weight_scale": "lsq", "activation_scale": "lsq"},
    }.items()
    for setting, options in {"academic": ACADEMIC, "deployable": {}}.items()
}


@dataclass(frozen=True)
class Task:
    """What to learn, and the float networks to start from: ``network(seed)``."""

    name: str
    data: str
    network: Callable[[int], nn.Module]
    train: tuple[torch.Tensor, torch.Tensor]  # x as `augment` takes it
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    calibration: torch.Tensor
    val: tuple[torch.Tensor, torch.Tensor] | None
    test: tuple[torch.Tensor, torch.Tensor]
    weight_decay: float = 1e-3


def keywords(progress: bool = True, versions: int = 10) -> Task:
    """DS-CNN on the real clips of `mini`; every clip is changed in `versions` ways beforehand, and training picks among them."""
    _, card = models.pretrained("ds-cnn", "mini")
    data = speech.load("mini", progress=progress)
    train, val, test = (data.part(split) for split in ("train", "val", "test"))
    audio = pcm(train.x)
    change = changed_anew(card, Augmentation(audio[train.y == train.labels.index("silence")]))
    generator = torch.Generator().manual_seed(0)
    pool = torch.stack(
        [
            torch.cat([change(part, generator) for part in torch.from_numpy(audio).split(500)])
            for _ in tqdm(range(versions), desc="changing the clips", disable=not progress)
        ]
    )
    return Task(
        name="keywords",
        data=f"Speech Commands test archive, {len(test)} real clips of people in no training",
        network=cache(lambda seed: models.pretrained("ds-cnn", of_seed("mini", seed))[0]),
        train=(torch.arange(len(train)), torch.from_numpy(train.y)),
        augment=lambda clips, generator: pool[torch.randint(versions, (len(clips),), generator=generator), clips],
        calibration=card.prepare(train.x[:512]),
        val=(card.prepare(val.x), torch.from_numpy(val.y)),
        test=(card.prepare(test.x), torch.from_numpy(test.y)),
    )


def activities(progress: bool = True) -> Task:
    """HAR-CNN on the watch: subjects 1 to 7 train, 8 to 10 test. The float networks are trained on the spot."""
    data = motion.load("watch")
    learning, test = data.only(data.split != "test"), data.part("test")
    mean, std = activity.statistics(learning.x)
    x, y = activity.normalise(learning.x, mean, std), torch.from_numpy(learning.y)
    return Task(
        name="activities",
        data=f"watch, {len(test)} windows of subjects 8 to 10",
        network=cache(lambda seed: activity.train(data, dataclasses.replace(activity.RECIPE, seed=seed), progress)[0]),
        train=(torch.from_numpy(learning.x), y),
        augment=activity.augment(mean, std),
        calibration=x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:512]],
        val=None,
        test=(activity.normalise(test.x, mean, std), torch.from_numpy(test.y)),
        weight_decay=activity.RECIPE.weight_decay,
    )


TASKS = {"keywords": keywords, "activities": activities}


def run(task: Task, network: nn.Module, method: Method, seed: int, progress: bool = False) -> tuple[nn.Module, dict]:
    """The network that `method` makes of the float `network`, and its row: accuracy, accuracy in integers, bytes of weights."""
    started = time.perf_counter()
    deployable = method.scheme is not None and method.scheme.every_op
    if method.scheme is None:
        made = network if not method.epochs else copy.deepcopy(network)
    else:
        made = prepare(network, method.scheme)
        calibrate(made, task.calibration)
    if method.epochs:
        recipe = Recipe(epochs=method.epochs, learning_rate=method.learning_rate, weight_decay=task.weight_decay, seed=seed)
        fit(made, task.train, task.val, recipe, augment=task.augment, teacher=network, progress=progress)
    if deployable and not method.scheme.fold:
        made = fold_into_scales(made)
    x, y = task.test
    workload = trace(made, x[:1], bits=32 if method.scheme is None else 8)
    row = {"accuracy": share_right(predict(made, x), y), "weight_bytes": workload.weight_bytes}
    if deployable:
        logits = IntegerNetwork.of(made, x[:1]).run(x.numpy())
        row["integer_accuracy"] = share_right(torch.from_numpy(logits).argmax(1), y)
    return made, row | {"seconds": round(time.perf_counter() - started, 1)}


def compare(task: Task, methods: dict[str, Method], seeds: Iterable[int] = SEEDS, progress: bool = True) -> list[dict]:
    """A row for each method and seed, as `table` prints them."""
    settings = [(seed, name) for seed in seeds for name in methods]
    return [
        {"task": task.name, "method": name, "seed": seed} | run(task, task.network(seed), methods[name], seed)[1]
        for seed, name in tqdm(settings, desc=task.name, unit="network", disable=not progress)
    ]


def quantization_table(seed: int = 0, folder=None, progress: bool = True) -> str:
    """Formats and algorithms on both tasks, three seeds: `labkit/explorers/tables/quantization.json`. Goes on where it stopped."""
    torch.set_num_threads(1)
    methods, data = FORMATS | ALGORITHMS, {}
    partial = PartialTable(Path(folder) / TABLE.name if folder else TABLE, ("task", "method", "seed"))
    for name, make in TASKS.items():
        task = make(progress)
        data[name] = task.data
        settings = [(name, method, number) for number in SEEDS for method in methods]
        partial.fill(
            settings, lambda _, method, number, task=task: run(task, task.network(number), methods[method], number)[1], progress
        )
    partial.finish(command="labkit train quantization-table", data=data)
    return table(partial.rows)


def table(rows: list[dict]) -> str:
    """Mean and spread (largest minus smallest) over seeds, and the difference to the float network of the same seed, as text."""
    lines = [f"{'':34}{'accuracy':>9}{'spread':>8}{'minus float':>13}{'in integers':>13}{'weights':>12}"]
    for task in dict.fromkeys(row["task"] for row in rows):
        lines.append(f"{task}:")
        for name, summary in summaries(rows, task).items():
            integers = f"{summary['integer_accuracy']:13.1%}" if summary["integer_accuracy"] is not None else " " * 13
            minus = f"{100 * summary['minus_float']:+13.1f}" if summary["minus_float"] is not None else " " * 13
            points = f"{summary['accuracy']:9.1%}{100 * summary['spread']:8.1f}"
            lines.append(f"  {name:32}{points}{minus}{integers}{summary['weight_bytes']:10,} B")
    return "\n".join(lines)


def summaries(rows: list[dict], task: str) -> dict[str, dict]:
    """Method -> mean accuracy, spread, mean difference to float (as shares), mean accuracy in integers, bytes.

    A difference is None where no float network was measured.
    """
    mine = [row for row in rows if row["task"] == task]
    floats = {row["seed"]: row["accuracy"] for row in mine if row["method"] == "float"}
    result = {}
    for name in [name for name in FORMATS | ALGORITHMS if any(row["method"] == name for row in mine)]:
        of_method = [row for row in mine if row["method"] == name]
        accuracy = np.array([row["accuracy"] for row in of_method])
        integers = [row["integer_accuracy"] for row in of_method if "integer_accuracy" in row]
        result[name] = {
            "accuracy": float(accuracy.mean()),
            "spread": float(np.ptp(accuracy)),
            "minus_float": float(np.mean([row["accuracy"] - floats[row["seed"]] for row in of_method])) if floats else None,
            "integer_accuracy": float(np.mean(integers)) if integers else None,
            "weight_bytes": of_method[0]["weight_bytes"],
            "n": len(of_method),
        }
    return result


def share_right(said: torch.Tensor, y: torch.Tensor) -> float:
    return round((said == y).float().mean().item(), 4)
