"""The benchmark runs and compares like with like. It is a program to run, not a test of speed."""

import pytest

from labkit.quantization import bench


def test_both_sides_train_and_are_measured():
    pytest.importorskip("brevitas")
    row = bench.measure("har-cnn", steps=2)
    assert min(row["float_ms"], row["labkit_ms"], row["brevitas_ms"]) > 0
    assert row["ratio"] == pytest.approx(row["labkit_ms"] / row["brevitas_ms"], rel=0.02)


def test_brevitas_has_as_many_quantized_layers_as_we_have():
    qnn = pytest.importorskip("brevitas.nn")
    from labkit import models
    from labkit.quantization.prepare import Scheme, prepare, weight_quantizers

    for name in ("ds-cnn", "har-cnn"):
        theirs = bench.in_brevitas(models.build(name)[0])
        layers = [m for m in theirs.modules() if isinstance(m, qnn.QuantConv1d | qnn.QuantConv2d | qnn.QuantLinear)]
        assert len(layers) == len(weight_quantizers(prepare(models.build(name)[0], Scheme())))
