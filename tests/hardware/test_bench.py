"""The benchmark races two ways to the same answer; how fast they are is for ``labkit bench estimate`` to say."""

import numpy as np
import pytest

import labkit
from labkit.hardware import bench


@pytest.mark.parametrize("make", [bench.ds_cnn_space, bench.temporal_space])
def test_a_space_draws_networks_whose_layers_fit_together(make):
    candidates = make().draw(50, seed=1)
    for network in candidates:
        shapes = {"input": network.input_shape} | {layer.name: layer.out_shape for layer in network.layers}
        for layer in network.layers:
            assert np.prod(layer.in_shape) == np.prod(shapes[layer.inputs[0]])


@pytest.mark.parametrize("name", bench.RACES)
def test_both_ways_agree(name, monkeypatch):
    monkeypatch.setattr(bench, "NETWORKS", 200)
    monkeypatch.setattr(bench, "PEER_NETWORKS", 100)
    monkeypatch.setattr(bench, "REPEATS", 2)
    row = bench.race(name)  # raises when they disagree
    assert row["layers"] == 11 and row["per_second"] > 0
    assert name in bench.table({"rows": [row]})


def test_the_price_of_many_is_the_price_of_each():
    candidates = bench.ds_cnn_space().draw(5)
    many = labkit.device("nucleo-l4r5zi").estimate_many(candidates)
    for i, network in enumerate(candidates):
        assert many["latency_ms"][i] == pytest.approx(labkit.device("nucleo-l4r5zi").estimate(network).latency_ms.mid)
