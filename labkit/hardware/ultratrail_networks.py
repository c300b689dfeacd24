"""The networks that HANNAH's search found for UltraTrail, rebuilt as workloads from `catalog/ultratrail_networks.csv`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from labkit.hardware.catalog import read_csv
from labkit.layer import INPUT, Layer
from labkit.workload import Workload

FEATURES = (40, 101)  # channels (mel or MFCC) and frames of all three tasks
CLASSES = {"kws": 12, "wwd": 3, "vad": 2}  # keyword spotting, wake word, voice activity; inferred from the cycle counts


@dataclass(frozen=True)
class Network:
    """A network, the chip that was made for it, and what the authors' model says of both."""

    workload: Workload
    array: int
    weight_bits: int
    activation_bits: int
    cycles: int
    power_uw: float
    area_um2: float
    cycles_hold: bool  # False where the authors' count of a layer is below zero

    @property
    def chip(self) -> dict[str, int]:
        """Options of `labkit.device("ultratrail", ...)`."""
        return {name: getattr(self, name) for name in ("array", "weight_bits", "activation_bits")}


@cache
def networks() -> tuple[Network, ...]:
    """All of them, each once.

    >>> len(networks()), networks()[0].workload.name, networks()[0].cycles
    (22, 'nas2_kws_5uw_ha', 12403)
    """
    return tuple(from_row(row) for row in read_csv("ultratrail_networks"))


def from_row(row: dict[str, str]) -> Network:
    """One line of the table."""
    weight_bits, activation_bits = int(row["weight_bits"]), int(row["activation_bits"])
    layers = tuple(_layers(row["blocks"], CLASSES[row["task"]]))
    return Network(
        Workload(row["network"], FEATURES, layers).with_bits(weight_bits, activation_bits),
        int(row["array"]), weight_bits, activation_bits,
        int(row["cycles"]), float(row["power_uw"]), float(row["area_um2"]), row["cycles_hold"] == "yes",
    )  # fmt: skip


def _layers(blocks: str, classes: int) -> list[Layer]:
    """``"residual/4 5x20 3x56; forward/1 3x36"`` as layers, global pooling and a classifier behind.

    A residual block with a stride fits its input to its output by a convolution of one tap. Without a stride the authors count
    none, whatever the channels.
    """
    layers, source, shape = [], INPUT, FEATURES
    for number, block in enumerate(blocks.split("; ")):
        head, *convolutions = block.split()
        kind, stride = head.split("/")
        before, entered, step = source, shape, int(stride)
        for i, text in enumerate(convolutions):
            kernel, channels = map(int, text.split("x"))
            layers.append(_conv(f"block{number}.conv{i}", source, shape, kernel, channels, step if i == 0 else 1))
            source, shape = layers[-1].name, layers[-1].out_shape
        if kind == "residual":
            if step > 1:
                layers.append(_conv(f"block{number}.skip", before, entered, 1, shape[0], step))
                before = layers[-1].name
            layers.append(Layer(f"block{number}.add", "add", (source, before), shape, shape))
            source = layers[-1].name
    channels, width = shape
    layers.append(Layer("pool", "avgpool", (source,), shape, (channels, 1), (width,), (width,)))
    return [*layers, Layer("classifier", "linear", ("pool",), (channels,), (classes,), bias=True)]


def _conv(name: str, source: str, shape: tuple[int, int], kernel: int, channels: int, stride: int) -> Layer:
    padding = kernel // 2
    width = (shape[1] + 2 * padding - kernel) // stride + 1
    return Layer(name, "conv", (source,), shape, (channels, width), (kernel,), (stride,), (padding,), bias=True)
