"""The pipeline behind the tables, on a toy that trains in a second; and what the shipped tables claim."""

import dataclasses
import json

import pytest
import torch

from labkit import models
from labkit.quantization.formats import Int
from labkit.quantization.prepare import Scheme
from labkit.recipes import mixed, quantization
from labkit.recipes.partial import PartialTable
from labkit.recipes.quantization import ALGORITHMS, FORMATS, Method, Task, compare, run
from labkit.training import Recipe, fit


@pytest.fixture(scope="module")
def toy() -> Task:
    """Two kinds of windows, told apart by where they are loud."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(240) % 2
    x = torch.randn(240, 6, 128, generator=generator)
    x[y == 1, :3] *= 3
    train, test = (x[:180], y[:180]), (x[180:], y[180:])
    network, _ = models.build("har-cnn", classes=2)
    fit(network, train, None, Recipe(epochs=6, batch_size=20), progress=False)
    return Task("toy", "made up", lambda seed: network, train, lambda batch, generator: batch, train[0], None, test)


def test_every_method_runs_and_what_is_deployable_runs_in_integers(toy):
    quick = {name: dataclasses.replace(method, epochs=min(method.epochs, 1)) for name, method in (FORMATS | ALGORITHMS).items()}
    rows = compare(toy, quick, seeds=[0], progress=False)
    assert [row["method"] for row in rows] == list(quick)
    by_name = {row["method"]: row for row in rows}
    assert by_name["float"]["accuracy"] > 0.9
    assert by_name["int8, post-training"]["accuracy"] == pytest.approx(by_name["float"]["accuracy"], abs=0.05)
    for name, row in by_name.items():
        assert ("integer_accuracy" in row) == (not name.startswith("float") and not name.endswith("academic")), name
    bytes_of = {name: row["weight_bytes"] for name, row in by_name.items()}
    assert bytes_of["float"] > 3.8 * bytes_of["int8, post-training"] > 1.7 * bytes_of["int4"] > bytes_of["int2, edges int8"]
    text = quantization.table(rows)
    assert all(name in text for name in quick) and "toy:" in text
    without = [row for row in rows if row["method"] != "float"]
    assert quantization.summaries(without, "toy")["int4"]["minus_float"] is None and "+0.0" not in quantization.table(without)


def test_a_float_network_is_left_as_it_was(toy):
    before = {name: tensor.clone() for name, tensor in toy.network(0).state_dict().items()}
    run(toy, toy.network(0), Method(epochs=1), 0)
    run(toy, toy.network(0), Method(Scheme(Int(4)), epochs=1), 0)
    assert all(torch.equal(before[name], tensor) for name, tensor in toy.network(0).state_dict().items())


def test_a_seed_decides(toy):
    method = FORMATS["int4"]
    one, two, other = (run(toy, toy.network(0), dataclasses.replace(method, epochs=1), seed)[0] for seed in (0, 0, 1))
    x = toy.test[0]
    assert torch.equal(one(x), two(x)) and not torch.equal(one(x), other(x))


def test_a_mixed_run_saves_more_when_the_price_counts_more(toy, monkeypatch):
    monkeypatch.setattr(mixed, "SEARCH", {"epochs": 4, "learning_rate": 5e-3})
    monkeypatch.setattr(mixed, "TUNING", {"epochs": 1, "learning_rate": 1e-3})
    cheap, dear = mixed.run(toy, "channel", 10.0, 0), mixed.run(toy, "channel", 0.01, 0)
    assert cheap["weight_bytes"] < dear["weight_bytes"] and cheap["energy_uj"] < dear["energy_uj"]
    assert [len(bits) for bits in cheap["bits"].values()] == [16, 32, 64, 2]
    assert mixed.table([{"task": "toy", "share": "channel", "strength": 1.0, "seed": 0} | cheap]).count("\n") == 1


def test_an_interrupted_table_goes_on_where_it_stopped(tmp_path):
    calls = []

    def compute(x):
        calls.append(x)
        if x == 3 and calls.count(3) == 1:
            raise KeyboardInterrupt
        return {"square": x * x}

    def table():
        return PartialTable(tmp_path / "squares.json", ("x",), cache=tmp_path / "cache")

    settings = [(1,), (2,), (3,)]
    with pytest.raises(KeyboardInterrupt):
        table().fill(settings, compute, progress=False)
    again = table()
    again.fill(settings, compute, progress=False)
    again.finish(command="labkit train squares")
    assert calls == [1, 2, 3, 3]
    written = json.loads((tmp_path / "squares.json").read_text())
    assert written == {"command": "labkit train squares", "rows": [{"x": x, "square": x * x} for x in (1, 2, 3)]}
    assert table().rows == []
