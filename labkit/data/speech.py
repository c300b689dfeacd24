"""Keyword spotting with twelve classes: ten words, every other word, and silence (Warden 2018, arXiv:1804.03209).

Four sources, one form: one-second clips at 16 kHz, split by speaker.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from labkit.data import download
from labkit.data.clips import RATE_HZ, SAMPLES, Clips, read_clip
from labkit.data.dataset import Card, Dataset
from labkit.naming import did_you_mean

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
LABELS = ("silence", "unknown", *KEYWORDS)
SUFFIXES = (".wav", ".flac")
OFFLINE = 'load("synthetic")'

WARDEN = "P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209, 2018"
MINI_CARD = Card(
    title="Speech Commands v0.02, official test archive, split again by speaker",
    synthetic=False,
    licence="CC BY 4.0",
    source="http://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
    checksum="sha256:cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
    cite=WARDEN,
    caveats=(
        "A tenth of the official training data: accuracies here are not comparable with published ones.",
        "112,563,277 bytes to download.",
    ),
)
FULL_CARD = Card(
    title="Speech Commands v0.02, official split, twelve classes",
    synthetic=False,
    licence="CC BY 4.0",
    source="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    checksum="sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    cite=WARDEN,
    caveats=(
        "2,428,923,189 bytes to download.",
        "Unknown words and silence of the test part are drawn here; the official test archive holds another draw.",
    ),
)

SYNTHETIC_CARD = Card(
    title="Synthetic keywords",
    synthetic=True,
    licence="generated on this machine; the synthesiser espeak-ng is GPL-3.0-or-later and not part of labkit",
    source="labkit/data/synthesis.py, with espeak-ng through the package espeakng-loader",
    caveats=(
        "Nobody spoke these words: a speaker is a setting of one formant synthesiser; rooms and noises are drawn at random.",
        "A network that knows only these voices does far worse on real ones; test it on real recordings.",
    ),
)


def load(name: str = "synthetic", *, speakers: int = 240, folder: str | Path | None = None, progress: bool = True) -> Dataset:
    """One-second clips, float32 ``(n, 16000)`` in [-1, 1] when indexed, with speakers disjoint between the splits.

    `name`: ``"synthetic"`` (spoken by a synthesiser on this machine; `speakers` says how many voices), ``"mini"`` (4,890 real
    clips, 112 MB to download), ``"full"`` (Speech Commands v0.02, 2.4 GB to download), ``"folder"`` (your own recordings:
    `folder` holds one folder for each label).

    Raises ValueError with one sentence for an unknown name, no network, a full disk, or recordings that cannot be used.
    """
    loaders: dict[str, Callable[[], Dataset]] = {
        "synthetic": lambda: load_synthetic(speakers, progress),
        "mini": lambda: load_mini(progress),
        "full": lambda: load_full(progress),
        "folder": lambda: load_folder(folder),
    }
    if name not in loaders:
        raise ValueError(f"unknown speech data set {name!r}; {did_you_mean(name, loaders)}")
    return loaders[name]()


def speaker_percent(speaker: str) -> float:
    """The place from 0 to 100 that the data set's own hash gives a speaker (Warden 2018, §6): it decides the split for ever.

    >>> round(speaker_percent("0c540988"), 3)
    17.822
    """
    hashed = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (1 << 27)
    return hashed * 100 / ((1 << 27) - 1)


def official_split(speaker: str) -> str:
    """Validation takes the first tenth of the hash, testing the second."""
    percent = speaker_percent(speaker)
    return "val" if percent < 10 else "test" if percent < 20 else "train"


def mini_split(percent: float) -> str:
    """Of the test archive, 12 % val, 22 % test, the rest train; `percent` is the place inside it.

    >>> mini_split(11.9), mini_split(12), mini_split(34)
    ('val', 'test', 'train')
    """
    return "val" if percent < 12 else "test" if percent < 34 else "train"


def load_mini(progress: bool = True) -> Dataset:
    """The official test archive. All its speakers lie between 10 and 20 on the official hash, so that tenth is stretched."""
    files = _audio_files(_unpacked(MINI_CARD, progress))
    labels, groups, splits = [], [], []
    for file in files:
        label = file.parent.name.strip("_")
        if label == "silence":  # nobody speaks: the place of the clip's own path counts
            stem = file.name.split(".")[0]
            group, percent = f"silence/{stem}", speaker_percent(f"_silence_/{stem}.wav")
        else:
            group = speaker_of(file)
            percent = (speaker_percent(group) - 10) * 10
        labels.append(label)
        groups.append(group)
        splits.append(mini_split(percent))
    return _dataset("mini", Clips.from_files(files), labels, groups, splits, MINI_CARD)


def speaker_of(file: Path) -> str:
    """The speaker's id in a Speech Commands file name.

    >>> speaker_of(Path("backward_0c540988_nohash_0.wav.wav")), speaker_of(Path("c518d1b1_nohash_0.wav"))
    ('0c540988', 'c518d1b1')
    """
    found = re.search(r"([0-9a-f]+)_nohash_", file.name)
    if not found:
        raise ValueError(f"{file} is not named like a Speech Commands clip; delete its folder to unpack it again")
    return found[1]


def _unpacked(card: Card, progress: bool) -> Path:
    """The folder of a set's archive, downloaded and unpacked when it is not there yet."""
    folder = download.cache() / Path(card.source).name.removesuffix(".tar.gz")
    if not folder.is_dir():
        archive = download.fetch(card.source, card.checksum.removeprefix("sha256:"), offline=OFFLINE, progress=progress)
        download.unpack(archive, folder, progress=progress)
    return folder


