"""Human activity from worn sensors: recordings are cut into windows, and people are kept apart.

A recording is an array ``(channels, samples)``: one subject doing one thing. A set of windows is ``(windows, channels, samples)``.
The sources (which file, whose people, which units) are in `motion_sources.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from labkit.data.dataset import Dataset
from labkit.data.motion_sources import SOURCES, Recording, Source
from labkit.naming import did_you_mean


def windows(recording: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Cuts ``(channels, samples)`` into ``(n, channels, window)``, a window starting every `hop` samples.

    n = ⌊(samples − window) / hop⌋ + 1: what is left at the end is too short for a window and is dropped. The result is a read-only
    view: windows that overlap share their memory. Raises ValueError for a window longer than the recording and for samples that are
    not finite, because a network turns one NaN into a NaN for the whole window.

    >>> windows(np.array([[1, 2, 3, 4, 5, 6]]), window=3, hop=2).tolist()
    [[[1, 2, 3]], [[3, 4, 5]]]
    """
    recording = np.asarray(recording)
    if recording.ndim != 2:
        raise ValueError(f"the recording has shape {recording.shape}; give (channels, samples)")
    _check_sizes(window, hop)
    samples = recording.shape[1]
    if window > samples:
        raise ValueError(f"a window of {window} samples is longer than the recording ({samples}); choose at most {samples}")
    bad = np.flatnonzero(~np.isfinite(recording).all(axis=0))
    if len(bad):
        raise ValueError(
            f"{len(bad)} of {samples} samples are not finite, the first is number {bad[0]}; interpolate or cut them out"
        )
    every = np.lib.stride_tricks.sliding_window_view(recording, window, axis=1)  # (channels, samples - window + 1, window)
    return every[:, ::hop].swapaxes(0, 1)


