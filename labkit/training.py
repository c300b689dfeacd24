"""`fit` trains a classifier, `evaluate` says how good it is, class by class. One way to train, for every lab and every recipe.

A run is a function of its seed: shuffling, augmentation and dropout draw from generators that start at `Recipe.seed`, so the same
call gives the same weights on the same machine, and the caller's own random numbers are left where they were.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from labkit.report import Report

Examples = tuple[torch.Tensor, torch.Tensor]
Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class TrainingError(RuntimeError):
    """Training cannot go on, or cannot start; the sentence says where it stopped and what to try."""


@dataclass(frozen=True)
class Recipe:
    """How to train: AdamW (Loshchilov & Hutter, arXiv:1711.05101) under a one-cycle learning rate (Smith, arXiv:1708.07120).

    `learning_rate` is the peak of the cycle. `patience` stops the run after that many epochs without a better validation
    accuracy; ``None`` runs all epochs. Raises ValueError on a setting that no run can have.

    >>> Recipe(epochs=5).batch_size
    100
    """

    epochs: int = 30
    batch_size: int = 100
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05
    patience: int | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be greater than 0")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; give a share from 0 up to (not including) 1")


@dataclass(frozen=True)
class History:
    """What happened, one number an epoch. `best_epoch` (counted from 1) is the one whose weights the model keeps."""

    loss: tuple[float, ...]
    val_loss: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    best_epoch: int
    seconds: float

    def plot(self, ax) -> None:
        """Draws training loss (left axis) and validation accuracy (right axis) against epochs."""
        epochs = range(1, len(self.loss) + 1)
        ax.plot(epochs, self.loss, color="#999999", label="training loss")
        ax.set(xlabel="epoch", ylabel="training loss")
        if self.val_accuracy:
            right = ax.twinx()
            right.plot(epochs, [100 * a for a in self.val_accuracy], color="#0072B2", label="validation accuracy")
            right.plot(self.best_epoch, 100 * self.val_accuracy[self.best_epoch - 1], "o", color="#0072B2")
            right.set_ylabel("validation accuracy (%)", color="#0072B2")


def fit(
    model: nn.Module,
    train: Examples,
    val: Examples | None,
    recipe: Recipe,
    *,
    augment: Augment | None = None,
    penalty: Callable[[], torch.Tensor] | None = None,
    teacher: nn.Module | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Trains `model` in place; it ends in eval mode with the weights of its best epoch on `val` (of the last one if `val` is None).

    `train` and `val` are ``(x, y)``: x with the batch first, y int64 class numbers. ``augment(batch, generator)`` turns a batch of
    training x into what the network reads; it runs at every step and draws only from `generator`. It may compute features, so that
    training x is audio while validation x is features already. ``penalty()`` is added to the loss of every step, as a search adds
    the price of a network. A `teacher` is a trained network whose answers, with all their doubts, are learned beside the labels.

    With a `checkpoint` path the run is saved after every epoch; the same call later goes on where it stopped and ends with the same
    weights, bit for bit, as if it had not been interrupted. Raises TrainingError on NaN or infinite data or loss.

    >>> x = torch.linspace(-1, 1, 64).reshape(-1, 1)
    >>> model = nn.Linear(1, 2)
    >>> history = fit(model, (x, (x[:, 0] > 0).long()), None, Recipe(epochs=40, learning_rate=0.1), progress=False)
    >>> predict(model, torch.tensor([[-0.5], [0.5]])).tolist()
    [0, 1]
    """
    started = time.perf_counter()
    _check(train, "training")
    if val is not None:
        _check(val, "validation")
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator: give it back as it was
        torch.manual_seed(recipe.seed)
        run = _Run(model, train, val, recipe, augment, penalty, teacher)
        if checkpoint is not None:
            run.resume(Path(checkpoint))
        steps = recipe.epochs * run.batches
        with tqdm(total=steps, initial=run.epoch * run.batches, disable=not progress, unit="batch") as bar:
            while not run.finished:
                run.train_epoch(bar)
                run.validate(bar)
                if checkpoint is not None:
                    run.save(Path(checkpoint))
    run.keep_best()
    return History(
        tuple(run.loss), tuple(run.val_loss), tuple(run.val_accuracy), run.best_epoch, run.seconds + time.perf_counter() - started
    )


def distillation(logits: torch.Tensor, teacher: nn.Module, batch: torch.Tensor, temperature: float = 2.0) -> torch.Tensor:
    """T² · KL(teacher‖student), both softened by the temperature T (Hinton et al., arXiv:1503.02531).

    >>> logits = torch.randn(3, 4)
    >>> distillation(logits, nn.Identity(), logits).abs().item() < 1e-6
    True
    """
    with torch.no_grad():
        taught = F.log_softmax(teacher(batch) / temperature, dim=1)
    learned = F.log_softmax(logits / temperature, dim=1)
    return temperature**2 * F.kl_div(learned, taught, reduction="batchmean", log_target=True)


