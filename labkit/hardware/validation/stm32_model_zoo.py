"""Eight networks that no fit has seen, on a board that no fit has seen: ST's model zoo on an STM32H747I-DISCO.

The networks are written down from their papers: MobileNetV1 (Howard et al. 2017, table 1), MobileNetV2 (Sandler et al. 2018,
table 2) and ResNet for CIFAR (He et al. 2016, section 4.2). Their weights take the flash that ST publishes.
"""

from __future__ import annotations

import numpy as np

from labkit.hardware.catalog import read_csv
from labkit.hardware.cortex_m import CortexM
from labkit.hardware.measurements import systems
from labkit.hardware.validation.cortex_m_heldout import macs
from labkit.hardware.validation.row import Case, Row, summarise
from labkit.workload import INPUT, Layer, Workload

BOARD, STACK = "stm32h747i-disco", "x-cube-ai-7"
V1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]  # channels, stride
V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]  # t, c, n, s


def rows() -> list[Row]:
    cases = [_case(row) for row in read_csv("stm32_model_zoo")]
    return [summarise("Cortex-M7", "latency", "networks and board of ST's model zoo", cases, at_most=8)]


def _case(row: dict[str, str]) -> Case:
    """What the device says, and the baseline: the cycles per MAC of the systems with this core and stack, times the MACs."""
    network, device = build(row), CortexM(BOARD, STACK)
    estimate = device.estimate(network)
    peers = [s for s in systems() if (s.core, s.stack) == (device.core, STACK)]
    per_mac = np.exp(np.mean([np.log(s.cycles / macs(s)) for s in peers]))
    return Case(network.name, float(row["latency_ms"]), estimate.latency_ms.mid, network.macs * per_mac / device.clock_mhz / 1e3)


def build(row: dict[str, str]) -> Workload:
    """The network of a line of `stm32_model_zoo.csv`."""
    name, classes = row["network"], int(row["classes"])
    net = _Net((int(row["channels"]), int(row["size"]), int(row["size"])))
    if name == "mobilenet-v1":
        _mobilenet_v1(net, float(row["width"]))
    elif name == "mobilenet-v2":
        _mobilenet_v2(net, float(row["width"]))
    else:
        _resnet(net, (int(name.removeprefix("resnet-v1-")) - 2) // 6)
    net.add("avgpool", (net.shape[0], 1, 1))
    net.add("linear", (classes,), bias=True)
    net.add("softmax", (classes,))
    return Workload(f"{name}, width {row['width']}, {row['size']}x{row['size']}x{row['channels']}", net.input, tuple(net.layers))


class _Net:
    """Layers one after the other; padding "same", as in Keras."""

    def __init__(self, shape: tuple[int, ...]):
        self.input = self.shape = shape
        self.source, self.layers = INPUT, []

    def add(self, op: str, out: tuple[int, ...], sources: tuple[str, ...] = (), **more) -> None:
        layer = Layer(f"{op}{len(self.layers)}", op, sources or (self.source,), self.shape, out, **more)
        self.layers.append(layer)
        self.source, self.shape = layer.name, out

    def conv(self, channels: int, kernel: int = 1, stride: int = 1) -> None:
        self.add("conv", self._strided(channels, stride), kernel=(kernel,) * 2, stride=(stride,) * 2, bias=True)

    def depthwise(self, stride: int) -> None:
        out = self._strided(self.shape[0], stride)
        self.add("depthwise", out, kernel=(3, 3), stride=(stride,) * 2, groups=out[0], bias=True)

    def plus(self, source: str) -> None:
        self.add("add", self.shape, (source, self.source))

    def _strided(self, channels: int, stride: int) -> tuple[int, ...]:
        return channels, *(-(-size // stride) for size in self.shape[1:])


def _mobilenet_v1(net: _Net, width: float) -> None:
    net.conv(int(32 * width), 3, 2)
    for channels, stride in V1:
        net.depthwise(stride)
        net.conv(int(channels * width))


def _mobilenet_v2(net: _Net, width: float) -> None:
    net.conv(_eights(32 * width), 3, 2)
    for expansion, channels, repeats, first_stride in V2:
        for i in range(repeats):
            source, shape = net.source, net.shape
            if expansion > 1:
                net.conv(expansion * shape[0])
            net.depthwise(first_stride if i == 0 else 1)
            net.conv(_eights(channels * width))
            if net.shape == shape:
                net.plus(source)
    net.conv(1280)


def _eights(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth too small."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _resnet(net: _Net, blocks: int) -> None:
    net.conv(16, 3)
    for channels in (16, 32, 64):
        for i in range(blocks):
            source, shape = net.source, net.shape
            stride = 2 if channels > 16 and i == 0 else 1
            net.conv(channels, 3, stride)
            net.conv(channels, 3)
            if stride == 2:  # the way round is a convolution, too
                straight, net.source, net.shape = net.source, source, shape
                net.conv(channels, 1, 2)
                source, net.source = net.source, straight
            net.plus(source)
