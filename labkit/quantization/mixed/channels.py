"""Integers whose width differs from channel to channel: what a mixed-precision search ends in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from labkit.quantization.formats import Format, Int


@dataclass(frozen=True)
class ChannelInt(Format):
    """A signed narrow `Int` for every output channel; 0 bits leave only the code 0, the channel is pruned.

    `project` takes rows, one a channel.

    >>> format = ChannelInt((8, 2, 0))
    >>> format.project(torch.full((3, 1), 5.0)).ravel().tolist(), format.bits
    ([5.0, 1.0, 0.0], (8, 2, 0))
    """

    bits: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "bits", tuple(int(b) for b in self.bits))
        for b in set(self.bits) - {0}:
            Int(b)  # says what is wrong with a width that no integer has

    @property
    def levels(self) -> np.ndarray:
        return Int(max(*self.bits, 2)).levels

    @cached_property
    def largest(self) -> torch.Tensor:
        """The largest code of each channel, ``(channels, 1)``."""
        return torch.tensor([[Int(b).high if b else 0] for b in self.bits], dtype=torch.float32)

    @property
    def span(self) -> torch.Tensor:
        return self.largest.clamp(min=1)  # a pruned channel has no code but needs a scale

    @property
    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        return -self.largest, self.largest

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(torch.round(x), *(bound.to(x.dtype) for bound in self.bounds))