def _check_sizes(window: int, hop: int) -> None:
    for name, value in (("window", window), ("hop", hop)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {value!r}; give a whole number of samples, 1 or more")


def load(
    name: str = "watch",
    *,
    window: int = 128,
    hop: int = 64,
    channels: str | Sequence[str] | None = None,
    classes: int | None = None,
) -> Dataset:
    """The windows of a data set, split by subject; x is float32 ``(windows, channels, window)``, in g (or m/s²) and rad/s.

    `name`: ``"watch"`` (real, comes with the installation), ``"hapt"`` or ``"wisdm"`` (real, downloaded once). `channels` picks
    by name, or by what the name begins with: ``"acc"``, ``"gyro"``, ``["acc_x", "gyro"]``. `classes` keeps only the first so many:
    6 of HAPT's 12 are the activities, the rest the transitions between them. A window never spans two recordings, and recordings
    of the right arm are mirrored onto the left (`on_left_arm`).

    Raises ValueError for an unknown name (naming the nearest), for a window that is longer than the recordings, for NaN samples.

    >>> load("watch", window=100, hop=100, channels="acc")
    Dataset watch: 2369 examples of shape (3, 100), 7 classes, 10 groups, 1355 train / 265 val / 749 test, 50 Hz
    """
    source = _source(name)
    _check_sizes(window, hop)
    picked = _pick_channels(source, channels)
    labels = _first_classes(source, classes)
    x, y, group = [], [], []
    for recording in recordings(name):
        if recording.label >= len(labels):
            continue
        if source.segments and recording.signal.shape[1] < window:
            continue  # a transition shorter than a window gives none: that is how the official windows were cut
        x.append(_windows_of(on_left_arm(recording), picked, window, hop))
        y += [recording.label] * len(x[-1])
        group += [recording.subject] * len(x[-1])
    missing = [label for i, label in enumerate(labels) if i not in set(y)]
    if missing:
        raise ValueError(f"no recording of {missing[0]!r} is as long as a window of {window} samples; choose a shorter window")
    group = np.array(group)
    x = np.concatenate(x).astype(np.float32)
    return Dataset(source.name, x, np.array(y), labels, group, source.split(group), source.rate_hz, source.card)


def recordings(name: str = "watch") -> list[Recording]:
    """The uncut recordings of a data set, in the order of the source. Raises ValueError for an unknown name.

    >>> first = recordings("watch")[0]
    >>> first.name, first.subject, first.signal.shape
    ('recording 0: subject 07, pendulum', '07', (6, 1333))
    """
    return _source(name).read()


def on_left_arm(recording: Recording) -> Recording:
    """A recording of the right arm as its mirror image, which looks like one of the left; any other recording as it is.

    A watch knows its arm (it is in the settings), so a network need not learn both. A mirror across the plane x = 0 turns a
    vector (ax, ay, az) into (−ax, ay, az), but a rotation (ωx, ωy, ωz) into (ωx, −ωy, −ωz): seen in a mirror, only turning about
    the axis that points into the mirror keeps its sense.

    >>> on_left_arm(Recording("r", np.ones((6, 1)), 0, "01", "right")).signal.T.tolist()
    [[-1.0, 1.0, 1.0, 1.0, -1.0, -1.0]]
    """
    if recording.side != "right":
        return recording
    signs = np.array([[-1], [1], [1], [1], [-1], [-1]], dtype=recording.signal.dtype)
    return dataclasses.replace(recording, signal=signs * recording.signal, side="left")


def folds(dataset: Dataset) -> Iterator[Dataset]:
    """Leave one subject out: the same windows once for every subject, who is `test`; the next subject in line is `val`.

    Every person is tested by a network that never saw them, and the spread over people shows what a single split hides.

    >>> from labkit.data.dataset import Card
    >>> card = Card("Toy", True, "CC0", "made up")
    >>> data = Dataset("toy", np.zeros((3, 1)), [0, 0, 0], ["a"], ["ann", "bob", "cy"], ["train"] * 3, 50, card)
    >>> [fold.split.tolist() for fold in folds(data)]
    [['test', 'val', 'train'], ['train', 'test', 'val'], ['val', 'train', 'test']]
    """
    subjects = np.unique(dataset.group)
    if len(subjects) < 3:
        raise ValueError(f"{dataset.name} has {len(subjects)} subjects; leaving one out needs 3 (to test, to validate, to train)")
    for i, subject in enumerate(subjects):
        split = np.full(len(dataset), "train")
        split[dataset.group == subject] = "test"
        split[dataset.group == subjects[(i + 1) % len(subjects)]] = "val"
        yield dataclasses.replace(dataset, split=split)


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise ValueError(f"unknown motion data set {name!r}; {did_you_mean(name, SOURCES)}")
    return SOURCES[name]


def _pick_channels(source: Source, channels: str | Sequence[str] | None) -> list[int]:
    if channels is None:
        return list(range(len(source.channels)))
    wishes = [channels] if isinstance(channels, str) else channels
    if not isinstance(wishes, Sequence) or not wishes:
        raise ValueError(f"channels is {channels!r}; give names, such as {source.channels[0]!r}, or None for all of them")
    picked = []
    for wanted in wishes:
        found = [i for i, channel in enumerate(source.channels) if channel == wanted or channel.startswith(f"{wanted}_")]
        if not found:
            raise ValueError(f"{source.name} has no channel {wanted!r}; {did_you_mean(wanted, source.channels)}")
        picked += [i for i in found if i not in picked]
    return picked


def _first_classes(source: Source, classes: int | None) -> tuple[str, ...]:
    if classes is None:
        return source.labels
    if not 2 <= classes <= len(source.labels):
        raise ValueError(f"classes is {classes}; {source.name} has {len(source.labels)}, give a number from 2 to that")
    return source.labels[:classes]


def _windows_of(recording: Recording, picked: list[int], window: int, hop: int) -> np.ndarray:
    try:
        return windows(recording.signal[picked], window, hop)
    except ValueError as error:
        raise ValueError(f"{recording.name}: {error}") from None
