"""Converters: a few bits between the digital and the analog world, on a range found beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from labkit.quantization.observers import observer


@dataclass(frozen=True)
class Converter:
    """``2^bits`` levels from `low` to `high`, moved by less than a step so that 0 is one of them. What lies outside saturates.

    The same grid serves a digital-to-analog converter (which voltages there are) and an analog-to-digital one (which codes).

    >>> Converter(0.0, 3.0, bits=2)(torch.tensor([-1.0, 0.4, 1.6, 9.0])).tolist()
    [0.0, 0.0, 2.0, 3.0]
    """

    low: float
    high: float
    bits: int | None

    @property
    def step(self) -> float:
        return (self.high - self.low) / (2**self.bits - 1) or 1.0  # a range of nothing but 0: any step does

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.bits is None:
            return x
        lowest = round(self.low / self.step)
        return self.step * torch.clamp(torch.round(x / self.step), lowest, lowest + 2**self.bits - 1)


def fitted(x: torch.Tensor, bits: int | None) -> Converter:
    """The converter whose range loses least of `x`: saturation and rounding weighed together, by mean squared error."""
    watching = observer("mse" if bits is not None else "minmax", bits or 8)
    watching.update(x)
    return Converter(*watching.range(), bits)
