"""The quantization explorer: it rounds with the student's function, and shows accuracies only from a table that was computed."""

import itertools
import json

import numpy as np
import pytest

import labkit
from labkit import models
from labkit.explorers import QuantizationExplorer
from labkit.explorers.quantization import ACCURACY, BITS, DEVICES, GRANULARITIES, LAYERS, OBSERVERS, nearest
from labkit.explorers.view import View
from labkit.quantization.formats import Int
from labkit.quantization.granularity import PerChannel, PerGroup, PerTensor
from labkit.quantization.prepare import Scheme, prepare


@pytest.fixture
def table(tmp_path):
    """Accuracies that are easy to recognise."""
    entries = [
        {"weight_bits": bits, "activation_bits": 8, "granularity": "channel", "observer": "minmax", "accuracy": 0.1 * bits}
        for bits in (2, 4, 8)
    ]
    path = tmp_path / "ptq.json"
    path.write_text(json.dumps({"command": "x", "data": "three strangers", "float_accuracy": 0.85, "entries": entries}))
    return path


@pytest.mark.parametrize(
    ("name", "granularity"), [("tensor", PerTensor()), ("channel", PerChannel()), ("group", PerGroup(8))], ids=str
)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_rounded_weights_are_those_of_prepare(name, granularity, bits):
    model, _ = models.pretrained("har-cnn", "watch")
    prepared = prepare(model, Scheme(Int(bits), activations=None, granularity=granularity))
    for layer, module in LAYERS.items():
        shown = QuantizationExplorer(layer=layer, granularity=name, weight_bits=bits).result.weights
        weight = prepared.get_submodule(module).weight.detach().numpy()
        np.testing.assert_allclose(shown.back.ravel(), weight.ravel(), atol=1e-6)


def test_one_bit_more_is_worth_six_decibels():
    snr = [QuantizationExplorer(layer="convolution 2", weight_bits=bits).result.weights.snr_db for bits in (4, 5, 6)]
    np.testing.assert_allclose(np.diff(snr), 6.5, atol=1)  # 6.02 for a doubled number of marks, and 2^b - 1 more than doubles


def test_accuracy_comes_from_the_table_or_not_at_all(table, tmp_path):
    explorer = QuantizationExplorer(table=table)
    assert "Accuracy 40.0% (float: 85.0%)" in explorer.status and "three strangers" in explorer.sources()[0]
    assert [row["weight_bits"] for row in explorer.result.curve] == [2, 4, 8]
    explorer.granularity = "tensor"
    assert "not measured for this setting" in explorer.status and ("accuracy", "–") in explorer.rows(explorer.result)
    without = QuantizationExplorer(table=tmp_path / "none.json")
    assert "not measured yet; run `labkit train ptq-table`" in without.status


def test_it_rounds_with_the_students_function():
    def down(x, scale, zero_point, low, high):
        return np.clip(np.floor(x / scale) + zero_point, low, high)

    ours, theirs = QuantizationExplorer().result, QuantizationExplorer(down).result
    assert theirs.weights.snr_db < ours.weights.snr_db - 3
    assert not np.allclose(theirs.inputs.back, ours.inputs.back)
    pictures = {View(QuantizationExplorer(function)).image.value for function in (nearest, down)}
    assert len(pictures) == 2


def test_mistakes_become_sentences():
    def unfinished(x, scale, zero_point, low, high):
        raise NotImplementedError("exercise 1")

    assert QuantizationExplorer(unfinished).status == "unfinished is not written yet (exercise 1)."
    flat = QuantizationExplorer(lambda x, *ruler: nearest(x, *ruler).ravel())
    assert flat.status == "the codes have shape (672,); return one for each of the (16, 42) numbers" and not flat.fits
    View(flat)


def test_memory_and_price_are_those_of_the_device():
    model, example = models.build("har-cnn")
    base = labkit.trace(model, example)
    for device, bits in itertools.product(DEVICES, (2, 8)):
        result = QuantizationExplorer(device=device, weight_bits=bits, activation_bits=8).result
        want = labkit.device(device).estimate(base.with_bits(bits, 8))
        assert result.estimate.latency_ms == want.latency_ms and result.estimate.flash_bytes == want.flash_bytes


def test_every_setting_draws(table):
    explorer = QuantizationExplorer(table=table)
    view = View(explorer)
    for layer, granularity, bits in itertools.product(LAYERS, GRANULARITIES, BITS):
        explorer.layer, explorer.granularity, explorer.weight_bits = layer, granularity, bits
        assert explorer.fits and view.image.value
    pictures = set()
    for observer, bits in itertools.product(OBSERVERS, BITS):
        explorer.observer, explorer.activation_bits = observer, bits
        assert explorer.fits and view.image.value
        pictures.add(explorer.result.inputs.snr_db)
    assert len(pictures) > len(OBSERVERS) * len(BITS) / 2, "most ranges have a signal-to-noise ratio of their own"


@pytest.mark.skipif(not ACCURACY.exists(), reason="the table of accuracies has not been computed here")
def test_the_shipped_table_covers_every_setting():
    explorer = QuantizationExplorer()
    for granularity, observer, activation_bits in itertools.product(GRANULARITIES, OBSERVERS, BITS):
        explorer.granularity, explorer.observer, explorer.activation_bits = granularity, observer, activation_bits
        assert [row["weight_bits"] for row in explorer.result.curve] == list(BITS)
