"""Batch norm and sign become one comparison of integers.

Behind a binary convolution stands a batch norm, then a sign. The convolution gives an integer s, the norm is a straight line, so

    sign(γ (s − μ) / √(σ² + ε) + β) = +1   ⟺   s ≥ t  if γ > 0,   s ≤ t  if γ < 0,      t = μ − β √(σ² + ε) / γ

(Umuroglu et al., FINN, arXiv:1612.07119, section 4.2.2). Only integers come in, so t can be one, and nothing else of the norm
is left.

Computing t from that formula is not exact: the network was trained and tested in float32, whose line is a staircase, and a sum
that lies on t within a rounding error may fall on the other side. There are few sums, so we ask the float32 line about **every
one of them** and keep where its sign changes. Rounding never makes a rising line fall, so one number per channel says it all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Thresholds:
    """sign = +1 where ``sum >= limit``, or where ``sum <= limit`` in a channel that is `falling`. Both ``(channels,)``.

    >>> t = Thresholds(limit=np.array([3, 3]), falling=np.array([False, True]))
    >>> t(np.array([[2, 2], [3, 3], [4, 4]])).tolist()
    [[-1, 1], [1, 1], [1, -1]]
    """

    limit: np.ndarray
    falling: np.ndarray

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        """Signs, int8, of integer sums ``(batch, channels, ...)``."""
        shape = (-1, *[1] * (sums.ndim - 2))
        limit, falling = self.limit.reshape(shape), self.falling.reshape(shape)
        return np.where(np.where(falling, sums <= limit, sums >= limit), 1, -1).astype(np.int8)


def find(line: Callable[[np.ndarray], np.ndarray], low: int, high: int) -> Thresholds:
    """The thresholds of `line` for integer sums from `low` to `high`, by asking it about every one of them.

    `line` takes float32 ``(sums,)`` and gives ``(sums, channels)``; +1 stands for values >= 0. A channel that never changes its
    sign (γ = 0, or a β too large to be overcome) has its limit at the end of the range. Raises ValueError on NaN and on no line.

    >>> find(lambda s: np.stack([2 * s - 5, 5 - 2 * s, 0 * s], axis=1), -9, 9)
    Thresholds(limit=array([ 3,  2, -9]), falling=array([False,  True, False]))
    """
    sums = np.arange(low, high + 1)
    values = np.asarray(line(sums.astype(np.float32)))
    if np.isnan(values).any():
        channel = int(np.flatnonzero(np.isnan(values).any(axis=0))[0])
        raise ValueError(f"the batch norm of channel {channel} gives NaN; repair its statistics before you fold it")
    positive = values >= 0
    falling = positive[0] & ~positive[-1]
    if (np.count_nonzero(positive[1:] != positive[:-1], axis=0) > 1).any():
        raise ValueError("the sign changes more than once; thresholds fold straight lines only, such as a batch norm")
    count = np.count_nonzero(positive, axis=0)
    limit = np.where(falling, low + count - 1, high + 1 - count)
    return Thresholds(limit, falling)


def batch_norm(sums: np.ndarray, gamma, beta, mean, variance, eps: float = 1e-5, scale: float = 1.0) -> np.ndarray:
    """The float32 line ``(sums, channels)`` of a batch norm behind a layer that computes scale · sum; parameters ``(channels,)``.

    In the order of torch's CPU kernel: a = γ / √(σ² + ε), b = β − μ a, then x a + b. A processor that multiplies and adds in one
    step rounds once instead of twice; where that matters, let `find` ask the torch module itself (`binary.thresholds`).

    >>> batch_norm(np.float32([0, 4]), gamma=[2.0], beta=[1.0], mean=[2.0], variance=[4.0], eps=0.0).tolist()
    [[-1.0], [3.0]]
    """
    gamma, beta, mean, variance = (np.asarray(p, dtype=np.float32) for p in (gamma, beta, mean, variance))
    slope = np.float32(1) / np.sqrt(variance + np.float32(eps)) * gamma
    x = np.float32(scale) * np.asarray(sums, dtype=np.float32)
    return x[:, None] * slope + (beta - mean * slope)


def closed_form(gamma, beta, mean, variance, eps: float = 1e-5, scale: float = 1.0) -> np.ndarray:
    """t = (μ − β √(σ² + ε) / γ) / scale in float64, ``(channels,)``: thresholds as they were without rounding; γ must not be 0.

    >>> closed_form(gamma=[2.0], beta=[1.0], mean=[2.0], variance=[4.0], eps=0.0)
    array([1.])
    """
    gamma, beta, mean, variance = (np.asarray(p, dtype=np.float64) for p in (gamma, beta, mean, variance))
    return (mean - beta * np.sqrt(variance + eps) / gamma) / scale
