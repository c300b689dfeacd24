"""The recipes on a toy set: what they write and that a seed decides it. The figures are those of the shipped cards."""

import dataclasses

import numpy as np
import pytest
import torch

from labkit import models, recipes
from labkit.data import speech
from labkit.data.augmentation import Augmentation
from labkit.data.clips import Clips
from labkit.data.dataset import Dataset
from labkit.recipes import speech as room
from labkit.training import Recipe


def toy(name):
    """Twelve tones, one a class, by five people."""
    rng = np.random.default_rng(len(name))
    y = np.tile(np.arange(12), 5)
    person = np.repeat(np.arange(5), 12)
    time = np.arange(16000) / 16000
    audio = 0.1 * np.sin(2 * np.pi * (200 + 150 * y[:, None] + 10 * person[:, None]) * time) + 0.01 * rng.normal(size=(60, 16000))
    pcm = np.round(audio * 32767).astype(np.int16)
    split = np.array(["train", "train", "train", "val", "test"])[person]
    card = dataclasses.replace(speech.MINI_CARD, title="tones", synthetic=name == "synthetic")
    return Dataset(name, Clips.from_pcm(pcm), y, speech.LABELS, person.astype(str), split, 16000, card)


@pytest.fixture
def toy_speech(monkeypatch):
    monkeypatch.setattr(speech, "load", lambda name="synthetic", **options: toy(name))
    monkeypatch.setattr(room, "real_voices", lambda: toy("mini"))
    monkeypatch.setattr(room, "PRETRAINING", Recipe(epochs=2, batch_size=12))
    monkeypatch.setattr(room, "FINE_TUNING", Recipe(epochs=1, batch_size=12))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(name, folder, seed=0):
    return recipes.run(name, seed=seed, folder=folder, progress=False)


@pytest.mark.parametrize("network", ["ds-cnn", "tc-resnet8"])
def test_a_recipe_writes_weights_and_a_card_that_a_seed_decides(network, tmp_path, toy_speech):
    card = run(f"{network}-synthetic", tmp_path / "a")
    run(f"{network}-synthetic", tmp_path / "b")
    run(f"{network}-synthetic", tmp_path / "c", seed=1)
    weights = [
        (tmp_path / x / f"{network}-synthetic{end}.safetensors").read_bytes() for x, end in (("a", ""), ("b", ""), ("c", "-1"))
    ]
    assert weights[0] == weights[1] != weights[2]
    model, read = models.pretrained(network, "synthetic", tmp_path / "a")
    assert read == card and set(card.figures) == {room.UNSEEN_SYNTHETIC, room.UNSEEN_REAL}
    assert all(figure["n"] == 12 for figure in card.figures.values())
    test = toy("mini").part("test")
    said = model(card.prepare(test.x)).argmax(1).numpy()
    assert card.figures[room.UNSEEN_REAL]["accuracy"] == pytest.approx((said == test.y).mean(), abs=1e-4)


def test_the_normalisation_is_that_of_the_training_part(tmp_path, toy_speech):
    card = run("ds-cnn-synthetic", tmp_path)
    train = card.prepare(toy("synthetic").part("train").x)
    np.testing.assert_allclose(train.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(train.std((0, 1, 2)), 1, atol=1e-2)


def test_fine_tuning_starts_from_the_synthetic_network(tmp_path, toy_speech, monkeypatch):
    before = run("ds-cnn-synthetic", tmp_path)
    monkeypatch.setattr(room, "FINE_TUNING", Recipe(epochs=1, batch_size=12, learning_rate=1e-12, weight_decay=0.0))
    card = run("ds-cnn-mini", tmp_path)
    assert (card.mean, card.std, card.features) == (before.mean, before.std, before.features)
    assert card.training_seconds > before.training_seconds and "Starts from" in card.notes[0]
    old, new = models.pretrained("ds-cnn", "synthetic", tmp_path)[0], models.pretrained("ds-cnn", "mini", tmp_path)[0]
    for a, b in zip(old.parameters(), new.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_the_baseline_has_figures_and_no_weights(tmp_path, toy_speech):
    card = run("keyword-baseline", tmp_path)
    assert len(card.figures) == 3 and [p.name for p in tmp_path.iterdir()] == ["keyword-baseline.json"]


def test_augmented_batches_are_new_each_time_and_follow_the_generator(toy_speech):
    card = models.ModelCard("x", "ds-cnn", "", speech.LABELS, "", 0, mean=[0.0], std=[1.0], front_end="mfcc", layout="picture")
    audio = torch.from_numpy(np.stack(toy("mini").x.items[:4]))
    augment = room.changed_anew(card, Augmentation(audio.numpy()))
    generator = torch.Generator().manual_seed(0)
    first, second = augment(audio, generator), augment(audio, generator)
    assert first.shape == (4, 1, 49, 10) and not torch.equal(first, second)
    assert torch.equal(first, augment(audio, torch.Generator().manual_seed(0)))


def test_real_voices_are_not_downloaded_for_a_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert room.real_voices() is None
