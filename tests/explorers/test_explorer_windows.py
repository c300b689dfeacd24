"""The windows explorer: it drives the student's function, and shows accuracies only from a table that was computed."""

import itertools
import json

import numpy as np
import pytest

from labkit.data import motion
from labkit.data.motion_sources import Recording
from labkit.explorers import WindowExplorer, families
from labkit.explorers.view import View
from labkit.explorers.windows import CHANNELS, TABLE, WINDOWS


@pytest.fixture
def recordings():
    rng = np.random.default_rng(0)
    return [Recording(name, rng.normal(size=(6, n)).astype(np.float32), 0, "01") for name, n in (("long", 1000), ("short", 300))]


@pytest.fixture
def table(tmp_path):
    """Accuracies that are easy to recognise."""
    same = {"channels": "both", "spread": 0.1, "people": 10}
    entries = [
        {"window": 128, "hop": 64, "accuracy": 0.811, "leaked": 0.977, "windows": 999, **same},
        {"window": 64, "hop": 32, "accuracy": 0.755, "leaked": 0.944, "windows": 888, **same},
    ]
    path = tmp_path / "windows.json"
    path.write_text(json.dumps({"command": "x", "entries": entries}))
    return path


def test_windows_lie_where_the_function_puts_them(recordings):
    explorer = WindowExplorer(recordings=recordings, window=128, hop=0.5)
    assert explorer.result.starts.tolist() == list(range(0, 1000 - 128 + 1, 64)) and explorer.result.unused == 1000 - 832 - 128
    every_third = lambda recording, window, hop: motion.windows(recording, window, hop)[::3]  # noqa: E731
    mistaken = WindowExplorer(every_third, recordings=recordings, window=128, hop=0.5)
    assert mistaken.result.starts.tolist() == list(range(0, 1000 - 128 + 1, 192))
    segments = View(mistaken).picture.windows.get_segments()
    explorer.recording = "short"
    assert len(segments) == len(mistaken.result.starts) and segments[1][0][0] == pytest.approx(192 / 50)


def test_memory_and_network_are_counted(recordings):
    result = WindowExplorer(recordings=recordings, window=64, hop=1.0, channels="acc").result
    assert result.buffer_bytes == 64 * 3 * 2 and result.per_second == 50 / 64
    assert result.workload == families.har_cnn(samples=64, channels=3)
    assert result.ram_bytes == result.buffer_bytes + result.workload.peak_activation_bytes


def test_accuracy_comes_from_the_table_or_not_at_all(recordings, table, tmp_path):
    explorer = WindowExplorer(recordings=recordings, table=table, window=128, hop=0.5)
    assert "81.1% on unseen people, 97.7% on a random split" in explorer.status
    assert "999 windows of 10 people" in explorer.sources()[0]
    assert [row["window"] for row in explorer.result.curve] == [64, 128]
    explorer.channels = "gyro"
    assert "not measured for this setting" in explorer.status and ("unseen people", "–") in explorer.rows(explorer.result)
    without = WindowExplorer(recordings=recordings, table=tmp_path / "none.json")
    assert "not measured yet; run `labkit train windows-table`" in without.status and "%" not in without.status


def test_mistakes_become_sentences(recordings):
    def unfinished(recording, window, hop):
        raise NotImplementedError("exercise 1")

    assert WindowExplorer(unfinished, recordings=recordings).status == "unfinished is not written yet (exercise 1)."
    transposed = WindowExplorer(lambda r, w, h: motion.windows(r, w, h).swapaxes(1, 2), recordings=recordings)
    assert transposed.status == "the windows have shape (14, 128, 6); return (windows, 6 channels, 128 samples)"
    none = WindowExplorer(lambda r, w, h: np.zeros((0, len(r), w)), recordings=recordings)
    assert none.result.unused == 1000 and none.status.startswith("0 windows")
    View(none)
    blink = Recording("blink", np.zeros((6, 200)), 0, "01")
    explorer = WindowExplorer(recordings=[blink], window=256)
    assert "longer than the recording" in explorer.status and not explorer.fits


def test_every_setting_draws(recordings, table):
    explorer = WindowExplorer(recordings=recordings, table=table)
    view = View(explorer)
    pictures = set()
    for window, hop, channels in itertools.product(WINDOWS, WindowExplorer.settings()["hop"].values, CHANNELS):
        explorer.window, explorer.hop, explorer.channels = window, hop, channels
        assert explorer.fits and explorer.result.signal.shape[0] == (6 if channels == "both" else 3)
        pictures.add(view.image.value)
    assert len(pictures) == len(WINDOWS) * 3 * len(CHANNELS), "every setting is a picture of its own"


@pytest.mark.skipif(not TABLE.exists(), reason="the table of accuracies has not been computed here")
def test_the_shipped_table_covers_every_setting():
    explorer = WindowExplorer()
    for window, hop, channels in itertools.product(WINDOWS, WindowExplorer.settings()["hop"].values, CHANNELS):
        explorer.window, explorer.hop, explorer.channels = window, hop, channels
        assert explorer.result.accuracy["accuracy"] < explorer.result.accuracy["leaked"], "strangers are harder than oneself"


def test_the_default_is_one_real_recording_of_each_exercise():
    names = list(WindowExplorer().recordings)
    assert len(names) == 7 and len({name.split(", ")[1] for name in names}) == 7
