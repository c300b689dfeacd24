"""Your own recordings, as a telephone or a laptop leaves them: ``folder/<label>/<speaker>_anything.wav``."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import soundfile

from labkit.data.clips import RATE_HZ, Clips
from labkit.data.dataset import Card, Dataset

SUFFIXES = (".wav", ".flac", ".ogg")
CLIPPED_SHARE = 0.001  # of the samples at the limit: 16 of a second; a clean peak touches it once or twice
CARD = Card(
    title="Own recordings",
    synthetic=False,
    licence="yours; ask everyone who speaks before you share them",
    source="a folder on this machine",
    caveats=("A few speakers say little about all others: look at each one's accuracy.",),
)


def load(folder: Path, known_labels: tuple[str, ...]) -> Dataset:
    """Reads ``<label>/*.wav`` (flac, ogg); what comes before the first "_" of a file name is the speaker, without "_" the file
    is its own speaker. Labels are `known_labels` when every folder is one of them, else the folders' names.

    Speakers are put in an order by a hash: the first fifth is test, the next tenth val, the rest train; one lone speaker is test.
    A file that cannot be used is left out with a warning. Raises ValueError when none remains.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; make it, with one folder inside for each label")
    found = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in SUFFIXES)
    files = [file for file in found if _usable(file)]
    if not files:
        raise ValueError(f"{folder} holds no usable recordings; put them into {folder}/<label>/<speaker>_<anything>.wav")
    names = [file.parent.name.strip("_") for file in files]
    labels = known_labels if set(names) <= set(known_labels) else tuple(sorted(set(names)))
    speakers = [file.name.split("_")[0] if "_" in file.stem else f"{file.parent.name}/{file.name}" for file in files]
    splits = split_speakers(set(speakers))
    y = np.array([labels.index(name) for name in names])
    split = np.array([splits[speaker] for speaker in speakers])
    return Dataset(f"folder {folder.name}", Clips.from_files(files), y, labels, np.array(speakers), split, RATE_HZ, CARD)


def split_speakers(speakers: set[str]) -> dict[str, str]:
    """A split for each speaker, the same on every machine.

    >>> sorted(split_speakers({"ann", "bob", "cy"}).values()), split_speakers({"ann"})
    (['test', 'train', 'val'], {'ann': 'test'})
    """
    ordered = sorted(speakers, key=lambda speaker: hashlib.sha1(speaker.encode()).hexdigest())
    test = -(-len(ordered) // 5)  # rounded up
    val = test + -(-len(ordered) // 10) if len(ordered) > 2 else test
    return {speaker: "test" if i < test else "val" if i < val else "train" for i, speaker in enumerate(ordered)}


def _usable(file: Path) -> bool:
    """Warns about a recording that is empty, damaged or clipped; a clipped one is used all the same."""
    try:
        audio, _ = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError):
        problem = "cannot be read as audio and is left out; record it again as WAV, FLAC or OGG"
    else:
        if len(audio) and np.isfinite(audio).all():
            if np.mean(np.abs(audio) >= 0.9999) > CLIPPED_SHARE:
                warnings.warn(f"{file} is clipped: record it again, further from the microphone or with less gain", stacklevel=4)
            return True
        problem = "is empty and is left out; record it again" if not len(audio) else "holds NaN or infinity and is left out"
    warnings.warn(f"{file} {problem}", stacklevel=4)
    return False
