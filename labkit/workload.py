"""The waist of the hourglass: what a network costs, before any device is named.

Everything above makes a `Workload` (a traced model, a quantized one, a point of a search space); everything below prices it
(a Cortex-M, an accelerator). A workload is plain records, so this file needs numpy and nothing else.

Shapes leave out the batch: ``(channels, length)`` in 1-D, ``(channels, height, width)`` in 2-D, ``(features,)`` for vectors.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

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
        for field in ("inputs", "in_shape", "out_shape", "kernel", "stride", "padding"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if not isinstance(self.weight_bits, int):
            object.__setattr__(self, "weight_bits", tuple(int(b) for b in self.weight_bits))
            if len(self.weight_bits) != self.out_channels:
                raise ValueError(
                    f"layer {self.name!r}: {len(self.weight_bits)} bit widths for {self.out_channels} output channels; "
                    "give one number, or one per output channel"
                )
        if not 0.0 <= self.density <= 1.0:
            raise ValueError(f"layer {self.name!r}: density {self.density} is not a share; give a number from 0 to 1")

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
        live_out = 1.0 if self.live_outputs is None else self.live_outputs / self.out_channels
        live_in = 1.0 if self.live_inputs is None else self.live_inputs / self.in_channels
        return live_out if self.op == "depthwise" else live_out * live_in

    @property
    def live_macs(self) -> int:
        return round(self.macs * self.live_fraction)

    @property
    def channel_bits(self) -> np.ndarray:
        """Weight bits of each output channel, shape ``(out_channels,)``."""
        return np.broadcast_to(np.asarray(self.weight_bits), (self.out_channels,))

    @property
    def weight_bytes(self) -> int:
        """Flash taken by weights and biases; a channel of 0 bits takes none."""
        if self.op not in WEIGHTED:
            return self.params * BIAS_BITS // 8
        bits = self.channel_bits
        total = self.weights_per_channel * int(bits.sum()) + BIAS_BITS * self.bias * int(np.count_nonzero(bits))
        return math.ceil(total / 8)

    @property
    def out_bytes(self) -> int:
        return math.ceil(self.out_elements * self.activation_bits / 8)


@dataclass(frozen=True)
class Workload:
    """A network as a list of layers in the order they run. `input_shape` has no batch; `input_bits` is the input's width.

    >>> layer = Layer("fc", "linear", ("input",), (64,), (12,), bias=True)
    >>> w = Workload("tiny", (64,), (layer,))
    >>> w.macs, w.params, w.weight_bytes, w.peak_activation_bytes
    (768, 780, 816, 76)
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    input_bits: int = 8

    def __post_init__(self):
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "layers", tuple(self.layers))
        known = {INPUT}
        for layer in self.layers:
            for source in layer.inputs:
                if source not in known:
                    raise ValueError(f"layer {layer.name!r} reads {source!r}, which does not run before it")
            if layer.name in known:
                raise ValueError(f"two layers are called {layer.name!r}; names must be unique")
            known.add(layer.name)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer {name!r}; {did_you_mean(name, [layer.name for layer in self.layers])}")

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def live_macs(self) -> int:
        return sum(layer.live_macs for layer in self.layers)

    @property
    def params(self) -> int:
        return sum(layer.params for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def memory_profile(self) -> np.ndarray:
        """Bytes of activations alive while each layer runs, shape ``(layers,)``.

        A tensor lives from the layer that writes it to the last layer that reads it. No in-place tricks are assumed. A feature
        front end works while the sound comes in: what only its layers read is held one frame at a time.
        """
        size = {INPUT: math.ceil(math.prod(self.input_shape) * self.input_bits / 8)}
        born, last_read, frame_by_frame = {INPUT: 0}, {}, {}
        for step, layer in enumerate(self.layers):
            size[layer.name], born[layer.name] = layer.out_bytes, step
            for source in layer.inputs:
                last_read[source] = step
                frame_by_frame[source] = layer.op in FRONT_END and frame_by_frame.get(source, True)
        for layer in self.layers:
            if frame_by_frame.get(layer.name):
                size[layer.name] = math.ceil(layer.out_bytes / positions(layer.out_shape))
        if frame_by_frame.get(INPUT):  # one window of samples
            size[INPUT] = math.ceil(self.layers[0].out_channels * self.input_bits / 8)
        change = [0] * (len(self.layers) + 2)
        for tensor, nbytes in size.items():
            change[born[tensor]] += nbytes
            change[last_read.get(tensor, born[tensor]) + 1] -= nbytes
        return np.cumsum(change[:-2], dtype=np.int64)

    @cached_property
    def peak_activation_bytes(self) -> int:
        """The most activation memory alive at once (RAM a microcontroller needs for tensors)."""
        return int(self.memory_profile.max(initial=0))

    def then(self, other: Workload) -> Workload:
        """This workload followed by `other`, as when a feature front end feeds a network. Sizes must agree, shapes may not.

        >>> a = Workload("a", (4,), (Layer("x", "linear", ("input",), (4,), (8,)),))
        >>> b = Workload("b", (8,), (Layer("y", "linear", ("input",), (8,), (2,)),))
        >>> [layer.inputs for layer in a.then(b).layers]
        [('input',), ('x',)]
        """
        last = self.layers[-1]
        if math.prod(last.out_shape) != math.prod(other.input_shape):
            raise ValueError(f"{self.name} gives {last.out_shape}, but {other.name} wants {other.input_shape}")
        joined = tuple(
            dataclasses.replace(layer, inputs=tuple(last.name if i == INPUT else i for i in layer.inputs)) for layer in other.layers
        )
        return Workload(f"{self.name}+{other.name}", self.input_shape, self.layers + joined, self.input_bits)

    def with_bits(self, weight_bits: int, activation_bits: int | None = None) -> Workload:
        """The same network at another width, the input included."""
        activation_bits = activation_bits or weight_bits
        layers = tuple(dataclasses.replace(x, weight_bits=weight_bits, activation_bits=activation_bits) for x in self.layers)
        return dataclasses.replace(self, layers=layers, input_bits=activation_bits)

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Workload:
        layers = tuple(_record(Layer, layer) for layer in data.get("layers", ()))
        return _record(cls, {**data, "layers": layers})

    def to_json(self, path: str | Path) -> None:
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, path: str | Path) -> Workload:
        """Reads what `to_json` wrote. Raises ValueError naming any unknown or missing key."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON ({error}); write it with Workload.to_json") from None
        if not isinstance(data, dict):
            raise ValueError(f"{path} does not hold a workload; write it with Workload.to_json")
        return cls.from_dict(data)


def _record(cls, data: dict):
    """Builds a frozen record from a dict; an unknown key is an error, never ignored."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            raise ValueError(f"{cls.__name__} has no {key!r}; {did_you_mean(key, fields)}")
    missing = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in data]
    if missing:
        raise ValueError(f"{cls.__name__} lacks {', '.join(missing)}")
    return cls(**data)
