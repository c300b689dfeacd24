"""The bit painter: its memory and energy are those of the widths it paints, and it drives the student's front."""

import itertools
import json

import numpy as np
import pytest

import labkit
from labkit.explorers import BitExplorer, families
from labkit.explorers.bits import NETWORKS, TABLE, at_widths, measured, pareto, savings
from labkit.explorers.bits_picture import CELL, INKS, SHARES
from labkit.explorers.view import View
from labkit.quantization.mixed.price import weighted
from labkit.recipes.quantization import TASKS

STRENGTHS, SEEDS = (0.1, 1.0), (0, 1)


def search(task, share, strength, seed, rng) -> dict:
    """A row as the recipe writes it, of widths drawn at random."""
    layers = weighted(NETWORKS[task]())
    n = [layer.out_channels if share == "channel" else 1 for layer in layers]
    widths = [rng.choice([0, 2, 4, 8] if share == "channel" else [2, 4, 8], size) for size in n]
    bits = {layer.name: np.broadcast_to(w, layer.out_channels).tolist() for layer, w in zip(layers, widths, strict=True)}
    workload = at_widths(task, list(bits.values()))
    estimate = labkit.device("mpic").estimate(workload)
    row = {"task": task, "share": share, "strength": strength, "seed": seed, "accuracy": round(rng.uniform(0.8, 0.9), 4)}
    costs = {"weight_bytes": workload.weight_bytes, "energy_uj": estimate.energy_uj.mid, "latency_ms": estimate.latency_ms.mid}
    return row | costs | {"bits": bits}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = [search(*setting, rng) for setting in itertools.product(NETWORKS, SHARES, STRENGTHS, SEEDS)]
    rows.pop()  # a recipe that was stopped before its last search
    path = tmp_path_factory.mktemp("tables") / "mixed.json"
    path.write_text(json.dumps({"rows": rows}))
    return path


def brute_force(costs, accuracies) -> list[bool]:
    points = list(zip(costs, accuracies, strict=True))
    return [not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points) for cost, accuracy in points]


@pytest.mark.parametrize("seed", range(20))
def test_the_front_against_comparing_all_pairs(seed):
    rng = np.random.default_rng(seed)
    costs, accuracies = rng.integers(0, 6, (2, rng.integers(1, 15)))
    assert pareto(costs, accuracies).tolist() == brute_force(costs, accuracies)


def test_networks_are_those_of_the_recipe():
    assert NETWORKS.keys() == TASKS.keys()
    assert NETWORKS["keywords"]() == families.ds_cnn() and at_widths("keywords", [8] * 10) == families.ds_cnn()


def test_the_shipped_table_is_whole_and_its_costs_are_those_of_its_widths():
    for row in measured(TABLE):
        workload = at_widths(row["task"], list(row["bits"].values()))
        estimate = labkit.device("mpic").estimate(workload)
        assert workload.weight_bytes == row["weight_bytes"]
        assert estimate.energy_uj.mid == pytest.approx(row["energy_uj"], rel=1e-3)
        assert estimate.latency_ms.mid == pytest.approx(row["latency_ms"], rel=1e-3)
        assert {b for bits in row["bits"].values() for b in bits} <= set(INKS)
        assert row["share"] == "channel" or all(len(set(bits)) == 1 for bits in row["bits"].values())


def test_numbers_are_those_of_the_widths(table):
    explorer = BitExplorer(table=table, task="keywords", strength=1.0, seed=1)
    r = explorer.result
    assert {name: bits.tolist() for name, bits in r.channels.items()} == r.row["bits"]
    assert sum(r.counts.values()) == sum(layer.out_channels for layer in weighted(families.ds_cnn())) == 588
    without_biases = r.workload.weight_bytes - 4 * (588 - r.counts[0])
    weights = families.ds_cnn().weight_bytes - 4 * 588
    assert r.mean_bits == pytest.approx(8 * without_biases / weights, abs=0.01)
    rows = dict(explorer.rows(r))
    assert rows["less than int8"] == f"{1 - r.workload.weight_bytes / families.ds_cnn().weight_bytes:.0%}"
    assert rows["accuracy"] == f"{r.row['accuracy']:.1%}" and rows["pruned"] == f"{r.counts[0]} channels"
    mean = np.mean([row["accuracy"] for row in measured(table) if row["task"] == "keywords"
                    and row["share"] == "channel" and row["strength"] == 1.0])  # fmt: skip
    assert rows["over 2 seeds"] == f"{mean:.1%}"
    assert r.means["channel"].accuracy[1] == pytest.approx(mean)
    assert f"{r.counts[0]} channels pruned" in explorer.status and "estimated" in explorer.status


