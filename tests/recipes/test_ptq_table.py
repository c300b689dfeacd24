import json

import pytest
import torch
from torch import nn

from labkit.quantization.formats import Int
from labkit.quantization.granularity import PerChannel, PerTensor
from labkit.quantization.observers import OBSERVERS
from labkit.quantization.prepare import Scheme, calibrate, prepare
from labkit.recipes import ptq_table as recipe


@pytest.fixture(scope="module")
def toy() -> recipe.Task:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(6, 8, 5), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()
    x = torch.randn(160, 6, 20)
    return recipe.Task("toy", "noise", model, x[:64], x, model(x).argmax(dim=1))


def test_one_calibration_serves_all_widths(toy):
    """The shortcut gives what a calibration at that width would give, for an observer that weighs the width too."""
    (entry,) = recipe.settings(toy, (4,), (5,), ("tensor",), ("mse",))
    _, again = recipe.settings(toy, (4,), (8, 5), ("tensor",), ("mse",))
    prepared = prepare(toy.model, Scheme(Int(4), Int(5, narrow=False), PerTensor(), observer="mse"))
    calibrate(prepared, toy.calibration.split(recipe.BATCH))
    assert entry == again
    assert entry["accuracy"] == toy.accuracy(prepared)


def test_every_setting_has_an_entry_and_more_bits_agree_more_with_float(toy):
    entries = list(recipe.settings(toy, (2, 8), (8,), observers=("minmax", "percentile")))
    keys = {(e["weight_bits"], e["activation_bits"], e["granularity"], e["observer"]) for e in entries}
    assert keys == {(b, 8, g, o) for b in (2, 8) for g in ("tensor", "channel", "group") for o in ("minmax", "percentile")}
    mean = {b: sum(e["accuracy"] for e in entries if e["weight_bits"] == b) for b in (2, 8)}
    assert mean[8] > mean[2]


def test_corrections_are_those_of_the_room(toy, monkeypatch):
    monkeypatch.setattr(recipe.adaround, "__kwdefaults__", {"steps": 20, "progress": False})
    rows = list(recipe.corrected(toy, (3,), ("channel",), progress=False))
    assert [row["correction"] for row in rows] == list(recipe.CORRECTIONS)
    prepared = prepare(toy.model, Scheme(Int(3), granularity=PerChannel()))
    calibrate(prepared, toy.calibration)
    assert rows[0]["accuracy"] == toy.accuracy(prepared)
    text = recipe.as_text(rows)
    assert "3 bits" in text and text.count("toy") == len(rows)


def test_the_table_is_written_whole(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "activities", lambda: toy)
    monkeypatch.setattr(recipe, "keywords", lambda progress: toy)
    monkeypatch.setattr(recipe, "BITS", (4,))
    monkeypatch.setattr(recipe.settings, "__defaults__", (("tensor",), ("minmax",)))
    monkeypatch.setattr(recipe, "corrected", lambda task, progress: [])
    recipe.ptq_table(folder=tmp_path, progress=False)
    table = json.loads((tmp_path / "ptq.json").read_text())
    assert table["command"] == "labkit train ptq-table" and table["seconds"] >= 0
    assert table["float_accuracy"] == table["keywords"]["float_accuracy"] == 1.0
    assert [len(table["entries"]), len(table["keywords"]["entries"])] == [1, 2]


def test_the_shipped_table_belongs_to_the_shipped_network():
    table, task = json.loads(recipe.TABLE.read_text()), recipe.activities()
    assert table["data"] == task.data and table["float_accuracy"] == pytest.approx(task.accuracy(task.model), abs=0.002)
    stored = {(e["weight_bits"], e["activation_bits"], e["granularity"], e["observer"]): e["accuracy"] for e in table["entries"]}
    assert len(stored) == len(table["entries"]) == len(recipe.BITS) ** 2 * len(recipe.GRANULARITIES) * len(OBSERVERS)
    for setting in ((8, 8, "channel", "minmax"), (4, 4, "tensor", "entropy")):
        (entry,) = recipe.settings(task, *((value,) for value in setting))
        assert entry["accuracy"] == pytest.approx(stored[setting], abs=0.01)  # another machine sums in another order
