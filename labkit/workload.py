"""The waist of the hourglass: what a network costs, before any device is named.

Everything above makes a `Workload` (a traced model, a quantized one, a point of a search space); everything below prices it
(a Cortex-M, an accelerator). A workload is plain records (`labkit.layer`), so this file needs numpy and nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path

import numpy as np

from labkit import atomic
from labkit.layer import FRONT_END, INPUT, OPS, PLAIN, WEIGHTED, Layer, positions
from labkit.naming import did_you_mean

__all__ = ["FRONT_END", "INPUT", "OPS", "PLAIN", "WEIGHTED", "Layer", "Workload", "positions"]


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
        for size in (*self.input_shape, self.input_bits):
            if not isinstance(size, Integral) or size < 1:
                raise ValueError(
                    f"workload {self.name!r}: input_shape is {self.input_shape}, input_bits {self.input_bits}; "
                    "give whole numbers, 1 or more"
                )
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
        """Bytes of activations alive while each layer runs, shape ``(layers,)``; `liveness` says which tensors that are."""
        streamed = frame_by_frame(self.layers)
        sizes = [input_bytes(self.layers[0], self.input_shape, self.input_bits, streamed[0])] if self.layers else [0]
        sizes += [held_bytes(layer, frames) for layer, frames in zip(self.layers, streamed[1:], strict=True)]
        return liveness(self.layers) @ np.array(sizes, dtype=np.int64)

    @cached_property
    def peak_activation_bytes(self) -> int:
        """The most activation memory alive at once (RAM a microcontroller needs for tensors)."""
        return int(self.memory_profile.max(initial=0))

    def then(self, other: Workload) -> Workload:
        """This workload followed by `other`, as when a feature front end feeds a network. Sizes must agree, shapes may not.

        What the first writes last is rounded to the width that the second reads (`input_bits`).

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
        first = (*self.layers[:-1], dataclasses.replace(last, activation_bits=other.input_bits))
        return Workload(f"{self.name}+{other.name}", self.input_shape, first + joined, self.input_bits)

    def with_bits(self, weight_bits: int, activation_bits: int | None = None) -> Workload:
        """The same network at another width, the input included."""
        activation_bits = activation_bits or weight_bits
        layers = tuple(dataclasses.replace(x, weight_bits=weight_bits, activation_bits=activation_bits) for x in self.layers)
        return dataclasses.replace(self, layers=layers, input_bits=activation_bits)

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Workload:
        """Raises ValueError naming any unknown or missing key, and for values that are no workload."""
        try:
            layers = tuple(_record(Layer, layer) for layer in data.get("layers", ()))
            return _record(cls, {**data, "layers": layers})
        except (TypeError, AttributeError) as error:  # a number where a list belongs, a list where a record belongs
            raise ValueError(f"this is no workload ({error}); write one with Workload.to_json") from None

    def to_json(self, path: str | Path) -> None:
        atomic.write(Path(path), json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def from_json(cls, path: str | Path) -> Workload:
        """Reads what `to_json` wrote. Raises ValueError for a file that cannot be read, and as `from_dict` does."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}); give a file that Workload.to_json wrote") from None
        except ValueError as error:
            raise ValueError(f"{path} is not JSON ({error}); write it with Workload.to_json") from None
        try:
            return cls.from_dict(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def liveness(layers: Sequence[Layer]) -> np.ndarray:
    """Which tensors are held in memory while each layer runs, bool ``(layers, 1 + layers)``: the input, then each layer's output.

    A tensor lives from the layer that writes it to the last layer that reads it. No in-place tricks are assumed.
    """
    place = {INPUT: 0} | {layer.name: step + 1 for step, layer in enumerate(layers)}
    alive = np.zeros((len(layers), 1 + len(layers)), dtype=bool)
    alive[:1, 0] = True
    for step, layer in enumerate(layers):
        alive[step, step + 1] = True
        for source in layer.inputs:
            alive[max(place[source] - 1, 0) : step + 1, place[source]] = True
    return alive


def frame_by_frame(layers: Sequence[Layer]) -> list[bool]:
    """Which of the tensors of `liveness` are never held whole: a front end works while the sound comes in, so what only its layers
    read is held one frame at a time."""
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for source in layer.inputs:
            readers.setdefault(source, []).append(layer)
    names = [INPUT, *(layer.name for layer in layers)]
    return [name in readers and all(reader.op in FRONT_END for reader in readers[name]) for name in names]


def held_bytes(layer: Layer, frames: bool) -> int:
    """Memory for the output of `layer`; for one of its frames when it is read `frame_by_frame`."""
    return math.ceil(layer.out_bytes / positions(layer.out_shape)) if frames else layer.out_bytes


def input_bytes(first: Layer, shape: tuple[int, ...], bits: int, frames: bool) -> int:
    """Memory for the input of a network; for one window of samples when the front end streams it."""
    return math.ceil((first.out_channels if frames else math.prod(shape)) * bits / 8)


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