def test_savings_at_equal_accuracy_by_hand():
    def row(share, strength, seed, accuracy, weight_bytes, energy_uj):
        costs = {"accuracy": accuracy, "weight_bytes": weight_bytes, "energy_uj": energy_uj}
        return {"share": share, "strength": strength, "seed": seed} | costs

    layers = [row("layer", 1.0, 0, 0.89, 390, 2.0), row("layer", 1.0, 1, 0.91, 410, 2.0), row("layer", 3.0, 0, 0.8, 200, 1.0)]
    channels = [row("channel", 1.0, 0, 0.897, 300, 2.2), row("channel", 2.0, 0, 0.88, 100, 0.5)]
    assert savings(layers + channels) == ("25% to 50%", "-10% to 50%")  # 300 for 400 and 100 for 200; 2.2 for 2 and 0.5 for 1
    assert savings([*layers, row("channel", 1.0, 0, 0.7, 1, 0.1)]) == ("nothing equal", "nothing equal")


def test_every_channel_has_a_cell_of_its_ink(table):
    explorer = BitExplorer(table=table, task="activities", strength=0.1)
    view = View(explorer)
    for explorer.strength in (1.0, 0.1):
        pixels = view.picture.cells.get_array()
        for row, bits in enumerate(explorer.result.channels.values()):
            line = pixels[round(len(pixels) * (1 - (row + 0.5) / 4)), ::CELL][: len(bits)]
            assert ["#" + bytes(cell[:3]).hex().upper() for cell in line] == [INKS[b] for b in bits]


def test_the_students_front_is_drawn(table):
    asked = []

    def cheapest(costs, accuracies):
        asked.append(len(costs))
        return costs == costs.min()

    explorer = BitExplorer(cheapest, table, task="activities")
    assert asked == [2, 2, 2, 2]  # two kinds of search, by memory and by energy
    assert explorer.result.means["channel"].fronts[0].tolist().count(True) == 1
    explorer.strength = 1.0
    assert len(asked) == 4, "a move asks for nothing new"
    View(explorer)


def test_mistakes_become_sentences(table):
    def unfinished(costs, accuracies):
        raise NotImplementedError("exercise 5")

    assert BitExplorer(unfinished, table).status == "unfinished is not written yet (exercise 5)."
    wrong = BitExplorer(lambda costs, accuracies: [0], table)
    assert "return True or False for each" in wrong.status and not wrong.fits
    View(wrong)


def test_each_task_has_strengths_of_its_own(table, tmp_path):
    rows = [row for row in measured(table) if row["task"] == "keywords" or row["strength"] == 0.1]
    (tmp_path / "mixed.json").write_text(json.dumps({"rows": rows}))
    explorer = BitExplorer(table=tmp_path / "mixed.json", task="keywords", strength=1.0)
    assert explorer.fits and explorer.strengths() == (0.1, 1.0)
    view = View(explorer)
    explorer.task = "activities"
    assert explorer.fits and explorer.strength == 0.1 and view.controls["strength"].options == (("0.1", 0.1),)


def test_a_search_that_is_missing(table, tmp_path):
    explorer = BitExplorer(table=table, task="activities", share="layer", strength=1.0, seed=1)
    assert explorer.status.startswith("this search is not in the table; run `labkit train mixed-table`")
    explorer.seed = 0
    assert explorer.fits and "every layer chooses" in explorer.status.lower()
    with pytest.raises(ValueError, match="table of searches is missing; run"):
        BitExplorer(table=tmp_path / "mixed.json")


def test_every_setting_draws(table):
    view = View(BitExplorer(table=table))
    explorer, pictures = view.explorer, set()
    for explorer.task, explorer.share, explorer.strength, explorer.seed in itertools.product(NETWORKS, SHARES, STRENGTHS, SEEDS):
        if explorer.fits:
            assert len(dict(explorer.rows(explorer.result))) == 12
        pictures.add(bytes(view.image.value))
    assert len(pictures) == 16
