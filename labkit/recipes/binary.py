"""A binary keyword network behind a binary front end, trained on real voices, and what its signs cost in accuracy.

Filtering sound takes longer than training on its pictures, so every clip is heard a few times only, changed anew each time
(`labkit.data.augmentation`); training draws one of the hearings, and shifts it by up to two frames.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch
from tqdm.auto import tqdm

from labkit import models
from labkit.data import speech
from labkit.data.augmentation import Augmentation
from labkit.data.binary_features import BATCH, binary_features
from labkit.data.dataset import Dataset
from labkit.models.weights import ModelCard, figure, save
from labkit.quantization.binary import compact
from labkit.recipes.speech import UNSEEN_REAL, of_seed
from labkit.report import Report
from labkit.training import Recipe, evaluate, fit

HEARINGS = 8
SHIFT_FRAMES = 2
TRAINING = {  # of signs, of real numbers; learning rates chosen on the validation people, epochs for four minutes a network
    True: Recipe(epochs=40, learning_rate=8e-3, weight_decay=1e-4),
    False: Recipe(epochs=20, learning_rate=3e-3, weight_decay=1e-4),
}
SEEDS = 3


def binary_kws_mini(seed: int, folder=None, progress: bool = True) -> ModelCard:
    """BinaryKWS on the real clips of the `mini` set, through the model of an analog front end."""
    started = time.process_time()
    data = speech.load("mini", progress=progress)
    model, report = trained(data, hearings(data, progress), seed, binary=True, progress=progress)
    card = _card(
        "binary-kws-mini", seed, "the train split of the Speech Commands test archive (real)", {UNSEEN_REAL: report}, started
    )
    save(compact(model), card, folder)
    return card


def binary_kws_table(seed: int, folder=None, progress: bool = True) -> ModelCard:
    """BinaryKWS and the float network of the same shape on the same pictures, three seeds from `seed` on: figures, no weights."""
    started = time.process_time()
    data = speech.load("mini", progress=progress)
    heard = hearings(data, progress)
    figures = {
        f"{'binary' if binary else 'float'}, seed {s}": trained(data, heard, s, binary=binary, progress=progress)[1]
        for s in range(seed, seed + SEEDS)
        for binary in (True, False)
    }
    card = _card("binary-kws-table", seed, "the same pictures of ±1, with signs and with real numbers inside", figures, started)
    save(None, card, folder)
    return card


def hearings(data: Dataset, progress: bool = True) -> torch.Tensor:
    """Pictures of the training clips as they are and `HEARINGS` times changed, int8 ``(hearings + 1, clips, 2, frames, bands)``."""
    train = data.part("train")
    audio = np.asarray(train.x[np.arange(len(train))], dtype=np.float32)
    augment, rng = Augmentation(audio[train.y == train.labels.index("silence")]), np.random.default_rng(0)
    changes = [lambda clips: clips] + [lambda clips: augment(clips, rng)] * HEARINGS
    heard = []
    with tqdm(total=len(changes) * len(audio), disable=not progress, unit="clip") as bar:
        for change in changes:
            for start in range(0, len(audio), BATCH):
                heard.append(binary_features(change(audio[start : start + BATCH].copy())))
                bar.update(len(heard[-1]))
    return torch.from_numpy(np.concatenate(heard)).unflatten(0, (len(changes), len(audio)))


def trained(
    data: Dataset, heard: torch.Tensor, seed: int, *, binary: bool, progress: bool = True
) -> tuple[torch.nn.Module, Report]:
    """A trained network, signs or real numbers inside, and its report on the test people."""
    torch.set_num_threads(1)
    model, _ = models.build("binary-kws", seed=seed, binary=binary)
    train, val, test = (data.part(part) for part in ("train", "val", "test"))

    def pictures(chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        hearing = torch.randint(len(heard), chosen.shape, generator=generator)
        shift = int(torch.randint(-SHIFT_FRAMES, SHIFT_FRAMES + 1, (), generator=generator))
        return heard[hearing, chosen].float().roll(shift, dims=2)

    clips = torch.arange(len(train))
    recipe = dataclasses.replace(TRAINING[binary], seed=seed)
    fit(model, (clips, torch.from_numpy(train.y)), _tensors(val), recipe, augment=pictures, progress=progress)
    return model, evaluate(model, *_tensors(test), data.labels)


def _tensors(part: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(binary_features(part.x)).float(), torch.from_numpy(part.y)


def _card(name: str, seed: int, data: str, reports: dict[str, Report], started: float) -> ModelCard:
    return ModelCard(
        name=of_seed(name, seed), network="binary-kws", data=data, labels=speech.LABELS, seed=seed,
        command=f"labkit train {name} --seed {seed}", mean=[0.0], std=[1.0], front_end="binary_features",
        figures={tested: figure(report) for tested, report in reports.items()},
        training_seconds=round(time.process_time() - started, 1),
        notes=("The front end is a model of our own in place of the circuit of arXiv:2201.03386, which we know by its abstract.",),
    )  # fmt: skip