def _audio_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.glob("*/*") if file.suffix in SUFFIXES)
    if not files:
        raise ValueError(f"{folder} holds no clips; delete it to unpack it again")
    return files


def _dataset(name: str, x: Clips, labels: Sequence[str], groups: Sequence[str], splits: Sequence[str], card: Card) -> Dataset:
    y = np.array([LABELS.index(label) for label in labels])
    return Dataset(name, x, y, LABELS, np.array(groups), np.array(splits), RATE_HZ, card)


class Piece(NamedTuple):
    """One second of a long recording, beginning at sample `start`, its loudness multiplied by `gain`."""

    file: str
    start: int
    gain: float


# Silence is cut from six recordings of background noise; each whole recording belongs to one split.
NOISE_SPLITS = {"running_tap": "val", "dude_miaowing": "test"}  # the other four: train


def load_full(progress: bool = True) -> Dataset:
    """Speech Commands v0.02 with its official split. As in the reference recipe (Warden 2018, §7) unknown words and silences
    are drawn to be a tenth of the keywords each, about as many as one keyword has."""
    folder = _unpacked(FULL_CARD, progress)
    files = _audio_files(folder)
    words = [file for file in files if not file.parent.name.startswith("_")]
    rows = [(str(file), file.parent.name, speaker_of(file), official_split(speaker_of(file))) for file in words]
    keyword_rows = [row for row in rows if row[1] in KEYWORDS]
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        count = sum(row[3] == split for row in keyword_rows) // len(KEYWORDS)
        others = [(file, "unknown", speaker, s) for file, word, speaker, s in rows if word not in KEYWORDS and s == split]
        keyword_rows += [others[i] for i in sorted(rng.permutation(len(others))[:count])]
        noises = [f for f in files if f.parent.name == "_background_noise_" and NOISE_SPLITS.get(f.stem, "train") == split]
        for i in range(count if noises else 0):
            noise = noises[i % len(noises)]
            start = int(rng.integers(soundfile.info(noise).frames - SAMPLES))
            keyword_rows.append((Piece(str(noise), start, float(rng.uniform())), "silence", f"noise/{noise.stem}", split))
    items, labels, groups, splits = zip(*keyword_rows, strict=True)
    return _dataset("full", Clips(_objects(items), _read, SAMPLES), labels, groups, splits, FULL_CARD)


def _objects(items: Sequence) -> np.ndarray:
    """An array of objects; np.array would take the pieces apart."""
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def _read(item: str | Piece) -> np.ndarray:
    if isinstance(item, Piece):
        return item.gain * soundfile.read(item.file, frames=SAMPLES, start=item.start, dtype="float32")[0]
    return read_clip(item)


def load_folder(folder: str | Path | None) -> Dataset:
    """Your own recordings: ``folder/<label>/<speaker>_anything.wav``; see `labkit.data.recordings`."""
    from labkit.data import recordings

    if folder is None:
        raise ValueError('say where your recordings are: load("folder", folder="recordings"), with a folder inside for each label')
    return recordings.load(Path(folder), LABELS)


def load_synthetic(speakers: int, progress: bool = True) -> Dataset:
    """Twelve classes spoken by espeak-ng; see `labkit.data.synthesis`."""
    from labkit.data import synthesis

    pcm, y, numbers = synthesis.clips(speakers, progress)
    people = {number: synthesis.speaker(number) for number in np.unique(numbers).tolist()}
    groups = np.array([f"{number:04d} {people[number].voice}" for number in numbers.tolist()])
    splits = np.array([people[number].split for number in numbers.tolist()])
    return Dataset("synthetic", Clips.from_pcm(pcm), y, LABELS, groups, splits, RATE_HZ, SYNTHETIC_CARD)
