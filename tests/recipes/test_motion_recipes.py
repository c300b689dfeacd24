"""Augmentation against rotation algebra, recipes on a small share of the data, and what is shipped against its card."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy import stats

from labkit import models, recipes
from labkit.data import motion
from labkit.explorers.windows import WindowExplorer
from labkit.recipes import motion as recipe
from labkit.recipes.motion_augmentation import jitter, stretch, turn
from labkit.report import Report
from labkit.training import evaluate


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# -- augmentation ---------------------------------------------------------------------------------------------------------------


def rotations(degrees, n, seed=0):
    """The rotation matrices that `turn` applied, read off windows of the three unit vectors."""
    return turn(torch.eye(3).expand(n, 3, 3), degrees, generator(seed))


def test_turn_applies_proper_rotations():
    matrices = rotations(40, 200)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3).expand(200, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(200), atol=1e-5, rtol=0)


def test_turn_has_the_spread_that_is_asked_for():
    trace = rotations(15, 4000).diagonal(dim1=1, dim2=2).sum(1)
    angles = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    assert angles.pow(2).mean().sqrt().item() == pytest.approx(15, rel=0.05)


def test_both_sensors_turn_together():
    x = torch.randn(50, 6, 20, generator=generator())
    turned = turn(x, 30, generator(1))
    torch.testing.assert_close((turned[:, :3] * turned[:, 3:]).sum(1), (x[:, :3] * x[:, 3:]).sum(1), atol=1e-4, rtol=1e-4)
    assert (turned - x).abs().max() > 0.5


def test_stretch_changes_the_frequency_by_at_most_its_factor():
    time_s = torch.arange(512) / 50
    tone = torch.sin(2 * torch.pi * 4 * time_s).expand(1, 1, 512)
    found = [
        50 / 512 * torch.fft.rfft(stretch(tone, 1.25, generator(seed))[0, 0, :400], n=512).abs().argmax() for seed in range(40)
    ]
    assert 4 / 1.25 - 0.1 <= min(found) < 3.6 and 4.4 < max(found) <= 4 * 1.25 + 0.1


def test_stretch_keeps_shape_and_constants():
    still = torch.full((3, 6, 128), 2.5)
    for seed in range(10):
        torch.testing.assert_close(stretch(still, 1.25, generator(seed)), still)


def test_augmentation_is_a_function_of_its_generator():
    x = torch.randn(4, 6, 32, generator=generator())
    once, again = (jitter(stretch(turn(x, 15, g), 1.25, g), g) for g in (generator(3), generator(3)))
    assert torch.equal(once, again)


# -- training -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few():
    """The watch with long hops: 10 people, 315 windows."""
    return motion.load("watch", hop=800)


@pytest.fixture
def quick(monkeypatch, few):
    monkeypatch.setattr(recipe, "RECIPE", dataclasses.replace(recipe.RECIPE, epochs=1))
    monkeypatch.setattr(recipe.motion, "load", lambda *names, **options: few)


def test_training_never_touches_the_people_of_test(few):
    poisoned = few.x.copy()
    poisoned[few.split == "test"] = np.nan  # fit raises on NaN, and NaN would show in mean and std
    model, mean, std = recipe.train(dataclasses.replace(few, x=poisoned), dataclasses.replace(recipe.RECIPE, epochs=1), False)
    assert np.isfinite(mean).all() and np.isfinite(std).all()
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_har_cnn_watch_leaves_everybody_out_once(quick, few, tmp_path):
    card = recipes.run("har-cnn-watch", seed=3, folder=tmp_path, progress=False)
    people = {name: figure for name, figure in card.figures.items() if name.endswith("left out")}
    assert len(people) == 10 and sum(figure["n"] for figure in people.values()) == len(few)
    mean = card.figures["every person left out once, mean over people and its interval"]
    assert mean["accuracy"] == pytest.approx(np.mean([figure["accuracy"] for figure in people.values()]), abs=1e-3)
    assert card.command == "labkit train har-cnn-watch --seed 3"
    model, again = models.pretrained("har-cnn", "watch", tmp_path)
    test = few.part("test")
    report = evaluate(model, again.prepare(test.x), test.y, test.labels)
    assert report.accuracy == pytest.approx(card.figures["subjects 8 to 10, the shipped network"]["accuracy"], abs=1e-3)


def test_hapt_writes_a_card_and_no_weights(quick, tmp_path, capsys):
    recipes.run("har-cnn-hapt", folder=tmp_path, progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["har-cnn-hapt.json"]


def test_over_people_is_students_interval_of_the_mean():
    reports = [Report.of([0] * 10 + [1] * 10, [0] * right + [1] * (20 - right), ("a", "b")) for right in (6, 8, 9, 10)]
    accuracy = [report.accuracy for report in reports]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(accuracy), scale=stats.sem(accuracy))
    figure = recipe.over_people(reports)
    assert (figure["accuracy"], figure["low"], figure["n"]) == (pytest.approx(0.9125), pytest.approx(low, abs=1e-4), 4)
    assert figure["high"] == pytest.approx(min(1, high), abs=1e-4)


# -- the windows table ----------------------------------------------------------------------------------------------------------


def test_as_if_strangers_mixes_people(few):
    mixed = recipe.as_if_strangers(few, 0)
    test = mixed.split == "test"
    assert test.sum() == len(few) // 3
    assert set(few.group[test]) & set(few.group[~test]) == set(few.group)


def test_a_table_entry_is_what_the_explorer_reads(tmp_path):
    entry = recipe.table_entry(256, 256, "acc", steps=1)
    assert entry["people"] == 10 and 0 < entry["accuracy"] < 1
    path = tmp_path / "windows.json"
    path.write_text(json.dumps({"entries": [entry]}))
    explorer = WindowExplorer(table=path, window=256, hop=1.0, channels="acc")
    assert f"{entry['accuracy']:.1%} on unseen people, {entry['leaked']:.1%} on a random split" in explorer.status


def test_the_shipped_table_is_whole_and_shows_the_leak():
    entries = json.loads(recipe.TABLE.read_text())["entries"]
    assert len({(e["window"], e["hop"], e["channels"]) for e in entries}) == len(entries) == 36
    assert np.mean([e["leaked"] > e["accuracy"] for e in entries]) > 0.9


# -- what is shipped ------------------------------------------------------------------------------------------------------------


def test_shipped_weights_reach_what_their_card_says():
    model, card = models.pretrained("har-cnn", "watch")
    test = motion.load("watch").part("test")
    report = evaluate(model, card.prepare(test.x), test.y, test.labels)
    assert card.labels == test.labels
    assert report.accuracy == pytest.approx(card.figures["subjects 8 to 10, the shipped network"]["accuracy"], abs=0.002)


def test_the_required_figures():
    watch, hapt = models.card("har-cnn-watch").figures, models.card("har-cnn-hapt").figures
    assert watch["every person left out once, mean over people and its interval"]["accuracy"] >= 0.85
    assert hapt["six activities, official test subjects"]["accuracy"] >= 0.93
    assert 0 < hapt["twelve classes, official test subjects"]["balanced_accuracy"] < 1
