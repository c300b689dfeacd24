"""XNOR and popcount give the dot products of ±1, whatever the shape: against numpy integers and against torch's convolutions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.quantization import popcount

seeds = st.integers(0, 2**32 - 1)


def signs(rng, *shape):
    return rng.choice(np.array([-1, 1], dtype=np.int8), shape)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 300), rows=st.integers(1, 4), seed=seeds)
def test_packing_is_lossless_and_the_identity_holds(n, rows, seed):
    rng = np.random.default_rng(seed)
    a, w = signs(rng, rows, n), signs(rng, rows, n)
    assert popcount.pack(a).shape == (rows, -(-n // 64))
    assert np.array_equal(popcount.unpack(popcount.pack(a), n), a)
    assert np.array_equal(popcount.dot(popcount.pack(a), popcount.pack(w), n), (a.astype(int) * w).sum(axis=1))


def test_the_order_of_bits_is_the_documented_one():
    one_hot = -np.ones((130, 130), dtype=int) + 2 * np.eye(130, dtype=int)
    words = popcount.pack(one_hot)
    assert all(words[i, i // 64] == np.uint64(1) << np.uint64(i % 64) for i in range(130))


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    axes=st.integers(1, 2),
    channels=st.sampled_from([1, 3, 63, 64, 65, 130]),
    out=st.integers(1, 5),
    seed=seeds,
)
def test_convolution_equals_torch(data, axes, channels, out, seed):
    kernel = tuple(data.draw(st.integers(1, 4)) for _ in range(axes))
    stride = tuple(data.draw(st.integers(1, 3)) for _ in range(axes))
    padding = tuple(data.draw(st.integers(0, 2)) for _ in range(axes))
    space = tuple(k + data.draw(st.integers(0, 5)) for k in kernel)
    rng = np.random.default_rng(seed)
    x, w = signs(rng, 2, channels, *space), signs(rng, out, channels, *kernel)
    filters = signs(rng, channels, 1, *kernel)
    pads = [p for p in reversed(padding) for _ in range(2)]
    padded = F.pad(torch.from_numpy(x).double(), pads, value=-1.0)
    convolve = F.conv1d if axes == 1 else F.conv2d
    dense = convolve(padded, torch.from_numpy(w).double(), stride=stride)
    each = convolve(padded, torch.from_numpy(filters).double(), stride=stride, groups=channels)
    assert np.array_equal(popcount.conv(x, w, stride, padding), dense.numpy())
    assert np.array_equal(popcount.depthwise(x, filters, stride, padding), each.numpy())


def test_linear_equals_the_integer_product():
    rng = np.random.default_rng(0)
    x, w = signs(rng, 7, 200), signs(rng, 12, 200)
    assert np.array_equal(popcount.linear(x, w), x.astype(int) @ w.T)


def test_padding_as_the_torch_face_pads():
    rng = np.random.default_rng(1)
    x, w = signs(rng, 2, 5, 6, 7), signs(rng, 3, 5, 3, 3)
    layer = torch.nn.Sequential(torch.nn.ConstantPad2d(1, -1.0), torch.nn.Conv2d(5, 3, 3, bias=False))
    layer[1].weight.data = torch.from_numpy(w).float()
    assert np.array_equal(popcount.conv(x, w, padding=1), layer(torch.from_numpy(x).float()).detach().numpy())


@pytest.mark.parametrize("value", [0, 2, np.nan, 0.5])
def test_only_signs_can_be_packed(value):
    with pytest.raises(ValueError, match="holds −1 and \\+1 only"):
        popcount.pack(np.array([1, value, -1]))


def test_shapes_that_do_not_fit_are_one_sentence():
    x = np.ones((1, 4, 5, 5))
    with pytest.raises(ValueError, match="4 input channels, the weights are for 3"):
        popcount.conv(x, np.ones((2, 3, 3, 3)))
    with pytest.raises(ValueError, match="4 channels, the weights are for 2"):
        popcount.depthwise(x, np.ones((2, 1, 3, 3)))
    with pytest.raises(ValueError, match="4 inputs, the weights are for 3"):
        popcount.linear(np.ones((1, 4)), np.ones((2, 3)))
