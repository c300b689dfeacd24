"""Shipped networks: small trained weights (safetensors) and beside each a card (JSON) that says how they were made.

A network is only half of a classifier: the other half is what its input must look like. The card holds that too (front end, mean
and standard deviation, axis order), so that `card.prepare` turns audio or sensor windows into what the network reads.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from labkit import atomic
from labkit.models.zoo import build
from labkit.naming import did_you_mean

FOLDER = Path(__file__).parents[1] / "weights"
LAYOUTS = {
    "as is": lambda x: x,
    "picture": lambda x: x[:, None],  # (n, frames, coefficients) -> one channel, for 2-D convolutions
    "sequence": lambda x: x.swapaxes(1, 2),  # (n, frames, coefficients) -> coefficients are channels, for 1-D convolutions
}


@dataclass(frozen=True)
class ModelCard:
    """How a network was trained, what it reads, and how good it is. `mean` and `std` broadcast against one example.

    >>> card = ModelCard("toy-watch", "har-cnn", "one window", ("walk", "rest"), "labkit train …", 0, mean=[[1.0]], std=[[2.0]])
    >>> card.prepare(np.array([[[3.0, 5.0]]])).tolist()
    [[[1.0, 2.0]]]
    """

    name: str  # "<network>-<data>", the stem of its two files
    network: str  # for `labkit.models.build`
    data: str  # what it was trained on, one sentence
    labels: tuple[str, ...]
    command: str  # what makes it again
    seed: int
    mean: list
    std: list
    front_end: str | None = None  # "mfcc" | "log_mel" | "binary_features" of `labkit.data`, None for windows as they are
    features: dict = field(default_factory=dict)  # fields of FeatureConfig, of AnalogFrontEnd for "binary_features"
    layout: str = "as is"
    options: dict = field(default_factory=dict)  # of the network's constructor
    figures: dict[str, dict] = field(default_factory=dict)  # what was tested -> accuracy, balanced_accuracy, low, high, n
    training_seconds: float = 0.0  # processor time on one thread
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if self.layout not in LAYOUTS:
            raise ValueError(f"{self.name}: unknown layout {self.layout!r}; {did_you_mean(self.layout, LAYOUTS)}")
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "notes", tuple(self.notes))

    def prepare(self, x) -> torch.Tensor:
        """The network's input, float32, from audio ``(clips, samples)`` or windows ``(windows, channels, samples)``."""
        return self.normalise(self.extract(x))

    def extract(self, x) -> np.ndarray:
        """The front end alone: ``(clips, frames, coefficients)`` of audio, or pictures of ±1; windows pass unchanged."""
        if self.front_end is None:
            return np.asarray(x)
        from labkit.data import binary_features, features

        if self.front_end == "binary_features":
            return binary_features.binary_features(x, binary_features.AnalogFrontEnd(**self.features))
        return getattr(features, self.front_end)(x, features.FeatureConfig(**self.features))

    def normalise(self, extracted: np.ndarray) -> torch.Tensor:
        """Zero mean and unit spread, as measured on the training set, in the axis order that the network wants."""
        x = (np.asarray(extracted) - np.asarray(self.mean)) / np.asarray(self.std)
        return torch.from_numpy(np.ascontiguousarray(LAYOUTS[self.layout](x), dtype=np.float32))

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.network}, trained on {self.data}", f"made by: {self.command} ({self.training_seconds:.0f} s)"]
        for tested, figure in self.figures.items():
            interval = f"95 % interval {figure['low']:.1%} to {figure['high']:.1%}, n = {figure['n']}"
            lines.append(f"{tested}: accuracy {figure['accuracy']:.1%} ({interval}), balanced {figure['balanced_accuracy']:.1%}")
        return "\n".join(lines + [f"note: {note}" for note in self.notes])


def figure(report) -> dict:
    """A `labkit.report.Report` as a card keeps it."""
    low, high = report.interval
    values = {"accuracy": report.accuracy, "balanced_accuracy": report.balanced_accuracy, "low": low, "high": high}
    return {key: round(value, 4) for key, value in values.items()} | {"n": report.n}


def save(model: nn.Module | None, card: ModelCard, folder: str | Path | None = None) -> None:
    """Writes ``<name>.safetensors`` and ``<name>.json``, each whole or not at all; without a module only the card."""
    folder = Path(folder or FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    if model is not None:
        part = folder / f"{card.name}.safetensors.part"
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, part)
        os.replace(part, folder / f"{card.name}.safetensors")
    atomic.write(folder / f"{card.name}.json", json.dumps(dataclasses.asdict(card), indent=1, ensure_ascii=False) + "\n")


def shipped(folder: str | Path | None = None) -> list[str]:
    """The names of the trained networks that are there.

    >>> all("-" in name for name in shipped())
    True
    """
    return sorted(path.stem for path in Path(folder or FOLDER).glob("*.safetensors"))


def card(name: str, folder: str | Path | None = None) -> ModelCard:
    """The card called `name` ("ds-cnn-synthetic"). Raises ValueError naming the nearest ones."""
    path = Path(folder or FOLDER) / f"{name}.json"
    if not path.exists():
        known = sorted(path.stem for path in path.parent.glob("*.json"))
        raise ValueError(f"no trained network {name!r}; {did_you_mean(name, known)}")
    return ModelCard(**json.loads(path.read_text(encoding="utf-8")))


def pretrained(network: str, data: str, folder: str | Path | None = None) -> tuple[nn.Module, ModelCard]:
    """A shipped network in eval mode, and its card. Raises ValueError naming the nearest ones.

    `data` is what it was trained on: ``pretrained("ds-cnn", "synthetic")``, ``pretrained("har-cnn", "watch")``.
    """
    name = f"{network}-{data}"
    if name not in shipped(folder):
        raise ValueError(f"no trained network {name!r}; {did_you_mean(name, shipped(folder))}")
    about = card(name, folder)
    model, _ = build(about.network, **about.options)
    model.load_state_dict(load_file(Path(folder or FOLDER) / f"{name}.safetensors"))
    return model, about
