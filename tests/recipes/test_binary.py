"""The binary keyword network: its recipe on a toy set, and the shipped one on real voices, in floats and in packed integers."""

import dataclasses

import numpy as np
import pytest
import torch

from labkit import models
from labkit.data import speech
from labkit.quantization.packed import PackedNetwork
from labkit.recipes import binary as room
from labkit.recipes.speech import UNSEEN_REAL
from labkit.training import evaluate
from tests.recipes.test_speech import toy


@pytest.fixture
def toy_speech(monkeypatch):
    monkeypatch.setattr(speech, "load", lambda name, **options: toy(name))
    monkeypatch.setattr(room, "HEARINGS", 1)
    short = {kind: dataclasses.replace(recipe, epochs=1, batch_size=12) for kind, recipe in room.TRAINING.items()}
    monkeypatch.setattr(room, "TRAINING", short)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_recipe_writes_weights_that_a_seed_decides(tmp_path, toy_speech):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        card = room.binary_kws_mini(seed, tmp_path / folder, progress=False)
    assert card.name == "binary-kws-mini-1"
    files = [next((tmp_path / x).glob("*.safetensors")).read_bytes() for x in "abc"]
    assert files[0] == files[1] != files[2]
    model, card = models.pretrained("binary-kws", "mini", tmp_path / "a")
    test = toy("mini").part("test")
    report = evaluate(model, card.prepare(test.x), torch.from_numpy(test.y), test.labels)
    assert report.accuracy == pytest.approx(card.figures[UNSEEN_REAL]["accuracy"], abs=1e-4)


def test_the_table_has_both_networks_and_every_seed(tmp_path, toy_speech, monkeypatch):
    monkeypatch.setattr(room, "SEEDS", 2)
    card = room.binary_kws_table(0, tmp_path, progress=False)
    assert set(card.figures) == {f"{kind}, seed {s}" for kind in ("binary", "float") for s in (0, 1)}
    assert models.card("binary-kws-table", tmp_path) == card


def test_a_clip_is_heard_as_it_is_and_changed(toy_speech):
    heard = room.hearings(toy("mini"), progress=False)
    assert heard.shape == (2, 36, 2, 50, 32) and heard.dtype == torch.int8
    assert set(heard.unique().tolist()) == {-1, 1}
    assert 0.02 < (heard[0] != heard[1]).float().mean() < 0.5


def test_the_shipped_network_on_unseen_voices_in_floats_and_in_packed_integers(real_test):
    model, card = models.pretrained("binary-kws", "mini")
    x = card.prepare(real_test.x)
    report = evaluate(model, x, torch.from_numpy(real_test.y), real_test.labels)
    said = card.figures[UNSEEN_REAL]
    assert report.n == said["n"] == 589
    assert report.accuracy == pytest.approx(said["accuracy"], abs=2.5 / report.n)
    network = PackedNetwork.of(model)
    logits = network.logits(x.numpy())
    with torch.no_grad():
        assert np.array_equal(logits, model(x).numpy())  # 589 x 12 numbers, bit for bit
    assert np.array_equal(network.run(x.numpy()).argmax(axis=1), logits.argmax(axis=1))
