"""A granularity says which weights share a scale: the rows hold every weight once, in order, whatever its memory layout."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.quantization.formats import Int
from labkit.quantization.granularity import PerChannel, PerGroup, PerTensor
from labkit.quantization.weights import WeightQuantizer

SHAPES = [(8, 4), (8, 4, 3), (8, 1, 3, 3), (5, 3, 2, 2), (1, 7), (3, 1)]
ALL = [PerTensor(), PerChannel(), PerGroup(1), PerGroup(4), PerGroup(5), PerGroup(1000)]


def weights(shape, seed=0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("granularity", ALL, ids=repr)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_hold_every_weight_once_and_in_order(granularity, shape):
    w = torch.arange(int(np.prod(shape))).reshape(shape)
    rows = granularity.rows(w)
    assert rows.dim() == 2 and rows.flatten().tolist() == list(range(w.numel()))


def test_number_of_rows():
    w = torch.zeros(8, 4, 3)
    assert [len(granularity.rows(w)) for granularity in (PerTensor(), PerChannel(), PerGroup(12), PerGroup(6))] == [1, 8, 8, 16]


def test_a_group_never_spans_two_channels():
    """12 weights a channel do not split into groups of 5: then the channel is the group."""
    w = weights((8, 4, 3))
    assert PerGroup(5).rows(w).shape == PerGroup(1000).rows(w).shape == PerChannel().rows(w).shape
    channel = torch.arange(8)[:, None, None].expand(8, 4, 3)
    for size in (1, 2, 3, 4, 6, 12):
        rows = PerGroup(size).rows(channel)
        assert rows.shape[1] == size and (rows == rows[:, :1]).all()


@pytest.mark.parametrize("granularity", ALL, ids=repr)
def test_memory_layout_does_not_matter(granularity):
    w = weights((6, 4, 3, 2))
    assert torch.equal(granularity.rows(w), granularity.rows(w.to(memory_format=torch.channels_last)))


@pytest.mark.parametrize("size", [0, -4])
def test_an_empty_group_is_refused(size):
    with pytest.raises(ValueError, match=f"a group of {size} weights has no scale; give a size of 1 or more"):
        PerGroup(size)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([3, 4, 8]))
def test_finer_is_never_worse(seed, bits):
    """With scale = max / span every finer row has a scale at most as wide, and no code is half a step away."""
    w = weights((6, 4, 3), seed)
    steps = {}
    for granularity in (PerTensor(), PerChannel(), PerGroup(3)):
        quantizer = WeightQuantizer(Int(bits), granularity)
        scale = quantizer.scale(w).expand_as(granularity.rows(w)).reshape(w.shape)
        assert ((quantizer(w) - w).abs() <= scale / 2 * (1 + 1e-5)).all()
        steps[granularity] = scale
    assert (steps[PerChannel()] <= steps[PerTensor()]).all() and (steps[PerGroup(3)] <= steps[PerChannel()]).all()


def test_a_large_channel_does_not_disturb_the_others():
    w = weights((4, 10))
    louder = w.clone()
    louder[0] *= 100
    assert torch.equal(WeightQuantizer(Int(4), PerChannel())(w)[1:], WeightQuantizer(Int(4), PerChannel())(louder)[1:])
    assert not torch.equal(WeightQuantizer(Int(4), PerTensor())(w)[1:], WeightQuantizer(Int(4), PerTensor())(louder)[1:])
