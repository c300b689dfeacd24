"""Counts of numbers in bins that widen by themselves: what an observer remembers of activations too many to keep."""

from __future__ import annotations

import math

import numpy as np
import torch

BINS = 2048  # on each side of zero, as in Migacz (GTC 2017)
_BITS = BINS.bit_length() - 1
_SMALLEST = -110  # exponent of the finest bin: float32 numbers below 2^-99 all count into the first one


class Histogram:
    """`BINS` bins of equal width 2^k on each side of zero. A number too large for them doubles the width: pairs of bins merge.

    Because widths are powers of two the merged counts are those that wide bins would have counted from the start, so the order of
    the batches does not matter. Between half of the bins and all of them are in use on the larger side. Exact zeros, half of what
    a ReLU lets through, are counted apart: zero stands on every grid.

    >>> histogram = Histogram()
    >>> histogram.add(torch.tensor([0.0, 0.5, 0.5, -0.25])), histogram.add(torch.tensor([3.0]))
    (None, None)
    >>> histogram.width, histogram.zeros, histogram.counts.sum().item(), len(histogram)
    (0.001953125, 1, 4, 5)
    """

    def __init__(self):
        self.exponent = _SMALLEST
        self.counts = torch.zeros(2 * BINS, dtype=torch.int64)  # bin i holds [(i - BINS)·width, (i + 1 - BINS)·width)
        self.zeros = 0

    def __len__(self) -> int:
        return self.zeros + int(self.counts.sum())

    @property
    def width(self) -> float:
        return 2.0**self.exponent

    @property
    def edges(self) -> np.ndarray:
        """Where the bins begin and end, ``(2·BINS + 1,)``."""
        return np.arange(-BINS, BINS + 1) * self.width

    @property
    def centres(self) -> np.ndarray:
        """The middle of each bin, ``(2·BINS,)``."""
        return (np.arange(-BINS, BINS) + 0.5) * self.width

    def magnitudes(self) -> np.ndarray:
        """How often \\|x\\| fell into each bin above zero, ``(BINS,)``."""
        below, above = self.counts.numpy().reshape(2, BINS)
        return above + below[::-1]

    def add(self, x: torch.Tensor) -> None:
        """Counts the numbers of `x`, a float32 tensor of any shape without NaN or infinity."""
        low, high = torch.aminmax(x)
        self._widen(max(-low.item(), high.item()))
        index = torch.floor(x.flatten() * 2.0**-self.exponent).int().add_(BINS)  # a product with a power of two is exact
        zeros = x.numel() - int(torch.count_nonzero(x))
        self.counts += torch.bincount(index, minlength=2 * BINS)
        self.counts[BINS] -= zeros
        self.zeros += zeros

    def _widen(self, largest: float) -> None:
        """Doubles the width until `largest` lies inside the bins."""
        needed = math.frexp(largest)[1] - _BITS if largest > 0 else _SMALLEST  # frexp: largest < 2^e
        doublings = max(0, needed - self.exponent)
        merged = 2 ** min(doublings, _BITS)
        sums = self.counts.reshape(2, -1, merged).sum(dim=2)
        self.counts = torch.zeros(2, BINS, dtype=torch.int64)
        self.counts[0, BINS - sums.shape[1] :] = sums[0]  # both sides shrink towards zero, which stays in the middle
        self.counts[1, : sums.shape[1]] = sums[1]
        self.counts = self.counts.flatten()
        self.exponent += doublings
