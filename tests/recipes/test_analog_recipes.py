"""Recipes for analog memory: training with noise, the table, and what is shipped."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from labkit import analog, models
from labkit.recipes import analog as recipes
from labkit.recipes.analog import PROGRAMMINGS, SEEDS, TIMES_S, TRAINED, Table, accuracies, as_text, calibration, noise_aware
from labkit.recipes.quantization import Task, activities
from labkit.training import Recipe, fit, predict

MONTH = list(TIMES_S).index("1 month")


@pytest.fixture
def task():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator)
    y = (x.sum(dim=1) > 0).long()
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    fit(model, (x, y), None, Recipe(epochs=60, learning_rate=1e-2), progress=False)
    return Task("toy", "toy", lambda seed: model, (x, y), lambda batch, generator: batch, x, None, (x, y))


def test_training_with_noise_leaves_the_network_it_came_from(task):
    network = task.network(0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    made, again = noise_aware(task, network, seed=1), noise_aware(task, network, seed=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert set(made.state_dict()) == set(before)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in made.state_dict().items())
    assert float((predict(made, task.test[0]) == task.test[1]).float().mean()) > 0.9


def test_accuracies_are_those_of_one_array_at_five_times(task):
    crossbar = analog.Crossbar(dac_bits=6, adc_bits=6)
    programmed = analog.program(task.network(0), task.calibration, crossbar, seed=3)
    found = accuracies(task, programmed, uncompensated=True)
    for name, way in (("accuracy", analog.global_drift_compensation), ("uncompensated", None)):
        expected = [
            float((predict(programmed.at(seconds, way), task.test[0]) == task.test[1]).float().mean())
            for seconds in TIMES_S.values()
        ]
        assert found[name] == pytest.approx(expected, abs=1e-4)
    assert set(accuracies(task, programmed, uncompensated=False)) == {"accuracy"}


def test_calibration_hears_the_whole_training_set(task):
    """Sets are sorted by class: the first examples alone would set the converters for silence."""
    sorted_task = dataclasses.replace(task, train=(torch.arange(1000.0)[:, None], task.train[1]))
    heard = calibration(sorted_task)
    assert 256 <= len(heard) <= 512 and heard[0] == 0 and heard[-1] > 990


def test_the_table_as_text(tmp_path):
    rows = [
        {"task": "toy", "trained": "as it was", "bits": 8, "empty_cells": True, "seed": 0, "programming": p, "accuracy": [a] * 5}
        for p, a in enumerate((0.8, 0.9))
    ]
    rows[0]["uncompensated"] = rows[1]["uncompensated"] = [0.5] * 5
    about = {"data": {"toy": "toy"}, "digital": {"toy": {"as it was": [0.9, 1.0]}}, "times_s": list(TIMES_S.values())}
    path = tmp_path / "analog.json"
    path.write_text(json.dumps(about | {"rows": rows}))
    table = Table(path)
    assert table.arrays("toy", "as it was").shape == (2, 5)
    assert table.arrays("toy", "as it was", 4).shape == (0, 5)
    lines = as_text(table).splitlines()
    assert len(lines) == 4
    assert "as it was, 8 bits, no compensation" in lines[2] and "50.0 ± 0.0" in lines[2]
    assert "95.0" in lines[3] and "85.0 ± 7.1" in lines[3]


def test_a_missing_table_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match="run `labkit train analog-table`"):
        Table(tmp_path / "none.json")


def test_the_shipped_table_is_whole():
    table = Table()
    for task, mappings in {
        "keywords": ((8, True), (6, True), (4, True), (8, False)),
        "activities": ((8, True), (6, True), (4, True)),
    }.items():
        for trained in TRAINED:
            for bits, empty_cells in mappings:
                assert table.arrays(task, trained, bits, empty_cells=empty_cells).shape == (len(SEEDS) * len(PROGRAMMINGS), 5)
            assert table.arrays(task, trained, compensated=False).shape == (12, 5)
    assert len(table.rows) == 12 * 2 * 7


def test_what_the_lab_says_about_the_table():
    """Compensation is what keeps a network; training with noise keeps a deep one a little longer."""
    table = Table()
    for task in ("keywords", "activities"):
        for trained in TRAINED:
            gain = table.arrays(task, trained) - table.arrays(task, trained, compensated=False)
            assert np.all(gain[:, 2:] > 0.05)  # from a day on
    gain = table.arrays("keywords", "with noise")[:, MONTH] - table.arrays("keywords", "as it was")[:, MONTH]
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)) > 0


def test_the_shipped_activity_network_is_that_of_the_table():
    """Array 1 of seed 0, after 25 s and a day, on all windows; another processor may round a window to the other side."""
    network, card = models.pretrained("har-cnn", "watch-analog")
    task = activities(progress=False)
    x, y = task.test
    assert float((predict(network, x) == y).float().mean()) == pytest.approx(
        card.figures["people in no training, digital"]["accuracy"], abs=5 / len(y)
    )
    programmed = analog.program(network, calibration(task), seed=1)
    found = accuracies(task, programmed, uncompensated=False)["accuracy"]
    (row,) = (
        r for r in Table().rows
        if (r["task"], r["trained"], r["bits"], r["seed"], r["programming"]) == ("activities", "with noise", 8, 0, 1)
    )  # fmt: skip
    assert found == pytest.approx(row["accuracy"], abs=12 / len(y))


def test_recipes_are_entered():
    from labkit.recipes import RECIPES

    for name in ("ds-cnn-mini-analog", "har-cnn-watch-analog", "analog-table"):
        module, function = RECIPES[name].split(".")
        assert module == "analog" and callable(getattr(recipes, function))
