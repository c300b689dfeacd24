"""The cost explorer: its layer records are the trace's, its numbers are the device's, and it says when a network does not fit."""

import itertools

import pytest
import torch
from torch import nn

import labkit
from labkit.explorers import CostExplorer, families
from labkit.explorers.cost import KINDS, MOTION, TASKS, stacks
from labkit.explorers.view import View
from labkit.models.networks import DSCNN, HARCNN, TCResNet8, conv_bn_relu

FACTS = (
    "op", "macs", "live_macs", "params", "weight_bytes", "in_shape", "out_shape", "kernel", "stride", "padding", "groups", "bias",
)  # fmt: skip


def same(records, traced):
    assert len(records) == len(traced)
    for ours, real in zip(records.layers, traced.layers, strict=True):
        assert [getattr(ours, fact) for fact in FACTS] == [getattr(real, fact) for fact in FACTS]
    assert (records.memory_profile == traced.memory_profile).all()


@pytest.mark.parametrize("width, blocks, kernel, frames", [(64, 4, 3, 49), (8, 1, 9, 24), (96, 2, 5, 74), (24, 3, 7, 199)])
def test_ds_cnn_records_are_what_trace_reads(width, blocks, kernel, frames):
    model = DSCNN(width=width, blocks=blocks)
    for step, layer in enumerate(model.features):
        if isinstance(layer, nn.Sequential) and layer[0].groups > 1:
            model.features[step] = conv_bn_relu(nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False))
    same(families.ds_cnn(width, blocks, kernel, frames), labkit.trace(model, torch.zeros(1, 1, frames, 10)))


@pytest.mark.parametrize("samples", [64, 128, 192, 512])
@pytest.mark.parametrize("width", [8, 16, 48])
def test_har_cnn_records_are_what_trace_reads(width, samples):
    model = HARCNN(widths=(width, 2 * width, 4 * width))
    same(families.har_cnn(width, samples=samples), labkit.trace(model, torch.zeros(1, 6, samples)))


@pytest.mark.parametrize("width, frames", [(1.0, 98), (0.5, 98), (3.0, 50)])
def test_tc_resnet8_records_are_what_trace_reads(width, frames):
    same(families.tc_resnet8(width, frames), labkit.trace(TCResNet8(width=width), torch.zeros(1, 40, frames)))


def test_har_cnn_at_other_depths_and_kernels():
    layers, channels = [], 6
    for i, kernel in enumerate((9, 7, 5, 3, 3)):
        layers.append(conv_bn_relu(nn.Conv1d(channels, 8 * 2**i, kernel, stride=2, padding=kernel // 2, bias=False)))
        channels = 8 * 2**i
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels, 7))
    same(families.har_cnn(8, 5, 9), labkit.trace(model, torch.zeros(1, 6, 128)))


def test_numbers_are_those_of_the_device():
    explorer = CostExplorer(width=32, device="disco-f746ng", stack="x-cube-ai-9")
    expected = labkit.device("disco-f746ng", stack="x-cube-ai-9").estimate(families.ds_cnn(32))
    assert explorer.result.estimate == expected
    shares = explorer.result.shares()
    assert [sum(column) for column in zip(*shares.values(), strict=True)] == pytest.approx([1, 1])
    assert shares["depthwise"][1] > shares["depthwise"][0], "depthwise layers take more of the time than of the MACs"
    assert explorer.sources() == expected.provenance


def test_a_task_starts_from_its_zoo_network_and_a_device_from_its_software():
    explorer = CostExplorer(task=MOTION)
    assert (explorer.width, explorer.blocks, explorer.kernel) == TASKS[MOTION] and explorer.result.workload == families.har_cnn()
    explorer.device = "raspberry-pi-pico"
    assert explorer.stack in stacks("raspberry-pi-pico")
    explorer.device = "max78000"
    assert explorer.stack == stacks("max78000")[0]


def test_does_not_fit_is_red_and_says_why():
    explorer = CostExplorer(task=MOTION, width=256, blocks=5, device="nucleo-g0b1re")
    view = View(explorer)
    assert not explorer.fits and set(explorer.result.estimate.missing) == {"flash_bytes"}
    assert explorer.status.startswith("Does not fit: nucleo-g0b1re lacks 31.7 MiB of flash.")
    assert "#D55E00" in view.status.value
    colours = {tuple(pixel) for pixel in view.picture.pixels()[::4, ::4].reshape(-1, 3)}
    assert (0xD5, 0x5E, 0x00) in colours
    explorer.blocks = 1
    assert explorer.fits and "#D55E00" not in view.status.value
    assert (0xD5, 0x5E, 0x00) not in {tuple(pixel) for pixel in view.picture.pixels()[::4, ::4].reshape(-1, 3)}


def test_every_network_on_the_sliders_gives_numbers_or_a_reason():
    """All 3,840 networks; the pairs of device and software take turns."""
    settings = CostExplorer.settings()
    turns = itertools.cycle((device, stack) for device in labkit.devices() for stack in stacks(device))
    grid = itertools.product(TASKS, *(settings[name].values for name in ("width", "blocks", "kernel", "length")))
    for task, width, blocks, kernel, length in grid:
        device, stack = next(turns)
        explorer = CostExplorer(task=task, width=width, blocks=blocks, kernel=kernel, length=length, device=device, stack=stack)
        if explorer.result is None:
            assert len(explorer.problem) > 20 and not explorer.fits
            continue
        estimate = explorer.result.estimate
        assert 0 < estimate.latency_ms.low <= estimate.latency_ms.mid <= estimate.latency_ms.high
        assert explorer.fits or explorer.status.startswith("Does not fit: ")
        assert set(explorer.result.shares()) == set(KINDS) and len(dict(explorer.rows(explorer.result))) == 9


@pytest.mark.parametrize("device", labkit.devices())
def test_every_device_can_be_drawn(device):
    explorer = CostExplorer(device=device)
    view = View(explorer)
    for explorer.stack in stacks(device)[-1:]:
        assert device in view.status.value
