"""The synthetic voices: who speaks in which split, the same clips every time, and what happens when generation breaks off."""

import collections
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from labkit.data import acoustics, speech, synthesis

needs_espeak = pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the synthesiser is not installed")


@pytest.mark.parametrize("speakers", [40, 48, 240])
def test_splits_share_neither_speakers_nor_variants(speakers):
    people = [synthesis.speaker(n) for n in range(speakers)]
    variants = {split: {p.variant for p in people if p.split == split} for split in ("train", "val", "test")}
    assert not (variants["train"] & variants["val"] or variants["train"] & variants["test"] or variants["val"] & variants["test"])
    share = collections.Counter(p.split for p in people)
    assert min(share.values()) >= synthesis.CHUNK
    if speakers == 240:
        assert share == {"train": 168, "test": 48, "val": 24}


@pytest.mark.parametrize("kind", acoustics.NOISES)
def test_noise_has_the_level_and_colour_it_says(kind):
    sound = acoustics.noise(kind, np.random.default_rng(0))
    assert sound.shape == (16000,) and np.sqrt(np.mean(sound**2)) == pytest.approx(1, abs=1e-6)
    power = np.abs(np.fft.rfft(sound)) ** 2
    octaves = np.log2([power[200:400].mean(), power[400:800].mean(), power[3200:6400].mean()])
    falls = {"white": 0, "pink": 1, "brown": 2}
    if kind in falls:
        assert octaves[1] - octaves[2] == pytest.approx(3 * falls[kind], abs=0.5)  # 400 to 3200: three octaves


def test_recordings_stay_in_range():
    rng = np.random.default_rng(0)
    for seconds in (0.05, 0.6, 1.5):  # also a word that is longer than the clip
        clip = acoustics.record(rng.standard_normal(int(22050 * seconds)), 22050, 1.0, rng)
        assert clip.shape == (16000,) and clip.dtype == np.int16 and np.abs(clip.astype(float)).max() > 50


@needs_espeak
def test_generation_is_cached_resumed_and_the_same_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    monkeypatch.setattr(synthesis, "CHUNK", 2)  # small files, to be quick
    first = speech.load("synthetic", speakers=4, progress=False)
    assert "SYNTHETIC" in repr(first) and len(first) == 4 * synthesis.CLIPS_PER_SPEAKER
    assert first.counts()["yes"] == 16 and first.counts()["unknown"] == 32 and first.counts()["silence"] == 16
    second_chunk = synthesis.chunk_file(1).stat().st_mtime_ns
    synthesis.chunk_file(0).unlink()  # as if the first run had been interrupted there
    again = speech.load("synthetic", speakers=4, progress=False)
    np.testing.assert_array_equal(again.x.items, first.x.items)
    assert synthesis.chunk_file(1).stat().st_mtime_ns == second_chunk  # kept, not made again
    few = speech.load("synthetic", speakers=2, progress=False)
    np.testing.assert_array_equal(few.x.items, first.x.items[: len(few)])  # few speakers are the beginning of many
    words = first.only(first.y >= 2).x[:]
    assert (words.std(axis=1) > 1e-3).all() and len(np.unique(words, axis=0)) == len(words)
    assert [file.suffix for file in synthesis.chunk_file(0).parent.iterdir()] == [".npz"] * 2
    for damaged in (b"half a file", synthesis.chunk_file(0).read_bytes()[:1000]):
        synthesis.chunk_file(0).write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            speech.load("synthetic", speakers=2, progress=False)


@needs_espeak
def test_every_voice_exists():
    """In a process of its own, as in use: an unknown variant would be taken for none without a word."""
    script = """
from labkit.data.espeak import Espeak
from labkit.data.synthesis import ACCENTS, VARIANTS
espeak = Espeak(1)
for voice in [f"{accent}+{VARIANTS[0]}" for accent in ACCENTS] + [f"en-us+{variant}" for variant in VARIANTS]:
    assert len(espeak.say("yes", voice, 150, 50, 50)) > 2000, voice
for voice in ("en-us+nope", "klingonish"):
    try:
        espeak.say("yes", voice, 150, 50, 50)
    except ValueError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["espeak-ng has no voice 'en-us+nope'", "espeak-ng has no voice 'klingonish'"], done.stderr


def test_one_sentence_without_the_synthesiser(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'run: pip install "labkit\[synthetic\]"'):
        speech.load("synthetic", progress=False)


def test_read_only_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"cannot write .*; free space, or point LABKIT_DATA"):
        speech.load("synthetic", speakers=8, progress=False)


@needs_espeak
def test_a_failing_synthesiser_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    monkeypatch.setattr(synthesis, "ACCENTS", ("no-such-voice",))
    with pytest.raises(ValueError, match=r"the synthesiser stopped \(.*no-such-voice"):
        speech.load("synthetic", speakers=8, progress=False)
    assert list(synthesis.chunk_file(0).parent.iterdir()) == []


@pytest.mark.parametrize("speakers", [0, 7, -8, 12])
def test_speakers_come_in_chunks(speakers):
    with pytest.raises(ValueError, match="multiple of 8"):
        speech.load("synthetic", speakers=speakers)
