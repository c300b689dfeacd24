"""Where `prepare` sets activation quantizers: where a microcontroller writes to memory, with the norm folded or not."""

import pytest
import torch
from torch import nn

from labkit.quantization.activations import ActivationQuantizer
from labkit.quantization.formats import Int
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
