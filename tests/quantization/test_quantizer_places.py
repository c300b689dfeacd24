"""Where `prepare` sets activation quantizers: where a microcontroller writes to memory, with the norm folded or not."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit.quantization.activations import ActivationQuantizer
from labkit.quantization.formats import Int
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.prepare import Scheme, calibrate, prepare


def quantizers(prepared) -> dict[str, ActivationQuantizer]:
    """What stands before each activation quantizer -> the quantizer, in the order they run."""
    modules = dict(prepared.named_modules())
    nodes = [node for node in prepared.graph.nodes if isinstance(modules.get(str(node.target)), ActivationQuantizer)]
    return {str(node.args[0].target): modules[str(node.target)] for node in nodes}


@pytest.mark.parametrize("fold", [True, False])
def test_behind_the_relu_whether_the_norm_is_folded_or_not(fold):
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 2))
    prepared = prepare(net, Scheme(fold=fold))
    found = quantizers(prepared)
    assert list(found)[1:] == ["2", "3", "5"], "behind the ReLU, the pool and the classifier; the first one is the input's"
    calibrate(prepared, torch.randn(8, 2, 5))
    assert found["2"].zero_point == Int(8, narrow=False).low, "a ReLU's output spends no code on negative numbers"
    assert found["3"] is found["2"], "an integer average keeps the scale of what it averages"


def test_a_relu_behind_a_pool_does_not_hide_the_scale():
    """Max pool, ReLU, average pool: the average keeps the scale of the convolution, as an integer average does."""
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.MaxPool1d(2), nn.ReLU(), nn.AvgPool1d(4), nn.Flatten(), nn.Linear(3, 2))
    prepared, x = prepare(net, Scheme()), torch.randn(16, 2, 8)
    found = quantizers(prepared)
    assert list(found)[1:] == ["0", "3", "5"] and found["3"] is found["0"]
    calibrate(prepared, x)
    network = IntegerNetwork.of(prepared, x)
    assert np.array_equal(network.run(x, rounding="exact"), network.run(x, face="float"))
    # four codes often average to a half, which float32 rounds either way: one code of the pool, a few of the classifier
    assert np.abs(network.logits(x) - prepared(x).detach().numpy()).mean() <= network.output.scale


def test_in_the_academic_setting_a_layer_behind_pool_and_relu_reads_quantized_numbers():
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.MaxPool1d(2), nn.ReLU(), nn.Conv1d(3, 2, 1))
    assert list(quantizers(prepare(net, Scheme(every_op=False))))[1:] == ["0"]


@pytest.mark.parametrize("every_op", [True, False])
def test_a_norm_that_no_layer_takes_in_has_a_range_of_its_own(every_op):
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.ReLU(), nn.MaxPool1d(2), nn.BatchNorm1d(3), nn.Conv1d(3, 2, 1))
    found = quantizers(prepare(net, Scheme(every_op=every_op)))
    assert list(found)[1:] == (["1", "3", "4"] if every_op else ["3"])
