"""Many networks of one topology, as a search sees them: at every place of the network, one of a few layers.

A search prices a hundred thousand networks, but they are made of a few hundred layers. Kept as choices, each layer is priced once
and a network is a sum over its choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from labkit.layer import FRONT_END, Layer
from labkit.workload import Workload, frame_by_frame, held_bytes, input_bytes, liveness


@dataclass(frozen=True, eq=False)
class Candidates:
    """`places[p]` are the layers that may stand at place p; `choice[i, p]` says which of them network i has there.

    All layers of one place have the same name and read the same inputs.

    >>> narrow = Layer("fc", "linear", ("input",), (64,), (4,), bias=True)
    >>> wide = Layer("fc", "linear", ("input",), (64,), (12,), bias=True)
    >>> both = Candidates("heads", (64,), [[narrow, wide]], [[0], [1], [1]])
    >>> len(both), both[2].macs, both.peak_activation_bytes
    (3, 768, array([68, 76, 76]))
    """

    name: str
    input_shape: tuple[int, ...]
    places: Sequence[Sequence[Layer]]
    choice: np.ndarray  # (n, places) int
    input_bits: int = 8

    def __post_init__(self):
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "places", tuple(tuple(layers) for layers in self.places))
        object.__setattr__(self, "choice", self._whole_numbers())
        if not self.places or not all(self.places):
            raise ValueError(
                f"candidates {self.name!r} have no places, or one without layers; give a layer at least for every place"
            )
        Workload(self.name, self.input_shape, [layers[0] for layers in self.places])  # refuses what is no network
        for p, layers in enumerate(self.places):
            if len({(layer.name, layer.inputs, layer.op in FRONT_END) for layer in layers}) != 1:
                raise ValueError(
                    f"place {p}: its layers differ in name or inputs; only their shapes, bits and operation may differ"
                )
            if not np.all((self.choice[:, p] >= 0) & (self.choice[:, p] < len(layers))):
                raise ValueError(f"place {p} has {len(layers)} layers; choose by a number from 0 to {len(layers) - 1}")

    def _whole_numbers(self) -> np.ndarray:
        choice = np.asarray(self.choice)
        if not choice.size:
            return np.zeros((0, len(self.places)), dtype=np.int64)
        if choice.shape != (len(choice), len(self.places)) or choice.dtype.kind not in "iu":
            raise ValueError(
                f"choice is {choice.dtype} {choice.shape}; give whole numbers, a row a network and a column for each of the "
                f"{len(self.places)} places"
            )
        return choice.astype(np.int64)

    def __len__(self) -> int:
        return len(self.choice)

    def __getitem__(self, i: int) -> Workload:
        layers = [layers[chosen] for layers, chosen in zip(self.places, self.choice[i], strict=True)]
        return Workload(f"{self.name}-{i}", self.input_shape, tuple(layers), self.input_bits)

    @cached_property
    def peak_activation_bytes(self) -> np.ndarray:
        """As `Workload.peak_activation_bytes`, for every network, ``(n,)``."""
        some = [layers[0] for layers in self.places]  # any choice: the topology is the same for all
        streamed = frame_by_frame(some)
        first = [input_bytes(layer, self.input_shape, self.input_bits, streamed[0]) for layer in self.places[0]]
        sizes = [np.array(first)[self.choice[:, 0]]]
        for p, layers in enumerate(self.places):
            sizes.append(np.array([held_bytes(layer, streamed[p + 1]) for layer in layers])[self.choice[:, p]])
        alive = liveness(some).astype(float)  # whole numbers below 2**53: exact, and a matrix product of floats is fast
        return (alive @ np.array(sizes, dtype=float)).max(axis=0, initial=0).astype(np.int64)
