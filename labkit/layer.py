"""`Layer`: one operation of a network, and what it costs. A `labkit.workload.Workload` is a tuple of them.

Shapes leave out the batch: ``(channels, length)`` in 1-D, ``(channels, height, width)`` in 2-D, ``(features,)`` for vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from labkit.naming import did_you_mean

WEIGHTED = ("conv", "depthwise", "linear")
FRONT_END = ("window", "fft", "power", "mel", "log", "dct")
PLAIN = ("avgpool", "maxpool", "add", "mul", "concat", "activation", "norm", "softmax")
OPS = WEIGHTED + PLAIN + FRONT_END

INPUT = "input"  # the name by which layers refer to the network's input
BIAS_BITS = 32  # int32 accumulators take int32 biases (TFLite int8 specification); a float bias is as wide


def positions(shape: tuple[int, ...]) -> int:
    """Number of places a filter is applied at: the product of the spatial sizes.

    >>> positions((64, 25, 5))
    125
    """
    return math.prod(shape[1:])


@dataclass(frozen=True)
class Layer:
    """One operation of a network. Costs are properties, so that they cannot disagree with the shapes.

    `inputs` names the layers it reads (or ``"input"``). `weight_bits` is one number, or one per output channel, where 0 means
    that the channel is pruned. `density` is the share of non-zero weights. `live_inputs` and `live_outputs` count the channels
    that are not constant (``None``: all of them).

    >>> conv = Layer("conv", "conv", ("input",), (1, 49, 10), (64, 25, 5), kernel=(10, 4), stride=(2, 2), bias=True)
    >>> conv.macs, conv.params, conv.weight_bytes
    (320000, 2624, 2816)
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    groups: int = 1
    bias: bool = False
    weight_bits: int | tuple[int, ...] = 8
    activation_bits: int = 8
    density: float = 1.0
    live_inputs: int | None = None
    live_outputs: int | None = None

    def __post_init__(self):
        if self.op not in OPS:
            raise ValueError(f"layer {self.name!r}: unknown operation {self.op!r}; {did_you_mean(self.op, OPS)}")
        object.__setattr__(self, "inputs", tuple(self.inputs))
        for field, least in (("in_shape", 1), ("out_shape", 1), ("kernel", 1), ("stride", 1), ("padding", 0)):
            object.__setattr__(self, field, self._counts(field, tuple(getattr(self, field)), least))
        for field, least in (("groups", 1), ("activation_bits", 1), ("live_inputs", 0), ("live_outputs", 0)):
            if getattr(self, field) is not None:
                self._counts(field, (getattr(self, field),), least)
        if isinstance(self.weight_bits, Integral):
            object.__setattr__(self, "weight_bits", self._counts("weight_bits", (self.weight_bits,), 0)[0])
        else:
            object.__setattr__(self, "weight_bits", self._counts("weight_bits", tuple(self.weight_bits), 0))
            if len(self.weight_bits) != self.out_channels:
                raise ValueError(
                    f"layer {self.name!r}: {len(self.weight_bits)} bit widths for {self.out_channels} output channels; "
                    "give one number, or one per output channel"
                )
        if not (self.inputs and self.in_shape and self.out_shape):
            raise ValueError(f"layer {self.name!r}: inputs, in_shape and out_shape must not be empty; say what it reads and writes")
        if self.op in ("conv", "depthwise") and len(self.kernel) != len(self.in_shape) - 1:
            raise ValueError(f"layer {self.name!r}: kernel {self.kernel} for shape {self.in_shape}; give one size for each axis")
        if max(len(self.in_shape), len(self.out_shape)) > 3 or (self.op == "linear" and len(self.out_shape) > 1):
            raise ValueError(
                f"layer {self.name!r}: shapes {self.in_shape} and {self.out_shape}; give (channels, length) or (channels, height, "
                "width), and (features,) for what a linear layer writes"
            )
        if self.op == "depthwise" and self.groups == 1:
            object.__setattr__(self, "groups", self.in_channels)
        if self.op in ("conv", "depthwise") and (self.in_channels % self.groups or self.out_channels % self.groups):
            raise ValueError(
                f"layer {self.name!r}: {self.groups} groups for {self.in_channels} and {self.out_channels} channels; "
                "give a number that divides both"
            )
        if not 0.0 <= self.density <= 1.0:
            raise ValueError(f"layer {self.name!r}: density {self.density} is not a share; give a number from 0 to 1")

    def _counts(self, field: str, values: tuple, least: int) -> tuple[int, ...]:
        if not all(isinstance(value, Integral) and value >= least for value in values):
            raise ValueError(f"layer {self.name!r}: {field} is {getattr(self, field)!r}; give whole numbers, {least} or more")
        return tuple(map(int, values))

    @property
    def in_channels(self) -> int:
        return self.in_shape[0]

    @property
    def out_channels(self) -> int:
        return self.out_shape[0]

    @property
    def out_elements(self) -> int:
        """Numbers written: what a microcontroller requantizes and stores."""
        return math.prod(self.out_shape)

    @property
    def weights_per_channel(self) -> int:
        """Weights behind one output channel: the length of the dot product it computes."""
        if self.op == "conv":
            return math.prod(self.kernel) * self.in_channels // self.groups
        if self.op == "depthwise":
            return math.prod(self.kernel)
        if self.op == "linear":
            return math.prod(self.in_shape)
        return 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates, counted as if nothing were pruned."""
        if self.op in WEIGHTED:
            return self.weights_per_channel * self.out_elements
        frames = positions(self.out_shape)
        if self.op == "window":  # one product per sample
            return self.out_channels * frames
        if self.op == "fft":  # n real points as n/2 complex ones: n log2(n/2) MACs of butterflies, n to split the spectrum
            n = self.kernel[0]
            return int(n * math.log2(n)) * frames
        if self.op == "power":  # re² + im²
            return 2 * self.out_channels * frames
        if self.op == "mel":  # a frequency lies under two triangles at most
            return 2 * self.in_channels * frames
        if self.op == "dct":
            return self.in_channels * self.out_channels * frames
        return 0

    @property
    def params(self) -> int:
        """Weights and biases, with batch normalisation folded into them."""
        if self.op in WEIGHTED:
            return self.out_channels * (self.weights_per_channel + self.bias)
        return 2 * self.out_channels if self.op == "norm" else 0

    @property
    def live_fraction(self) -> float:
        """Share of the MACs that touch no constant (dead) channel.

        A compiler can fold a constant channel into the next bias; half of MLPerf Tiny's VWW network goes that way.
        """
        live_in = 1.0 if self.live_inputs is None else self.live_inputs / self.in_channels
        return self.live_output_fraction if self.op == "depthwise" else self.live_output_fraction * live_in

    @property
    def live_output_fraction(self) -> float:
        """Share of the output channels that are not constant; a channel pruned to 0 bits is."""
        kept = 1.0 if self.op not in WEIGHTED else self.share_of_channels(1)
        return kept if self.live_outputs is None else min(kept, self.live_outputs / self.out_channels)

    @property
    def live_macs(self) -> int:
        return round(self.macs * self.live_fraction)

    @property
    def channel_bits(self) -> np.ndarray:
        """Weight bits of each output channel, shape ``(out_channels,)``."""
        return np.broadcast_to(np.asarray(self.weight_bits), (self.out_channels,))

    def share_of_channels(self, least: int, most: float = math.inf) -> float:
        """Share of the output channels whose weights have `least` to `most` bits.

        >>> Layer("fc", "linear", ("input",), (64,), (4,), weight_bits=(0, 2, 4, 8)).share_of_channels(1)
        0.75
        """
        if isinstance(self.weight_bits, int):
            return float(least <= self.weight_bits <= most)
        return sum(least <= bits <= most for bits in self.weight_bits) / self.out_channels

    @property
    def stored_bits(self) -> int:
        """Bits of weights and biases; a channel of 0 bits has none."""
        if self.op not in WEIGHTED:
            return self.params * BIAS_BITS
        bits = self.channel_bits
        return self.weights_per_channel * int(bits.sum()) + BIAS_BITS * self.bias * int(np.count_nonzero(bits))

    @property
    def weight_bytes(self) -> int:
        """Flash taken by weights and biases, in whole bytes."""
        return math.ceil(self.stored_bits / 8)

    @property
    def out_bytes(self) -> int:
        return math.ceil(self.out_elements * self.activation_bits / 8)