class _Run:
    """A training run between two epochs: everything a checkpoint must hold."""

    def __init__(self, model, train, val, recipe, augment, penalty, teacher):
        self.model = model.to(memory_format=torch.channels_last)  # 2-D convolutions run faster so; nothing else changes
        self.train, self.val, self.recipe = train, val, recipe
        self.augment = augment or (lambda batch, generator: batch)
        self.penalty = penalty or (lambda: 0.0)
        self.teacher = teacher.eval() if teacher is not None else None
        self.batches = math.ceil(len(train[1]) / recipe.batch_size)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, recipe.learning_rate, total_steps=recipe.epochs * self.batches
        )
        self.epoch, self.best_epoch, self.best, self.seconds = 0, 0, None, 0.0
        self.loss, self.val_loss, self.val_accuracy = [], [], []
        self.clock = time.perf_counter()

    @property
    def finished(self) -> bool:
        patience = self.recipe.patience
        waited = self.epoch - self.best_epoch
        return self.epoch >= self.recipe.epochs or (patience is not None and self.val is not None and waited >= patience > 0)

    def train_epoch(self, bar) -> None:
        self.model.train()
        x, y = self.train
        order = torch.randperm(len(y), generator=self.generator)
        total = 0.0
        # tensor_split: batches of nearly equal size, so that no small last one upsets batch norm
        for number, chosen in enumerate(order.tensor_split(self.batches), start=1):
            batch = self.augment(x[chosen], self.generator)
            logits = self.model(batch)
            if y.max() >= logits.shape[1] or y.min() < 0:
                raise TrainingError(f"labels run from {y.min()} to {y.max()}, but the network has {logits.shape[1]} outputs")
            loss = F.cross_entropy(logits, y[chosen], label_smoothing=self.recipe.label_smoothing)
            loss = loss + self.penalty()
            if self.teacher is not None:
                loss = loss + distillation(logits, self.teacher, batch)
            self._check_step(batch, loss, number)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total += loss.item() * len(chosen)
            bar.set_postfix(self._postfix(loss.item()), refresh=False)
            bar.update()
        self.loss.append(total / len(y))
        self.epoch += 1

    def validate(self, bar) -> None:
        if self.val is None:
            self.best_epoch = self.epoch
            return
        x, y = self.val
        logits = _logits(self.model, x)
        self.val_loss.append(F.cross_entropy(logits, y).item())
        self.val_accuracy.append((logits.argmax(1) == y).float().mean().item())
        if self.best is None or self._score(self.epoch) > self._score(self.best_epoch):
            self.best_epoch = self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        bar.set_postfix(self._postfix(self.loss[-1]))

    def _score(self, epoch: int) -> tuple[float, float]:
        """Accuracy first; among epochs of equal accuracy (a small validation set has many) the smaller loss."""
        return self.val_accuracy[epoch - 1], -self.val_loss[epoch - 1]

    def _postfix(self, loss: float) -> dict[str, str]:
        shown = {"epoch": f"{self.epoch}/{self.recipe.epochs}", "loss": f"{loss:.3f}"}
        return shown | ({"val": f"{self.val_accuracy[-1]:.1%}"} if self.val_accuracy else {})

    def _check_step(self, batch: torch.Tensor, loss: torch.Tensor, number: int) -> None:
        if torch.isfinite(loss):
            return
        where = f"epoch {self.epoch + 1}, batch {number}"
        if not torch.isfinite(batch).all():
            raise TrainingError(f"{where}: the augmented batch has NaN or infinite values; check what `augment` returns")
        raise TrainingError(
            f"{where}: the loss is {loss.item()}; "
            f"try a smaller learning_rate (now {self.recipe.learning_rate:g}) or normalise the input"
        )

    def keep_best(self) -> None:
        if self.best is not None:
            self.model.load_state_dict(self.best)
        self.model.to(memory_format=torch.contiguous_format).eval()

    # -- checkpoints ------------------------------------------------------------------------------------------------------------

    def _identity(self) -> dict:
        """What must agree for a checkpoint to belong to this run."""
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        return dataclasses.asdict(self.recipe) | {"training examples": len(self.train[1]), "weights of the network": weights}

    _COUNTERS = ("epoch", "best_epoch", "best", "loss", "val_loss", "val_accuracy")

    def save(self, path: Path) -> None:
        state = {name: getattr(self, name) for name in self._COUNTERS}
        state |= {
            "identity": self._identity(),
            "seconds": self.seconds + time.perf_counter() - self.clock,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "global_generator": torch.get_rng_state(),
        }
        part = path.with_name(path.name + ".part")
        try:  # a crash leaves the old checkpoint or the new one, never half of one
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, part)
            os.replace(part, path)
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"cannot write checkpoint {path} ({error}); free space or choose another folder") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def resume(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            state = torch.load(path, weights_only=True)
            theirs, ours = state["identity"], self._identity()
        except Exception as error:
            raise TrainingError(f"cannot read checkpoint {path} ({type(error).__name__}); delete it to start again") from None
        for name in ours:
            if theirs.get(name) != ours[name]:
                raise TrainingError(
                    f"checkpoint {path} belongs to another run ({name}: {theirs.get(name)} there, {ours[name]} here); "
                    "delete it or choose another path"
                )
        for name in self._COUNTERS:
            setattr(self, name, state[name])
        self.seconds = state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global_generator"])


def _check(examples: Examples, role: str) -> None:
    x, y = examples
    if len(x) != len(y) or len(y) == 0:
        raise TrainingError(f"the {role} set has {len(x)} inputs and {len(y)} labels; give equally many, and at least one")
    if x.is_floating_point() and not torch.isfinite(x).all():
        first = int((~torch.isfinite(x.flatten(1)).all(dim=1)).nonzero()[0])
        raise TrainingError(f"the {role} set has NaN or infinite values, first in example {first}; remove or repair it first")


@torch.no_grad()
def _logits(model: nn.Module, x: torch.Tensor, batch_size: int = 500) -> torch.Tensor:
    model.eval()
    return torch.cat([model(part) for part in x.split(batch_size)])


def predict(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The class number of each example, int64 ``(n,)``, computed in batches; leaves the model in eval mode."""
    return _logits(model, x).argmax(dim=1)


def evaluate(model: nn.Module, x: torch.Tensor, y: torch.Tensor, labels: Sequence[str]) -> Report:
    """The report of `model` on ``(x, y)``; `labels` names the classes in order."""
    return Report.of(torch.as_tensor(y).numpy(), predict(model, x).numpy(), labels)
