"""Weight quantizers against brevitas, bit for bit."""

import warnings

import pytest
import torch

from labkit.quantization.formats import Int
from labkit.quantization.granularity import PerChannel, PerTensor
from labkit.quantization.weights import PowerOfTwoScale, WeightQuantizer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    qnn = pytest.importorskip("brevitas.nn")
    from brevitas.quant import (
        Int8WeightPerChannelFloat,
        Int8WeightPerTensorFixedPoint,
        Int8WeightPerTensorFloat,
    )

FREE = {PerTensor(): Int8WeightPerTensorFloat, PerChannel(): Int8WeightPerChannelFloat}
POWERS = {PerTensor(): Int8WeightPerTensorFixedPoint}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize(
    "ours, theirs, granularity",
    [(WeightQuantizer, FREE, PerTensor()), (WeightQuantizer, FREE, PerChannel()), (PowerOfTwoScale, POWERS, PerTensor())],
)
def test_quantized_weights_equal_brevitas(ours, theirs, granularity, bits, seed):
    torch.manual_seed(seed)
    layer = qnn.QuantConv2d(8, 16, 3, weight_quant=theirs[granularity], weight_bit_width=bits)
    theirs = layer.quant_weight()
    quantizer = ours(Int(bits), granularity)
    assert torch.equal(quantizer.scale(layer.weight).flatten(), theirs.scale.detach().flatten())
    assert torch.equal(quantizer(layer.weight), theirs.value)
    assert torch.equal(quantizer.codes(layer.weight), theirs.int().to(torch.int64))
