"""Keywords spoken by a machine: the offline data set. SYNTHETIC: what a network learns here holds for real voices only in part.

espeak-ng speaks (a formant synthesiser, GPL-3.0-or-later, reached through the optional package espeakng-loader); numpy makes
the microphone, the room and the noise. espeak-ng runs in a process of its own, for two reasons: its licence, and that it keeps
hidden state, so that the same words sound slightly different the second time. A fresh process for each `CHUNK` speakers, seeded
once, speaks the same clips every time on one platform. Each chunk is a file in the cache: an interrupted generation goes on
where it stopped, and few speakers are the beginning of many.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE

import numpy as np
from tqdm.auto import tqdm

from labkit.data import download

VERSION = 1  # of the recipe: raise it when a clip would sound different
SEED = 0
CHUNK = 8  # speakers for one process
CLIPS_PER_SPEAKER = 52  # 10 keywords × 4, 8 unknown words, 4 silences
WORKERS = 2
# Chunk i of 10 belongs to one split, so that five chunks (40 speakers) hold all three: 70 % train, 10 % val, 20 % test.
PATTERN = ("train", "test", "train", "val", "train", "train", "test", "train", "train", "train")

ACCENTS = ("en-us", "en-us-nyc", "gmw/en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
VARIANTS = (  # noqa: SIM905
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 adam Alex Alicia Andrea Andy Annie antonio aunty belinda benjamin boris caleb david "
    "ed edward edward2 Gene Gene2 grandma grandpa gustave ian iven iven2 iven3 iven4 Jacky john kaukovalta klatt klatt2 klatt3 "
    "klatt4 klatt5 klatt6 Lee linda Marco Mario max Michael michel miguel Mike mike2 norbert pablo paul pedro quincy Reed rob "
    "robert sandro shelby steph steph2 steph3 travis victor zac Denis Diogo Henrique Hugo marcelo anika"
).split()


@dataclass(frozen=True)
class Speaker:
    """A setting of the synthesiser: a voice variant, an accent, and how this person uses them."""

    number: int
    split: str
    variant: str
    accent: str
    pitch: float  # espeak-ng's scales: pitch and its range 0–99
    pitch_range: float
    words_per_minute: float
    tract: float  # length of the vocal tract, relative: scales all formants

    @property
    def voice(self) -> str:
        """How espeak-ng names it.

        >>> speaker(0).voice.count("+")
        1
        """
        return f"{self.accent}+{self.variant}"


def speaker(number: int) -> Speaker:
    """The same person for the same number, however many are asked for. Variants are not shared between splits.

    >>> [speaker(n).split for n in (0, 7, 8, 24)]
    ['train', 'train', 'test', 'val']
    """
    split = PATTERN[number // CHUNK % len(PATTERN)]
    rng = np.random.default_rng([SEED, VERSION, number])
    return Speaker(
        number,
        split,
        variant=str(rng.choice(variants_of(split))),
        accent=str(rng.choice(ACCENTS)),
        pitch=float(rng.uniform(25, 75)),
        pitch_range=float(rng.uniform(20, 80)),
        words_per_minute=float(rng.uniform(85, 175)),
        tract=float(rng.uniform(0.84, 1.2)),
    )


def variants_of(split: str) -> list[str]:
    """The voice variants of a split: shuffled once, then a tenth for val, a fifth for test."""
    shuffled = np.random.default_rng(SEED).permutation(sorted(VARIANTS)).tolist()
    val, test = len(shuffled) // 10, len(shuffled) // 5
    return {"val": shuffled[:val], "test": shuffled[val : val + test], "train": shuffled[val + test :]}[split]


def clips(speakers: int, progress: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int16 audio ``(n, 16000)``, class numbers ``(n,)`` and speaker numbers ``(n,)`` of the first `speakers` speakers.

    What is missing in the cache is generated. Raises ValueError when `speakers` is not a positive multiple of `CHUNK`, the
    synthesiser is not installed, or the cache cannot be written.
    """
    if speakers < CHUNK or speakers % CHUNK:
        raise ValueError(f"speakers is {speakers}; give a multiple of {CHUNK}, such as 48 or 240")
    chunks = range(speakers // CHUNK)
    _generate([chunk for chunk in chunks if not chunk_file(chunk).exists()], progress)
    parts = [_read_chunk(chunk) for chunk in chunks]
    audio, y, who = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return audio, y, who


def chunk_file(chunk: int) -> Path:
    return download.cache() / f"synthetic_keywords_v{VERSION}" / f"speakers_{chunk * CHUNK:04d}.npz"


def _read_chunk(chunk: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        with np.load(chunk_file(chunk), allow_pickle=False) as stored:
            return stored["audio"], stored["y"], stored["speaker"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{chunk_file(chunk)} is damaged ({type(error).__name__}); delete it to have it generated again") from None


def _generate(chunks: list[int], progress: bool) -> None:
    if not chunks:
        return
    if importlib.util.find_spec("espeakng_loader") is None:
        raise ValueError('the synthetic voices need espeak-ng; run: pip install "labkit[synthetic]"')
    probe = chunk_file(0).with_name(f"probe{os.getpid()}")
    with download.storing(probe):  # a read-only folder is noticed before a minute's work
        probe.touch()
        probe.unlink()
    total = len(chunks) * CHUNK * CLIPS_PER_SPEAKER
    bar = tqdm(total=total, desc="speaking synthetic keywords (once)", unit=" clips", disable=not progress)
    with bar, ThreadPoolExecutor(WORKERS) as pool:
        try:
            list(pool.map(lambda chunk: _generate_chunk(chunk, bar), chunks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _generate_chunk(chunk: int, bar: tqdm) -> None:
    """Runs `synthesis_process` for one chunk; its file appears whole or not at all."""
    path = chunk_file(chunk)
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    job = {
        "path": str(part),
        "seed": [SEED, VERSION, chunk],
        "speakers": [asdict(speaker(n)) for n in range(chunk * CHUNK, (chunk + 1) * CHUNK)],
    }
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "labkit.data.synthesis_process"]
    try:
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=environment) as process:
            process.stdin.write(json.dumps(job))
            process.stdin.close()
            for line in process.stdout:
                bar.update(int(line))
            reason = (process.stderr.read().strip().splitlines() or ["no message"])[-1]
        if process.returncode:
            raise ValueError(f"the synthesiser stopped ({reason}); free space, or reinstall it: pip install espeakng-loader")
        with download.storing(path):
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
