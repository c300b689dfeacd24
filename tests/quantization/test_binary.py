"""Signs, their gradient, and layers with binary weights: against brevitas, against the papers' formulas."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from labkit.quantization import binary, popcount
from labkit.quantization.binary import BinaryWeight, Sign, binarize, fixed_point


def test_the_sign_is_brevitas_binary_quant():
    quant = pytest.importorskip("brevitas.core.quant")
    scaling = pytest.importorskip("brevitas.core.scaling")
    x = torch.cat([torch.tensor([-1.0, -0.0, 0.0, 1.0, -1e-38, 1e-38]), torch.randn(1000)])
    theirs = quant.BinaryQuant(scaling.ConstScaling(0.5))(x)[0]
    assert torch.equal(0.5 * binary.sign(x), theirs)


def test_the_gradient_is_brevitas_clamped_binary_quant():
    quant = pytest.importorskip("brevitas.core.quant")
    scaling = pytest.importorskip("brevitas.core.scaling")
    ours, theirs = (torch.linspace(-3, 3, 601).requires_grad_() for _ in range(2))
    weights = torch.randn(601)
    (binary.sign(ours) * weights).sum().backward()
    (quant.ClampedBinaryQuant(scaling.ConstScaling(1.0))(theirs)[0] * weights).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_the_xnor_scale_is_the_least_squares_one():
    w = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    quantized = BinaryWeight(scaled=True)(w)
    rows, signs = w.flatten(1).double(), binary.sign(w).flatten(1).double()
    best = (rows * signs).sum(dim=1) / (signs * signs).sum(dim=1)
    assert torch.allclose(quantized.flatten(1).abs().double(), best[:, None].expand_as(rows), rtol=1e-6)
    assert torch.equal(torch.sign(quantized), binary.sign(w))


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 3, bias=False), nn.Conv1d(3, 4, 3, bias=False), nn.Linear(3, 4, bias=False)])
def test_a_layer_stays_what_it_is(layer):
    kind, shape = type(layer), layer.weight.shape
    kept = copy.deepcopy(layer).weight.detach()
    layer = binarize(layer)
    assert isinstance(layer, kind) and layer.weight.shape == shape and layer.weight_bits == 1
    assert torch.equal(layer.weight, binary.sign(kept))
    assert torch.equal(parametrize.type_before_parametrizations(layer).forward(layer, x := example(kind)), layer(x))
    layer(example(kind)).square().sum().backward()
    assert layer.parametrizations.weight.original.grad.abs().max() > 0
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is kind and set(layer.weight.unique().tolist()) == {-1.0, 1.0}


def example(kind):
    generator = torch.Generator().manual_seed(1)
    return torch.randn({nn.Conv2d: (2, 3, 5, 5), nn.Conv1d: (2, 3, 5), nn.Linear: (2, 3)}[kind], generator=generator)


def test_state_and_copies_keep_the_weights():
    layer = binarize(nn.Conv2d(2, 3, 3))
    other = binarize(nn.Conv2d(2, 3, 3))
    other.load_state_dict(copy.deepcopy(layer).state_dict())
    assert torch.equal(other.weight, layer.weight)


def test_torch_and_popcount_agree_on_a_binary_convolution():
    layer = binarize(nn.Conv2d(70, 9, 3, stride=2, bias=False))
    x = binary.sign(torch.randn(3, 70, 9, 8))
    integers, scale = binary.codes(layer)
    assert scale == 1.0
    assert np.array_equal(popcount.conv(x.numpy(), integers, stride=2), layer(x).detach().numpy())


def test_fixed_point_weights_are_integers_times_a_power_of_two():
    layer = fixed_point(nn.Conv2d(3, 8, 5, bias=False))
    before = layer.parametrizations.weight.original.detach()
    integers, scale = binary.codes(layer)
    assert np.log2(scale) == round(np.log2(scale))
    assert 64 <= np.abs(integers).max() <= 127
    assert torch.equal(layer.weight.detach(), torch.from_numpy(integers).float() * scale)
    assert torch.equal(torch.from_numpy(integers), torch.round(before / scale).long())
    x = binary.sign(torch.randn(2, 3, 9, 9))
    exact = F.conv2d(x.double(), torch.from_numpy(integers).double()) * scale
    assert torch.equal(layer(x).double(), exact)  # every sum of the float network is exact


def test_what_cannot_be_binary_is_one_sentence():
    with pytest.raises(ValueError, match="BatchNorm2d has no weights"):
        binarize(nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="no zero to pad with"):
        binarize(nn.Conv2d(3, 3, 3, padding=1))
    with pytest.raises(ValueError, match="no zero to pad with"):
        binarize(nn.Conv2d(3, 3, 3, padding="same"))
    with pytest.raises(ValueError, match="quantized already"):
        binarize(binarize(nn.Linear(2, 2)))
    spoiled = nn.Linear(2, 2)
    spoiled.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinite weights"):
        binarize(spoiled)
    with pytest.raises(ValueError, match="scale for each channel"):
        binary.codes(binarize(nn.Linear(4, 3), scaled=True))
    with pytest.raises(ValueError, match="Int has no 33 bits"):
        fixed_point(nn.Linear(2, 2), bits=33)


def test_a_sign_stores_one_bit():
    assert Sign().activation_bits == 1
    assert Sign()(torch.tensor([-0.0, 0.0, -3.0, 2.0])).tolist() == [1, 1, -1, 1]
