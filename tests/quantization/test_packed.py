"""A whole binary network: integers only, and the float network, bit for bit."""

import numpy as np
import pytest
import torch
from torch import nn

import labkit
from labkit import models
from labkit.models.binary_networks import BinaryKWS
from labkit.quantization.binary import Sign, binarize, compact, fixed_point
from labkit.quantization.packed import PackedNetwork


def signs(seed, *shape):
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), shape)


def with_statistics(model, seed):
    """Batch norms as training leaves them: statistics of data, slopes of both signs, one channel dead."""
    torch.manual_seed(seed)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            norm.weight.data[0] = 0
            norm.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.from_numpy(signs(seed, 64, 2, 50, 32)).float())
    return model.eval()


def float_logits(model, x):
    with torch.no_grad():
        return model(torch.from_numpy(x).float()).numpy()


@pytest.mark.parametrize("seed", range(3))
def test_every_activation_and_every_logit_is_the_float_network_s(seed):
    torch.manual_seed(seed)
    model = with_statistics(BinaryKWS(widths=(16, 70, 24, 32)), seed)
    network, x = PackedNetwork.of(model), signs(seed + 100, 40, 2, 50, 32)
    seen = []
    for layer in model.features:
        if isinstance(layer, Sign):
            layer.register_forward_hook(lambda module, args, output: seen.append(output.numpy()))
    logits = float_logits(model, x)
    maps = x
    for convolution, expected in zip(network.convolutions, seen, strict=True):
        maps = convolution(maps)
        assert np.array_equal(maps, expected)
        assert -0.95 < maps.mean() < 0.95  # the comparison is about something
    assert np.array_equal(network.logits(x), logits)
    assert np.array_equal(network.run(x).argmax(axis=1), logits.argmax(axis=1))
    assert len(np.unique(logits, axis=0)) == len(x)


def test_padding_with_minus_one_in_both():
    torch.manual_seed(0)
    blocks = []
    for conv in (fixed_point(nn.Conv2d(2, 8, 3, bias=False)), binarize(nn.Conv2d(8, 8, (5, 3), stride=(2, 1), bias=False))):
        blocks += [nn.ConstantPad2d((1, 1, 2, 2), -1.0), conv, nn.BatchNorm2d(8), Sign()]
    model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), fixed_point(nn.Linear(8, 3, bias=False)))
    model = with_statistics(model, 1)
    x = signs(2, 9, 2, 14, 8)
    network = PackedNetwork.of(model)
    assert network.convolutions[1](network.convolutions[0](x)).shape == (9, 8, 8, 8)
    assert np.array_equal(network.logits(x), float_logits(model, x))


def test_what_cannot_be_packed_is_one_sentence():
    block = lambda conv: nn.Sequential(conv, nn.BatchNorm2d(4), Sign()).eval()  # noqa: E731
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), fixed_point(nn.Linear(4, 2, bias=False))]
    with pytest.raises(ValueError, match=r"wants Conv2d where this one has Conv2d\(3, 4"):
        PackedNetwork.of(nn.Sequential(block(nn.Conv2d(3, 4, 3, bias=False)), *tail))
    with pytest.raises(ValueError, match="wants Sign where this one has ReLU"):
        PackedNetwork.of(nn.Sequential(binarize(nn.Conv2d(3, 4, 3, bias=False)), nn.BatchNorm2d(4), nn.ReLU(), *tail).eval())
    with pytest.raises(ValueError, match="without bias"):
        PackedNetwork.of(nn.Sequential(block(binarize(nn.Conv2d(3, 4, 3))), *tail))
    with pytest.raises(ValueError, match="wants AdaptiveAvgPool2d where this one has None"):
        PackedNetwork.of(nn.Sequential(block(binarize(nn.Conv2d(3, 4, 3, bias=False)))))
    with pytest.raises(ValueError, match="pads with −1"):
        PackedNetwork.of(nn.Sequential(nn.ConstantPad2d(1, 0.0), block(binarize(nn.Conv2d(3, 4, 3, bias=False))), *tail))
    with pytest.raises(ValueError, match="in training mode"):
        PackedNetwork.of(nn.Sequential(block(binarize(nn.Conv2d(3, 4, 3, bias=False))).train(), *tail))


def test_the_workload_knows_the_bits():
    workload = labkit.trace(*models.build("binary-kws"))
    bits = {layer.name: (layer.weight_bits, layer.activation_bits) for layer in workload.layers if layer.weights_per_channel}
    assert list(bits.values()) == [(8, 1), (1, 1), (1, 1), (1, 1), (8, 8)]
    assert workload.input_bits == 1 and workload.input_shape == (2, 50, 32)
    binary = [layer for layer in workload.layers if layer.weight_bits == 1]
    assert sum(layer.params - layer.out_channels for layer in binary) == 64 * 64 * 9 + 96 * 64 * 9 + 128 * 96 * 6
    assert workload.weight_bytes < 30_000


def test_the_stored_network_computes_the_same():
    model = with_statistics(BinaryKWS(widths=(8, 8, 8, 8)), 4)
    other = BinaryKWS(widths=(8, 8, 8, 8)).eval()
    other.load_state_dict(compact(model).state_dict())
    x = signs(5, 6, 2, 50, 32)
    assert np.array_equal(float_logits(other, x), float_logits(model, x))


def test_the_float_network_has_the_same_shape():
    float_one, binary_one = BinaryKWS(binary=False), BinaryKWS()
    assert labkit.trace(float_one, torch.zeros(1, 2, 50, 32)).macs == labkit.trace(binary_one, torch.zeros(1, 2, 50, 32)).macs
    assert not any(isinstance(layer, Sign) for layer in float_one.features)
