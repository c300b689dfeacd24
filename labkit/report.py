"""`Report`: how often a classifier is right, class by class. Plain counts, so any classifier can be reported (numpy only)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Report:
    """How often a classifier is right. ``confusion[truth, said]`` counts examples; everything else is computed from it.

    >>> report = Report.of([0, 0, 0, 1], [0, 0, 1, 1], ("no", "yes"))
    >>> report.accuracy, report.recall["no"], report.n
    (0.75, 0.6666666666666666, 4)
    """

    labels: tuple[str, ...]
    confusion: np.ndarray

    @classmethod
    def of(cls, truth: Sequence[int], said: Sequence[int], labels: Sequence[str]) -> Report:
        """From class numbers, both ``(n,)``. Raises ValueError on a class without a label."""
        truth, said = np.asarray(truth, dtype=np.int64), np.asarray(said, dtype=np.int64)
        if truth.shape != said.shape or truth.ndim != 1 or not len(truth):
            raise ValueError(f"truth {truth.shape} and predictions {said.shape} must be 1-D, equally long and not empty")
        if min(truth.min(), said.min()) < 0 or max(truth.max(), said.max()) >= len(labels):
            worst = max(truth.max(), said.max())
            raise ValueError(f"there are {len(labels)} labels, but class {worst} occurs; give one label for each class")
        confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
        np.add.at(confusion, (truth, said), 1)
        return cls(tuple(labels), confusion)

    @property
    def n(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion) / self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy: how far chance alone, in drawing `n` examples, can move it (Wilson, JASA 22, 1927)."""
        z, n, p = 1.959964, self.n, self.accuracy
        centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)

    @property
    def recall(self) -> dict[str, float]:
        """For each class, the share of its examples that were found; NaN for a class without examples."""
        total = self.confusion.sum(axis=1)
        found = np.divide(np.diag(self.confusion), total, out=np.full(len(total), np.nan), where=total > 0)
        return dict(zip(self.labels, found.tolist(), strict=True))

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have examples: a rare class counts as much as a common one."""
        return float(np.nanmean(list(self.recall.values())))

    def __str__(self) -> str:
        low, high = self.interval
        width = max(len("class"), *map(len, self.labels))
        lines = [
            f"accuracy {self.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}, n = {self.n}), "
            f"balanced accuracy {self.balanced_accuracy:.1%}",
            f"{'class':{width}}  examples  recall  most often taken for",
        ]
        for i, (label, recall) in enumerate(self.recall.items()):
            row = self.confusion[i]
            wrong = np.where(np.arange(len(row)) == i, 0, row)
            other = f"{self.labels[wrong.argmax()]} ({wrong.max()})" if wrong.max() else "–"
            lines.append(f"{label:{width}}  {row.sum():8d}  {'–' if math.isnan(recall) else format(recall, '.1%'):>6}  {other}")
        return "\n".join(lines)

    def plot(self, ax) -> None:
        """Draws the confusion matrix, each row as shares of its true class; the counts are written into the squares."""
        shares = self.confusion / np.maximum(self.confusion.sum(axis=1, keepdims=True), 1)
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(self.confusion):
            if count:
                ax.text(j, i, count, ha="center", va="center", fontsize=7, color="white" if shares[i, j] > 0.5 else "black")
        ticks = range(len(self.labels))
        ax.set_xticks(ticks, self.labels, rotation=90)
        ax.set_yticks(ticks, self.labels)
        ax.set(xlabel="network says", ylabel="truth", title=f"accuracy {self.accuracy:.1%}, balanced {self.balanced_accuracy:.1%}")
        ax.grid(False)
