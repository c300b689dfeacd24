"""The process that speaks one chunk of speakers: a job (JSON) on standard input, an .npz file as the result.

Run by `labkit.data.synthesis`; the only place where espeak-ng is loaded.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from labkit.data import acoustics
from labkit.data.espeak import Espeak
from labkit.data.speech import KEYWORDS, LABELS
from labkit.data.synthesis import Speaker

UNKNOWN_WORDS = (  # noqa: SIM905 — the other words of Speech Commands v0.02
    "backward bed bird cat dog eight five follow forward four happy house learn marvin nine one seven sheila six three tree two "
    "visual wow zero"
).split()
KEYWORD_TAKES, UNKNOWN_TAKES, SILENCES = 4, 8, 4


def speak(espeak: Espeak, who: Speaker, seed: list[int]) -> tuple[list[np.ndarray], list[int]]:
    """All clips of one speaker and their class numbers. Each take has its own rate, pitch and room."""
    rng = np.random.default_rng([*seed, who.number])
    words = [(word, word) for word in KEYWORDS for _ in range(KEYWORD_TAKES)]
    words += [(str(word), "unknown") for word in rng.choice(UNKNOWN_WORDS, UNKNOWN_TAKES, replace=False)]
    clips, y = [], []
    for word, label in words:
        voice = espeak.say(
            word,
            who.voice,
            words_per_minute=who.words_per_minute * rng.uniform(0.85, 1.18),
            pitch=float(np.clip(who.pitch + rng.normal(0, 6), 0, 99)),
            pitch_range=float(np.clip(who.pitch_range + rng.normal(0, 8), 0, 99)),
        )
        clips.append(acoustics.record(voice, espeak.rate_hz, who.tract * rng.uniform(0.97, 1.03), rng))
        y.append(LABELS.index(label))
    for _ in range(SILENCES):
        clips.append(acoustics.silence(rng))
        y.append(LABELS.index("silence"))
    return clips, y


def main() -> None:
    job = json.load(sys.stdin)
    espeak = Espeak(seed=1 + job["seed"][-1])
    audio, y, numbers = [], [], []
    for who in (Speaker(**fields) for fields in job["speakers"]):
        spoken, classes = speak(espeak, who, job["seed"])
        audio += spoken
        y += classes
        numbers += [who.number] * len(spoken)
        print(len(spoken), flush=True)  # progress, read by `labkit.data.synthesis`
    with open(job["path"], "wb") as file:
        np.savez(file, audio=np.stack(audio), y=np.array(y, np.int64), speaker=np.array(numbers, np.int64))


if __name__ == "__main__":
    main()
