import json

import numpy as np
import pytest
import torch

from labkit import models
from labkit.data import features
from labkit.models import weights
from labkit.report import Report

LABELS = tuple("abcdefghijkl")


def toy_card(**changes):
    settings = {"name": "ds-cnn-toy", "network": "ds-cnn", "data": "noise", "labels": LABELS, "seed": 0}
    settings |= {"command": "labkit train ds-cnn-toy --seed 0", "mean": [1.0] * 10, "std": [2.0] * 10}
    settings |= {"front_end": "mfcc", "features": {"n_mfcc": 10}, "layout": "picture"}
    return models.ModelCard(**settings | changes)


def test_saved_is_what_comes_back(tmp_path):
    model, example = models.build("ds-cnn", seed=3)
    report = Report.of(np.arange(12), np.arange(12), LABELS)
    card = toy_card(figures={"noise": weights.figure(report)})
    models.save(model, card, tmp_path)
    again, read = models.pretrained("ds-cnn", "toy", tmp_path)
    x = torch.randn(2, *example.shape[1:])
    assert torch.equal(model(x), again(x)) and not again.training
    assert read == card and models.shipped(tmp_path) == ["ds-cnn-toy"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ds-cnn-toy.json", "ds-cnn-toy.safetensors"]
    assert "100.0%" in str(read) and "n = 12" in str(read)


def test_a_card_prepares_audio_for_its_network():
    audio = np.random.default_rng(0).normal(size=(3, 16000)).astype(np.float32) * 0.1
    x = toy_card().prepare(audio)
    assert x.shape == (3, 1, 49, 10) and x.dtype == torch.float32
    np.testing.assert_allclose(x[:, 0].numpy(), (features.mfcc(audio) - 1) / 2, rtol=1e-5, atol=1e-5)
    wide = {"hop_ms": 10, "n_mfcc": 40}
    x = toy_card(network="tc-resnet8", layout="sequence", features=wide, mean=[0.0] * 40, std=[1.0] * 40).prepare(audio)
    assert models.build("tc-resnet8")[0](x).shape == (3, 12)
    np.testing.assert_allclose(x[1].T.numpy(), features.mfcc(audio, features.FeatureConfig(**wide))[1], rtol=1e-5, atol=1e-5)


def test_windows_pass_a_card_without_a_front_end():
    windows = np.random.default_rng(0).normal(size=(4, 6, 128))
    card = toy_card(network="har-cnn", front_end=None, features={}, layout="as is", mean=[[1.0]] * 6, std=[[4.0]] * 6)
    np.testing.assert_allclose(card.prepare(windows).numpy(), (windows - 1) / 4, rtol=1e-6)


def test_unknown_names_name_the_nearest(tmp_path):
    models.save(models.build("ds-cnn")[0], toy_card(), tmp_path)
    with pytest.raises(ValueError, match="did you mean ds-cnn-toy"):
        models.pretrained("ds-cnn", "joy", tmp_path)
    with pytest.raises(ValueError, match="did you mean ds-cnn-toy"):
        models.card("ds-cnn-toi", tmp_path)
    with pytest.raises(ValueError, match="did you mean picture"):
        toy_card(layout="pictur")


@pytest.mark.parametrize("name", models.shipped())
def test_what_is_shipped_is_small_documented_and_runs(name):
    card = models.card(name)
    assert (weights.FOLDER / f"{name}.safetensors").stat().st_size < 300_000
    recipe = name.removesuffix(f"-{card.seed}") if card.seed else name  # another seed than 0 is in the name
    assert name == card.name and name.startswith(card.network) and card.command == f"labkit train {recipe} --seed {card.seed}"
    model, _ = models.pretrained(card.network, name.removeprefix(card.network + "-"))
    example = torch.zeros(2, *models.build(card.network, **card.options)[1].shape[1:])
    assert model(example).shape == (2, len(card.labels))
    assert card.figures and all(set(f) == {"accuracy", "balanced_accuracy", "low", "high", "n"} for f in card.figures.values())
    assert all(f["low"] <= f["accuracy"] <= f["high"] for f in card.figures.values())
    json.dumps(card.figures)
