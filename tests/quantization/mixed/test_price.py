"""The price table: hand values, real mixed workloads on real devices, and a gradient."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.explorers import families
from labkit.hardware.reference import reference
from labkit.quantization.mixed.price import device_energy, device_latency, expected_cost, price_table, weight_memory, weighted
from labkit.workload import Layer, Workload

BITS = (0, 2, 4, 8)
SUMS_OVER_CHANNELS = (  # costs for which the table says everything
    weight_memory,
    device_latency("mpic"),
    device_energy("mpic"),
    device_latency("raspberry-pi-pico"),
    device_energy("nucleo-l4r5zi", stack="hale"),
)


def worked_example() -> Workload:
    """16 to 32 channels, 3×3, on 8×8 positions, without bias: the example of PLiNIO's cost models."""
    layer = Layer("conv", "conv", ("input",), (16, 8, 8), (32, 8, 8), (3, 3), (1, 1), (1, 1))
    return Workload("example", (16, 8, 8), (layer,))


@st.composite
def mixtures(draw):
    """A convolution, a depthwise and a dense layer with a pool between, and a width from BITS for every output channel."""
    channels, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    widths = [draw(st.lists(st.sampled_from(BITS), min_size=n, max_size=n)) for n in (channels, channels, outputs)]
    shape = (channels, 10)
    layers = (
        Layer("conv", "conv", ("input",), (2, 10), shape, (3,), (1,), (1,), 1, draw(st.booleans()), tuple(widths[0])),
        Layer("dw", "depthwise", ("conv",), shape, shape, (3,), (1,), (1,), channels, True, tuple(widths[1])),
        Layer("pool", "avgpool", ("dw",), shape, (channels, 1), (10,), (10,)),
        Layer("fc", "linear", ("pool",), (channels, 1), (outputs,), bias=True, weight_bits=tuple(widths[2])),
    )
    activation_bits = draw(st.sampled_from((2, 4, 8)))
    layers = tuple(dataclasses.replace(layer, activation_bits=activation_bits) for layer in layers)
    return Workload("mixed", (2, 10), layers, input_bits=activation_bits)


def one_hot(workload: Workload) -> list[torch.Tensor]:
    return [torch.tensor([[float(b == width) for b in BITS] for width in layer.channel_bits]) for layer in weighted(workload)]


def test_hand_values():
    table = 8 * price_table(worked_example(), BITS)
    assert table.tolist() == [[0, 9_216, 18_432, 36_864]]  # bits; PLiNIO's params_bit says 18 432 at 4
    cycles = 250e3 * price_table(worked_example(), BITS, device_latency("mpic"))
    assert cycles == pytest.approx(np.array([[0, 294_912 / 2.5, 128_222.6, 294_912 / 2.1]]), abs=0.05)
    energy = price_table(worked_example(), BITS, device_energy("mpic"))
    assert energy == pytest.approx(cycles / 250e6 * 5.3825e3)


@pytest.mark.parametrize("cost", SUMS_OVER_CHANNELS, ids=range(len(SUMS_OVER_CHANNELS)))
@given(workload=mixtures())
@settings(max_examples=25, deadline=None)
def test_a_mixed_layer_costs_the_mean_of_its_channels(cost, workload):
    """The table, read channel by channel, against the cost of the real mixed workload: what a search pays is what it gets."""
    table = price_table(workload, BITS, cost)
    real = cost(workload)
    for row, layer, price in zip(table, weighted(workload), real, strict=True):
        assert np.mean([row[BITS.index(b)] for b in layer.channel_bits]) == pytest.approx(price, rel=1e-9, abs=1e-12)
    assert expected_cost(one_hot(workload), table).item() == pytest.approx(real.sum(), rel=1e-5, abs=1e-9)


@given(mixtures())
def test_memory_is_that_of_the_layer_but_for_the_last_byte(workload):
    """Rounded up to whole bytes, it is what every device counts."""
    assert [math.ceil(price) for price in weight_memory(workload)] == [layer.weight_bytes for layer in weighted(workload)]


def test_every_device_fills_the_table():
    workload = families.tc_resnet8()  # every device runs it
    for name in labkit.devices():
        table = price_table(workload, BITS, device_latency(labkit.device(name)))
        assert table.shape == (len(weighted(workload)), 4) and np.isfinite(table).all()
        assert np.all(table[:, 0] == 0) and np.all(table >= 0) and np.all(table[:, 1:].sum(axis=0) > 0)


def test_the_table_leaves_activations_and_other_layers_alone():
    workload = reference("kws").with_bits(8, 4)
    assert price_table(workload, (4,), device_latency("mpic"))[0, 0] == pytest.approx(workload.layers[0].macs / 3.5 / 250e3)


def test_the_gradient_is_the_table():
    """∂cost/∂p(b) of a channel is its layer's price at b over the number of channels."""
    table = price_table(worked_example(), BITS)
    theta = torch.randn(32, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    p = torch.softmax(theta, dim=1)
    p.retain_grad()
    cost = expected_cost([p], table)
    cost.backward()
    assert p.grad.numpy() == pytest.approx(np.tile(table / 32, (32, 1)))
    assert theta.grad.abs().min() > 0
    assert cost.item() == pytest.approx(float((p.detach().numpy() @ table[0]).mean()), rel=1e-5)


def test_one_row_of_probabilities_is_one_width_for_the_layer():
    table = price_table(worked_example(), BITS)
    shared = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    assert expected_cost([shared], table).item() == pytest.approx(expected_cost([shared.expand(32, 4)], table).item())


def test_bad_input():
    pool = Layer("pool", "avgpool", ("input",), (4, 8), (4, 1), (8,), (8,))
    with pytest.raises(ValueError, match="no layer with weights"):
        price_table(Workload("pool", (4, 8), (pool,)))
    with pytest.raises(ValueError, match="1 layers have probabilities, 2 have prices"):
        expected_cost([torch.ones(1, 4)], np.ones((2, 4)))
    with pytest.raises(ValueError, match="did you mean mpic"):
        device_latency("mpicc")
