"""Windows, folds and `load` against hand-made cases and a slow, obvious cutter."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data import motion, motion_sources
from labkit.data.motion_sources import SOURCES, Recording


def cut_slowly(recording, window, hop):
    """Windows by the definition: try every start."""
    return [recording[:, start : start + window] for start in range(0, recording.shape[1] - window + 1, hop)]


@given(st.integers(1, 4), st.integers(1, 60), st.integers(1, 60), st.integers(1, 70))
def test_windows_equal_the_definition(channels, samples, window, hop):
    recording = np.arange(channels * samples, dtype=np.float32).reshape(channels, samples)
    if window > samples:
        with pytest.raises(ValueError, match=f"longer than the recording .{samples}.*choose at most {samples}"):
            motion.windows(recording, window, hop)
        return
    cut = motion.windows(recording, window, hop)
    assert cut.shape == ((samples - window) // hop + 1, channels, window)
    np.testing.assert_array_equal(cut, cut_slowly(recording, window, hop))


def test_windows_share_memory_and_cannot_be_written():
    recording = np.zeros((6, 1000))
    cut = motion.windows(recording, 128, 1)
    assert np.shares_memory(cut, recording) and not cut.flags.writeable


@pytest.mark.parametrize(
    "window, hop, word",
    [(0, 1, "window is 0"), (4, 0, "hop is 0"), (4, -2, "hop is -2"), (2.5, 1, "window is 2.5"), (4, True, "hop is True")],
)
def test_impossible_sizes_are_one_sentence(window, hop, word):
    with pytest.raises(ValueError, match=f"^{word}; give a whole number of samples"):
        motion.windows(np.zeros((1, 10)), window, hop)
    with pytest.raises(ValueError, match=word):
        motion.load("watch", window=window, hop=hop)


def test_a_recording_of_the_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"shape \(10,\); give \(channels, samples\)"):
        motion.windows(np.zeros(10), 2, 1)


def fake_source(*recordings, segments=False):
    return dataclasses.replace(SOURCES["watch"], labels=("rest", "wave"), segments=segments, read=lambda: list(recordings))


def recording(samples, label=0, subject="01", side="left"):
    return Recording(f"recording of {subject}", np.full((6, samples), float(label)), label, subject, side)


def test_nan_rows_name_the_recording_and_the_sample(monkeypatch):
    broken = recording(200, 1, "08")
    broken.signal[2, 50:53] = np.nan
    monkeypatch.setitem(SOURCES, "watch", fake_source(recording(200), broken))
    with pytest.raises(ValueError, match=r"^recording of 08: 3 of 200 samples are not finite, the first is number 50; interpol"):
        motion.load("watch")


def test_a_window_longer_than_a_whole_recording_is_refused(monkeypatch):
    monkeypatch.setitem(SOURCES, "watch", fake_source(recording(300), recording(100, 1, "08")))
    with pytest.raises(ValueError, match=r"^recording of 08: a window of 128 samples is longer than the recording \(100\); choose"):
        motion.load("watch")


def test_labelled_stretches_shorter_than_a_window_give_none_but_a_class_never_vanishes(monkeypatch):
    monkeypatch.setitem(SOURCES, "watch", fake_source(recording(300), recording(100, 1), recording(128, 1, "08"), segments=True))
    assert motion.load("watch").counts() == {"rest": 3, "wave": 1}
    with pytest.raises(ValueError, match="no recording of 'wave' is as long as a window of 200 samples"):
        motion.load("watch", window=200)


def test_the_right_arm_is_mirrored_and_the_left_is_not(monkeypatch):
    monkeypatch.setitem(SOURCES, "watch", fake_source(recording(128, 1), recording(128, 1, "08", "right"), recording(128)))
    x = motion.load("watch").x[:, :, 0]
    np.testing.assert_array_equal(x, [[1, 1, 1, 1, 1, 1], [-1, 1, 1, 1, -1, -1], [0] * 6])


def test_mirror_is_consistent_with_rotation_physics():
    """Gravity seen by a turning watch obeys dg/dt = -w x g; its mirror image must obey the same law."""
    time_s = np.arange(0, 4, 0.001)
    angular = np.stack([np.sin(time_s), 0.5 * np.cos(2 * time_s), 0.3 * np.ones_like(time_s)])
    gravity = np.empty_like(angular)
    gravity[:, 0] = 0.6, 0.0, 0.8
    for i in range(1, len(time_s)):
        gravity[:, i] = gravity[:, i - 1] - 0.001 * np.cross(angular[:, i - 1], gravity[:, i - 1])
    mirrored = motion.on_left_arm(Recording("r", np.concatenate([gravity, angular]), 0, "01", "right")).signal
    rate = np.diff(mirrored[:3], axis=1) / 0.001
    np.testing.assert_allclose(rate, -np.cross(mirrored[3:], mirrored[:3], axis=0)[:, :-1], atol=1e-9)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown motion data set 'wach'; did you mean watch"):
        motion.load("wach")
    with pytest.raises(ValueError, match="no channel 'accx'; did you mean acc_x"):
        motion.load("watch", channels=["accx"])
    with pytest.raises(ValueError, match="classes is 9; watch has 7, give a number from 2 to that"):
        motion.load("watch", classes=9)


# -- the real watch recordings, which every installation has -------------------------------------------------------------------


@pytest.fixture(scope="module")
def watch():
    return motion.load("watch")


def test_watch_is_ten_people_doing_seven_exercises_with_both_arms():
    recordings = motion.recordings("watch")
    assert len({(r.subject, r.label, r.side) for r in recordings}) == len(recordings) == 140
    assert all(r.signal.shape[0] == 6 and r.signal.dtype == np.float32 for r in recordings)


def test_watch_windows(watch):
    expected = sum((r.signal.shape[1] - 128) // 64 + 1 for r in motion.recordings("watch"))
    assert watch.x.shape == (expected, 6, 128) and watch.x.dtype == np.float32
    assert not watch.card.synthetic and watch.rate_hz == 50
    assert set(watch.part("test").group) == {"08", "09", "10"} and set(watch.part("val").group) == {"07"}


def test_watch_signals_have_the_stated_units(watch):
    """At the slow turning points of an exercise the accelerometer feels little but gravity: about 1 g, not 9.8 m/s²."""
    acceleration = np.linalg.norm(watch.x[:, :3], axis=1)
    assert 0.9 < np.median(acceleration) < 1.2
    assert 1 < watch.x[:, 3:].std() < 3  # rad/s: an arm swings at 60 to 170 degrees a second


def test_arms_agree_after_mirroring():
    """With the arm hanging, gravity lies along -x on one arm and +x on the other; mirrored they agree."""
    means = {side: [] for side in ("left", "right")}
    for r in motion.recordings("watch"):
        if r.label == 0:
            means[r.side].append((r.signal[0].mean(), motion.on_left_arm(r).signal[0].mean()))
    left, right = np.mean(means["left"], axis=0), np.mean(means["right"], axis=0)
    assert left[0] > 0.9 and right[0] < -0.9
    assert abs(left[1] - right[1]) < 0.15


def test_channels_are_picked_in_the_order_asked(watch):
    picked = motion.load("watch", channels=["gyro_y", "acc"])
    np.testing.assert_array_equal(picked.x, watch.x[:, [4, 0, 1, 2]])


def test_folds_test_everybody_once_and_never_share_a_person(watch):
    folds = list(motion.folds(watch))
    assert [sorted(set(fold.part("test").group)) for fold in folds] == [[f"{s:02d}"] for s in range(1, 11)]
    assert sum(len(fold.part("test")) for fold in folds) == len(watch)
    for fold in folds:
        people = [set(fold.part(split).group) for split in ("train", "val", "test")]
        assert [len(p) for p in people] == [8, 1, 1] and len(set.union(*people)) == 10


def test_folds_need_three_people(watch):
    with pytest.raises(ValueError, match="has 1 subjects; leaving one out needs 3"):
        next(motion.folds(watch.part("val")))


def test_an_altered_file_is_never_unpickled(monkeypatch, tmp_path):
    altered = tmp_path / "watch_dataset.npy"
    altered.write_bytes(motion_sources.watch_file().read_bytes()[:-1] + b"!")
    monkeypatch.setattr(motion_sources, "watch_file", lambda: altered)
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("the file was unpickled"))
    with pytest.raises(ValueError, match=r"not the published file \(its checksum differs\); reinstall seglearn"):
        motion.load("watch")


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(motion_sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="come with the package seglearn; run: python -m pip install"):
        motion.load("watch")


def test_loading_the_watch_does_not_import_seglearn():
    code = "import sys; from labkit.data import motion; motion.load('watch'); sys.exit('seglearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("channels", [[], 3, ()])
def test_channels_must_be_names(channels):
    with pytest.raises(ValueError, match="give names"):
        motion.load("watch", channels=channels)


def test_a_channel_named_twice_comes_once():
    assert motion.load("watch", window=100, hop=100, channels=["acc", "acc_x"]).x.shape[1] == 3
