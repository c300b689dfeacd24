"""The features explorer: it drives the given functions, and the cost is that of labkit's front end."""

import itertools

import numpy as np
import pytest

import labkit
from labkit.data import features as front_end
from labkit.data.features import FeatureConfig
from labkit.explorers import FeatureExplorer
from labkit.explorers.features import boards
from labkit.explorers.view import View


@pytest.fixture(scope="module")
def clips():
    t = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * (300 + 500 * t) * t) * np.exp(-(((t - 0.5) / 0.2) ** 2))
    return np.stack([tone, np.random.default_rng(0).normal(0, 0.1, 16000)]).astype(np.float32)


def test_features_and_cost_are_those_of_the_front_end(clips):
    settings = {"window_ms": 25, "hop_ms": 10, "n_mels": 32, "n_mfcc": 13}
    explorer = FeatureExplorer(clips, ["tone", "noise"], clip="1: noise", show="MFCC", **settings)
    config = FeatureConfig(**settings)
    assert (explorer.result.features == front_end.mfcc(clips[1], config)).all()
    workload = front_end.workload(config)
    assert explorer.result.workload == workload
    assert explorer.result.estimate == labkit.device("nucleo-l4r5zi").estimate(workload)
    explorer.show = "log-mel"
    assert [layer.op for layer in explorer.result.workload.layers][-1] == "log", "log-mel needs no cosine transform"


def test_it_drives_the_students_function(clips):
    calls = []

    def my_log_mel(audio, config):
        calls.append((audio.shape, config.hop_ms))
        return front_end.log_mel(audio, config) * 0 + config.n_mels

    explorer = FeatureExplorer(clips, ["tone", "noise"], features=my_log_mel)
    explorer.n_mels = 20
    assert calls == [((1, 16000), 20), ((1, 16000), 20)] and (explorer.result.features == 20).all()
    View(explorer)  # a picture without contrast


def test_an_unfinished_function_is_said_in_words(clips):
    def my_log_mel(audio, config):
        raise NotImplementedError("exercise 2")

    explorer = FeatureExplorer(clips, ["tone", "noise"], features=my_log_mel)
    assert explorer.status == "my_log_mel is not written yet (exercise 2)." and "not written yet" in View(explorer).status.value
    infinite = FeatureExplorer(np.zeros((1, 16000)), ["silence"], lambda a, c: np.where(np.eye(49, 40), 0, -np.inf)[None])
    assert "1920 of the numbers are not finite" in infinite.status
    View(infinite)
    flat = FeatureExplorer(clips, ["tone", "noise"], features=lambda audio, config: np.zeros(3))
    assert "shape (3,)" in flat.status


def test_too_slow_is_red(clips):
    explorer = FeatureExplorer(clips, ["tone", "noise"], board="raspberry-pi-pico", hop_ms=5, window_ms=64)
    assert explorer.result.busy > 1 and not explorer.fits and explorer.status.count("Too slow") == 1
    assert "#D55E00" in View(explorer).status.value


def test_clips_and_labels_must_agree(clips):
    with pytest.raises(ValueError, match="2 clips and 1 labels"):
        FeatureExplorer(clips, ["tone"])


def test_every_setting_gives_numbers_or_a_reason(clips):
    explorer = FeatureExplorer(clips, ["tone", "noise"])
    settings = FeatureExplorer.settings()
    for window, hop, mels in itertools.product(*(settings[name].values for name in ("window_ms", "hop_ms", "n_mels"))):
        if hop % 10 and mels % 8:
            continue
        explorer.window_ms, explorer.hop_ms, explorer.n_mels = window, hop, mels
        frames = 1 + (16000 - 16 * window) // (16 * hop)
        assert explorer.result.features.shape == (frames, mels) and explorer.fits, explorer.status
        assert ("never heard" in explorer.status) == (hop > window)
    explorer.show = "MFCC"
    for mels, coefficients, board in itertools.product(settings["n_mels"].values, settings["n_mfcc"].values, boards()[::4]):
        explorer.n_mels, explorer.n_mfcc, explorer.board = mels, coefficients, board
        assert (explorer.result is None) == (coefficients > mels) and len(explorer.status) > 20


def test_empty_bands_are_counted(clips):
    explorer = FeatureExplorer(clips, ["tone", "noise"], n_mels=80, window_ms=10)
    filters = front_end.mel_filters(explorer.result.config)
    assert explorer.result.empty_bands == sum(not column.any() for column in filters.T) > 0
    assert "stay empty" in explorer.status
