"""Real clips in the layouts of the official archives, and recordings as people make them."""

import dataclasses
import hashlib
import tarfile
import warnings

import numpy as np
import pytest
import soundfile

from labkit.data import download, speech
from labkit.data.clips import read_clip
from labkit.data.recordings import split_speakers
from tests import shared_speech

TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)


def write(path, audio=TONE, rate_hz=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate_hz)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    shared_speech.provide(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_DATA", str(folder))
        return speech.load("mini", progress=False)


def test_mini_splits_every_clip_as_published_here(mini):
    by_path = {row["source_path"].split(".")[0]: row for row in shared_speech.index()}
    assert len(mini) == len(by_path) > 4000
    for file, y, group, split in zip(mini.x.items, mini.y, mini.group, mini.split, strict=True):
        row = by_path["/".join(file.replace("\\", "/").split("/")[-2:]).split(".")[0]]
        assert (speech.LABELS[y], split) == (row["label"], row["split"])
        assert group == row["speaker"] or (not row["speaker"] and group.startswith("silence/"))


def test_mini_clips_are_the_archive_s_own_samples(mini):
    clips = mini.only(np.arange(0, len(mini), 401)).x[:]
    assert clips.shape[1:] == (16000,) and clips.dtype == np.float32
    pcm = clips * 32768
    np.testing.assert_array_equal(pcm, np.round(pcm))  # exactly 16-bit numbers: read, never resampled or scaled
    assert "mini" in repr(mini) and "SYNTHETIC" not in repr(mini)


@pytest.fixture
def full(cache):
    """A small Speech Commands v0.02: 60 speakers say three words each, and two noises."""
    folder = cache / "speech_commands_v0.02"
    for i in range(60):
        speaker = f"{i * 7919:08x}"
        for word in ("yes", "no", "cat"):
            write(folder / word / f"{speaker}_nohash_0.wav")
    for noise in ("running_tap", "dude_miaowing", "pink_noise"):
        write(folder / "_background_noise_" / f"{noise}.wav", np.random.default_rng(1).uniform(-1, 1, 80000))
    return speech.load("full", progress=False)


def test_full_keeps_the_official_split(full):
    for group, split, y in zip(full.group, full.split, full.y, strict=True):
        if speech.LABELS[y] != "silence":
            percent = speech.speaker_percent(group)
            assert split == ("val" if percent < 10 else "test" if percent < 20 else "train")
    counts = full.counts()
    assert counts["yes"] == counts["no"] == 60
    assert 0 < counts["unknown"] <= 12 and counts["silence"] == counts["unknown"]  # a tenth of the keywords


def test_silence_of_one_recording_stays_in_one_split(full):
    silence = full.only(full.y == speech.LABELS.index("silence"))
    where = {group: set(silence.split[silence.group == group]) for group in silence.group}
    assert where["noise/pink_noise"] == {"train"} and all(len(splits) == 1 for splits in where.values())
    assert silence.x[:].std(axis=1).max() > 0.05 and len(np.unique(silence.x[:], axis=0)) == len(silence)


@pytest.mark.parametrize(
    ("speaker", "split"), [("0c540988", "test"), ("c518d1b1", "test"), ("00000000", None)]
)
def test_official_hash(speaker, split):
    """The reference code (tensorflow, input_data.which_set) by hand."""
    hashed = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (2**27)
    assert speech.speaker_percent(speaker) == pytest.approx(100 * hashed / (2**27 - 1))
    if split:  # both are in the official test archive
        assert speech.official_split(speaker) == split


def test_recordings_of_every_kind(tmp_path):
    write(tmp_path / "yes" / "ann_1.wav")
    write(tmp_path / "yes" / "bob_1.flac", np.stack([TONE, TONE], 1))
    write(tmp_path / "no" / "ann_2.wav", np.repeat(TONE, 3), 48000)
    write(tmp_path / "no" / "cy_1.ogg", TONE[:8000])
    write(tmp_path / "silence" / "room.wav", np.zeros(40000))
    (tmp_path / "no" / "notes.txt").write_text("not audio")
    data = speech.load("folder", folder=tmp_path)
    assert data.labels == speech.LABELS and data.counts()["yes"] == 2 and data.x[:].shape == (5, 16000)
    assert set(data.group) == {"ann", "bob", "cy", "silence/room.wav"} and len(data.part("test")) >= 1
    assert (data.x[:][[f.endswith("cy_1.ogg") for f in data.x.items], 8200:] == 0).all()
    write(tmp_path / "hello" / "ann_3.wav")
    assert speech.load("folder", folder=tmp_path).labels == ("hello", "no", "silence", "yes")


def test_bad_recordings_are_named(tmp_path):
    write(tmp_path / "yes" / "ann_1.wav")
    write(tmp_path / "yes" / "empty.wav", np.zeros(0))
    write(tmp_path / "yes" / "loud.wav", np.clip(10 * TONE, -1, 1))
    (tmp_path / "yes" / "broken.wav").write_bytes(b"RIFF....")
    soundfile.write(tmp_path / "yes" / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = speech.load("folder", folder=tmp_path)
    said = sorted(str(w.message).removeprefix(str(tmp_path)) for w in caught)
    assert [text.split(":")[0].split(" and ")[0].split(";")[0][5:] for text in said] == [
        "broken.wav cannot be read as audio", "empty.wav is empty", "loud.wav is clipped", "nan.wav holds NaN or infinity",
    ]  # fmt: skip
    assert len(data) == 2  # the good one and the clipped one


@pytest.mark.filterwarnings("ignore:.*empty")
def test_nothing_usable(tmp_path):
    write(tmp_path / "yes" / "empty.wav", np.zeros(0))
    with pytest.raises(ValueError, match="no usable recordings"):
        speech.load("folder", folder=tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        speech.load("folder", folder=tmp_path / "absent")
    with pytest.raises(ValueError, match="say where your recordings are"):
        speech.load("folder")


def test_many_speakers_fill_every_split():
    splits = list(split_speakers({f"speaker{i}" for i in range(40)}).values())
    assert [splits.count(s) for s in ("test", "val", "train")] == [8, 4, 28]
    assert set(split_speakers({"a", "b", "c"}).values()) == {"train", "val", "test"}


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown speech data set 'synthetik'; did you mean synthetic"):
        speech.load("synthetik")


def test_no_network_names_the_offline_set(cache, monkeypatch):
    card = dataclasses.replace(speech.MINI_CARD, source="http://127.0.0.1:9/speech_commands_test_set_v0.02.tar.gz")
    monkeypatch.setattr(speech, "MINI_CARD", card)
    with pytest.raises(ValueError, match=r'no connection\).*by hand, or use load\("synthetic"\), which needs no network'):
        speech.load("mini", progress=False)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_an_archive_put_there_by_hand_is_used(cache, monkeypatch, tmp_path):
    write(tmp_path / "in" / "yes" / "c518d1b1_nohash_0.wav")
    cache.mkdir()
    archive = cache / "speech_commands_test_set_v0.02.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "in", arcname=".")
    sha256 = download.pooch.file_hash(str(archive))
    monkeypatch.setattr(speech, "MINI_CARD", dataclasses.replace(speech.MINI_CARD, checksum=f"sha256:{sha256}"))
    assert speech.load("mini", progress=False).counts()["yes"] == 1


def test_float_recordings_stay_within_full_scale_and_must_be_numbers(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.full(16000, 3.0), 16000, subtype="FLOAT")
    assert read_clip(tmp_path / "loud.wav").max() == 1.0
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match="not numbers"):
        read_clip(tmp_path / "nan.wav")
