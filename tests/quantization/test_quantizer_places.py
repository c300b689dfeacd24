"""Where `prepare` sets activation quantizers: where a microcontroller writes to memory, with the norm folded or not."""

import pytest
import torch
from torch import nn

from labkit.quantization.activations import ActivationQuantizer
from labkit.quantization.formats import Int
from labkit.quantization.prepare import Scheme, calibrate, prepare


def places(prepared) -> list[str]:
    """What stands before each activation quantizer."""
    modules = dict(prepared.named_modules())
    nodes = [node for node in prepared.graph.nodes if isinstance(modules.get(str(node.target)), ActivationQuantizer)]
    return [str(node.args[0].target) for node in nodes]


@pytest.mark.parametrize("fold", [True, False])
def test_behind_the_relu_whether_the_norm_is_folded_or_not(fold):
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 2))
    prepared = prepare(net, Scheme(fold=fold))
    assert places(prepared) == ["input_1", "2", "3", "5"]
    calibrate(prepared, torch.randn(8, 2, 5))
    behind_relu = next(module for name, module in prepared.named_modules() if name == "quantize__2")
    assert behind_relu.zero_point == Int(8, narrow=False).low, "a ReLU's output spends no code on negative numbers"
