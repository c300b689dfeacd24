"""The one type that every loader returns: examples, labels, who they come from, and a split that never shares a person.

Why `group` stands beside `split`: clips of one speaker (windows of one subject) resemble each other, so a random split lets a
network recognise the person instead of the word. A `Dataset` that does so cannot be made.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from labkit.data.clips import Clips
from labkit.naming import did_you_mean

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Card:
    """What a person should know before using a data set.

    >>> print(Card("Tones", synthetic=True, licence="CC0", source="computed here", caveats=("Nobody speaks like this.",)))
    Tones (SYNTHETIC)
    licence: CC0
    source: computed here
    caveat: Nobody speaks like this.
    """

    title: str
    synthetic: bool
    licence: str
    source: str  # the official address, or how it is made
    checksum: str = ""  # "sha256:…" of what is downloaded
    cite: str = ""
    caveats: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.title + (" (SYNTHETIC)" if self.synthetic else ""), f"licence: {self.licence}", f"source: {self.source}"]
        lines += [f"{word}: {text}" for word, text in (("checksum", self.checksum), ("cite", self.cite)) if text]
        return "\n".join(lines + [f"caveat: {caveat}" for caveat in self.caveats])


@dataclass(frozen=True, eq=False)
class Dataset:
    """`n` labelled examples. `x` is an array, or `Clips`, whose first axis counts examples; everything else runs along it.

    Raises ValueError when lengths differ, a label is out of range, or a group stands in two splits.

    >>> data = Dataset("toy", np.zeros((3, 4)), np.array([0, 1, 1]), ("a", "b"), np.array(["ann", "bob", "bob"]),
    ...                np.array(["train", "test", "test"]), 50.0, Card("Toy", True, "CC0", "made up"))
    >>> data
    Dataset toy, SYNTHETIC: 3 examples of shape (4,), 2 classes, 2 groups, 1 train / 0 val / 2 test, 50 Hz
    >>> data.part("test").counts()
    {'a': 0, 'b': 2}
    """

    name: str
    x: np.ndarray | Clips
    y: np.ndarray  # int64 (n,)
    labels: tuple[str, ...]
    group: np.ndarray  # (n,) str: the speaker or subject
    split: np.ndarray  # (n,) "train" | "val" | "test"
    rate_hz: float
    card: Card

    def __post_init__(self):
        for field, kind in (("y", np.int64), ("group", str), ("split", str)):
            object.__setattr__(self, field, np.asarray(getattr(self, field)).astype(kind))
        object.__setattr__(self, "labels", tuple(self.labels))
        for field in ("y", "group", "split"):
            values = getattr(self, field)
            if values.shape != (len(self.x),):
                raise ValueError(f"{self.name}: {field} has shape {values.shape}; give one for each of {len(self.x)} examples")
        if ((self.y < 0) | (self.y >= len(self.labels))).any():
            raise ValueError(f"{self.name}: y runs from {self.y.min()} to {self.y.max()}, but {len(self.labels)} labels are named")
        for split in np.unique(self.split):
            if split not in SPLITS:
                raise ValueError(f"data set {self.name!r}: unknown split {str(split)!r}; {did_you_mean(split, SPLITS)}")
        self._check_groups()

    def _check_groups(self) -> None:
        pairs = np.unique(np.stack([self.group, self.split]), axis=1) if len(self) else np.empty((2, 0), str)
        groups, splits = np.unique(pairs[0], return_counts=True)
        if (splits > 1).any():
            shared = str(groups[splits > 1][0])
            raise ValueError(
                f"data set {self.name!r}: group {shared!r} is in {' and '.join(pairs[1][pairs[0] == shared])}; "
                "put every example of a speaker or subject into one split"
            )

    def part(self, split: str) -> Dataset:
        """Only the examples of one split."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; {did_you_mean(split, SPLITS)}")
        return self.only(self.split == split)

    def only(self, index) -> Dataset:
        """Only the examples that a mask or a list of indices picks; clips are not read."""
        x = self.x.only(index) if isinstance(self.x, Clips) else self.x[index]
        return dataclasses.replace(self, x=x, y=self.y[index], group=self.group[index], split=self.split[index])

    def counts(self) -> dict[str, int]:
        """Examples of each class, in the order of `labels`."""
        return dict(zip(self.labels, np.bincount(self.y, minlength=len(self.labels)).tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        parts = " / ".join(f"{int((self.split == split).sum())} {split}" for split in SPLITS)
        kind = ", SYNTHETIC" if self.card.synthetic else ""
        return (
            f"Dataset {self.name}{kind}: {len(self)} examples of shape {tuple(self.x.shape[1:])}, {len(self.labels)} classes, "
            f"{len(np.unique(self.group))} groups, {parts}, {self.rate_hz:g} Hz"
        )
