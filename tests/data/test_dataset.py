"""The one return type: what it refuses, and that picking keeps examples, labels and people together."""

import dataclasses

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from labkit.data.clips import Clips, fit_length, read_clip
from labkit.data.dataset import Card, Dataset

CARD = Card("Toy", synthetic=False, licence="CC0", source="made up")


def toy(**changes) -> Dataset:
    fields = {
        "name": "toy",
        "x": np.arange(12.0).reshape(4, 3),
        "y": [0, 1, 1, 0],
        "labels": ["a", "b"],
        "group": ["ann", "bob", "bob", "cid"],
        "split": ["train", "test", "test", "val"],
        "rate_hz": 50.0,
        "card": CARD,
    }
    return Dataset(**(fields | changes))


def test_fields_are_brought_to_their_types():
    data = toy()
    assert data.y.dtype == np.int64 and data.labels == ("a", "b") and data.group.dtype.kind == "U"
    assert "SYNTHETIC" not in repr(data) and "\n" not in repr(data)
    assert "SYNTHETIC" in repr(toy(card=dataclasses.replace(CARD, synthetic=True)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": [0, 1, 1]}, "y has shape"),
        ({"y": [0, 1, 1, 2]}, "2 labels are named"),
        ({"y": [0, 1, 1, -1]}, "2 labels are named"),
        ({"group": ["ann"]}, "group has shape"),
        ({"split": ["train", "test", "test", "valid"]}, "did you mean val"),
        ({"split": ["train", "train", "test", "val"]}, "'bob' is in test and train"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        toy(**change)


def test_part_keeps_rows_together():
    part = toy().part("test")
    assert part.x.tolist() == [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]] and part.group.tolist() == ["bob", "bob"]
    assert part.counts() == {"a": 0, "b": 2} and len(toy().part("val")) == 1
    with pytest.raises(ValueError, match="did you mean train"):
        toy().part("trian")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["train", "val", "test"])), min_size=1, max_size=30))
def test_a_dataset_exists_exactly_when_no_group_is_shared(rows):
    group, split = zip(*rows, strict=True)
    shared = any(len({s for g, s in rows if g == one}) > 1 for one in group)
    build = lambda: toy(x=np.zeros((len(rows), 1)), y=np.zeros(len(rows)), group=group, split=split)  # noqa: E731
    if shared:
        with pytest.raises(ValueError, match="one split"):
            build()
    else:
        assert sum(len(build().part(s)) for s in ("train", "val", "test")) == len(rows)


def test_clips_index_like_an_array(tmp_path):
    pcm = np.random.default_rng(0).integers(-32768, 32767, (6, 400), dtype=np.int16)
    files = [tmp_path / f"{i}.wav" for i in range(6)]
    for file, clip in zip(files, pcm, strict=True):
        soundfile.write(file, clip, 16000, subtype="PCM_16")
    array = pcm.astype(np.float32) / 32768
    for clips in (Clips.from_files(files, samples=400), Clips.from_pcm(pcm)):
        assert clips.shape == array.shape and clips[2].dtype == np.float32
        for index in (2, -1, slice(1, 4), [5, 0], np.array([3, 3]), array[:, 0] > 0, []):
            np.testing.assert_array_equal(clips[index], array[index])
        np.testing.assert_array_equal(np.asarray(clips.only(slice(2, None)).only([1])), array[[3]])
        assert len(list(clips)) == 6
        with pytest.raises(IndexError):
            clips[6]


def test_a_dataset_of_clips_stays_on_disk(tmp_path):
    data = toy(x=Clips.from_files([tmp_path / f"absent{i}.wav" for i in range(4)]))
    assert len(data.part("test").x) == 2  # nothing was read, or it would have failed
    with pytest.raises(ValueError, match=r"absent1\.wav cannot be read"):
        data.part("test").x[0]


def test_stereo_44_khz_becomes_mono_16_khz(tmp_path):
    t = np.arange(44100) / 44100
    soundfile.write(tmp_path / "a.wav", np.stack([np.sin(2 * np.pi * 440 * t), np.zeros_like(t)], 1), 44100)
    clip = read_clip(tmp_path / "a.wav")
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert clip.shape == (16000,) and clip.dtype == np.float32
    np.testing.assert_allclose(clip[500:-500], expected[500:-500], atol=2e-3)


def test_empty_and_corrupt_files_are_named(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    (tmp_path / "noise.wav").write_bytes(b"not audio")
    unreadable = "cannot be read as audio"
    for name, message in (("empty.wav", "is empty"), ("noise.wav", unreadable), ("absent.wav", unreadable)):
        with pytest.raises(ValueError, match=f"{name} {message}"):
            read_clip(tmp_path / name)


def test_the_loudest_second_is_kept():
    audio = np.zeros(40000, np.float32)
    audio[23000:25000] = 0.5
    kept = fit_length(audio, 16000)
    assert len(kept) == 16000 and (kept**2).sum() == (audio**2).sum()
