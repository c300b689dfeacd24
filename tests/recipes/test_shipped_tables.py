"""What the shipped tables claim, recomputed from their rows."""

import json

import numpy as np
import pytest

from labkit.recipes import mixed, quantization
from labkit.recipes.quantization import ALGORITHMS, FORMATS, SEEDS, summaries

TASKS = list(quantization.TASKS)


@pytest.fixture(scope="module")
def rows():
    return json.loads(quantization.TABLE.read_text(encoding="utf-8"))["rows"]


def test_the_table_is_whole(rows):
    there = {(row["task"], row["method"], row["seed"]) for row in rows}
    assert there == {(task, method, seed) for task in TASKS for method in FORMATS | ALGORITHMS for seed in SEEDS}
    assert len(rows) == len(there)


@pytest.mark.parametrize(
    "method, points", [("int8, post-training", 0.5), ("int4", 1.5), ("int2, edges int8", 3), ("power of two, 4 bits", 3)]
)
@pytest.mark.parametrize("task", TASKS)
def test_few_bits_stay_near_the_float_network(rows, task, method, points):
    """The aims of the course: mean over three seeds, fake quantization and integers alike."""
    summary, floating = summaries(rows, task)[method], summaries(rows, task)["float"]
    assert 100 * summary["minus_float"] >= -points
    assert 100 * (summary["integer_accuracy"] - floating["accuracy"]) >= -points


def test_deployment_costs_what_the_academic_setting_hides(rows):
    """MQBench's finding, on keywords: every algorithm loses when norms are folded and every operation is quantized."""
    summary = summaries(rows, "keywords")
    for name in {name.split(",")[0] for name in ALGORITHMS}:
        assert summary[f"{name}, deployable"]["accuracy"] < summary[f"{name}, academic"]["accuracy"]


def test_the_float_networks_are_those_of_the_cards(rows):
    from labkit import models
    from labkit.recipes.speech import UNSEEN_REAL, of_seed

    for row in rows:
        if row["task"] == "keywords" and row["method"] == "float":
            assert row["accuracy"] == models.card(of_seed("ds-cnn-mini", row["seed"])).figures[UNSEEN_REAL]["accuracy"]


def test_the_mixed_tables_bytes_are_those_of_its_widths():
    """Memory from the widths alone: weights behind each channel times its bits, and a 32-bit bias for each that is left."""
    from labkit import models, trace
    from labkit.quantization.folding import fold_batch_norms

    networks = {"keywords": models.build("ds-cnn"), "activities": models.build("har-cnn")}
    layers = {task: trace(fold_batch_norms(model), example) for task, (model, example) in networks.items()}
    rows = json.loads(mixed.TABLE.read_text(encoding="utf-8"))["rows"]
    for row in rows:
        total = 0
        for name, bits in row["bits"].items():
            bits = np.array(bits)
            total += int(np.ceil((layers[row["task"]][name].weights_per_channel * bits.sum() + 32 * np.count_nonzero(bits)) / 8))
        assert total == row["weight_bytes"]
    there = {(row["task"], row["share"], row["strength"], row["seed"]) for row in rows}
    assert there == {(t, share, s, seed) for t in TASKS for share in mixed.BITS for s in mixed.STRENGTHS[t] for seed in SEEDS}
