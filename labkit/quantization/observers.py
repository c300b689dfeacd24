"""Observers look at activations while a network runs on calibration data, and say which range is worth representing.

A wide range wastes levels on rare outliers, a narrow one saturates them: five answers to where the optimum lies. Every range
contains 0, because padding and a ReLU's output must be exact; so after a ReLU its low end is 0.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import xlogy

from labkit.naming import did_you_mean
from labkit.quantization.histogram import BINS, Histogram


class Observer:
    """`update` with one batch after another, then `range`. A subclass says what to remember and which range that makes.

    Raises ValueError when x holds NaN or infinity, or no number at all, and when nothing was seen before `range`.
    """

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Forgets what was seen."""
        self.batches = 0

    def update(self, x: torch.Tensor) -> None:
        """Looks at a tensor of any shape."""
        x = torch.as_tensor(x).detach().float()
        if x.numel() == 0:
            raise ValueError("the calibration batch is empty; give at least one example")
        low, high = (end.item() for end in torch.aminmax(x))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("the observed activations hold NaN or infinity; check the calibration data and the network's weights")
        self._see(x, low, high)
        self.batches += 1

    def range(self) -> tuple[float, float]:
        """(low, high) with low <= 0 <= high, in the units of what was seen."""
        if not self.batches:
            raise ValueError("nothing was observed yet; calibrate with at least one batch")
        low, high = self._range()
        return min(float(low), 0.0), max(float(high), 0.0)

    def _see(self, x: torch.Tensor, low: float, high: float) -> None:
        """One batch, and its smallest and largest number."""
        raise NotImplementedError

    def _range(self) -> tuple[float, float]:
        raise NotImplementedError


class MinMax(Observer):
    """From the smallest to the largest number seen: nothing saturates.

    >>> observer = MinMax()
    >>> observer.update(torch.tensor([-1.0, 2.0])), observer.update(torch.tensor([0.5, 3.0])), observer.range()
    (None, None, (-1.0, 3.0))
    """

    def _see(self, x, low, high):
        self.low, self.high = (min(self.low, low), max(self.high, high)) if self.batches else (low, high)

    def _range(self):
        return self.low, self.high


class MovingAverage(Observer):
    """Exponential moving average of every batch's smallest and largest number (Jacob et al., CVPR 2018, section 3.1).

    ``low = momentum·low + (1 - momentum)·min(x)``: one batch with an outlier moves the range a little only.

    >>> observer = MovingAverage(momentum=0.9)
    >>> observer.update(torch.tensor([0.0, 1.0])), observer.update(torch.tensor([0.0, 11.0])), round(observer.range()[1], 6)
    (None, None, 2.0)
    """

    def __init__(self, momentum: float = 0.9):
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; give a share from 0 up to (not including) 1")
        super().__init__()
        self.momentum = momentum

    def _see(self, x, low, high):
        old = (self.low, self.high) if self.batches else (low, high)
        self.low, self.high = (self.momentum * o + (1 - self.momentum) * n for o, n in zip(old, (low, high), strict=True))

    def _range(self):
        return self.low, self.high


class Counting(MinMax):
    """An observer that keeps a `labkit.quantization.histogram.Histogram` of everything seen, besides the exact ends."""

    def reset(self) -> None:
        super().reset()
        self.histogram = Histogram()

    def _see(self, x, low, high):
        super()._see(x, low, high)
        self.histogram.add(x)


class Percentile(Counting):
    """The range that leaves out ``100 - share`` percent of the numbers at each end (0.01 % by default).

    Read off the histogram by linear interpolation, so it is within one bin, 1/1024 of the largest magnitude, of the percentile
    that would be computed if all numbers had been kept.

    >>> observer = Percentile(99)
    >>> observer.update(torch.linspace(0, 100, 10001)), [round(end, 1) for end in observer.range()]
    (None, [0.0, 99.0])
    """

    def __init__(self, share: float = 99.99):
        if not 50 < share <= 100:
            raise ValueError(f"share is {share}; give the percentage to keep at each end, above 50 and up to 100, such as 99.99")
        super().__init__()
        self.share = share

    def _range(self):
        ranks = np.array([100 - self.share, self.share]) / 100 * (len(self.histogram) - 1)
        below, above = (self._ranked(whole(ranks).astype(int)) for whole in (np.floor, np.ceil))
        return np.clip(below + (ranks - np.floor(ranks)) * (above - below), self.low, self.high)

    def _ranked(self, ranks: np.ndarray) -> np.ndarray:
        """The numbers with these ranks (0 is the smallest), as if those of one bin were spread evenly over it."""
        histogram = self.histogram
        counts = np.insert(histogram.counts.numpy(), BINS, histogram.zeros)  # the zeros fill a bin of no width between both sides
        edges = np.insert(histogram.edges, BINS, 0.0)
        upto = np.cumsum(counts)
        bins = np.searchsorted(upto, ranks, side="right")
        part = (ranks + 0.5 - (upto - counts)[bins]) / counts[bins]
        return edges[bins] + part * np.diff(edges)[bins]


class Entropy(Counting):
    """The range that loses the least information, as TensorRT calibrates (Migacz, "8-bit inference with TensorRT", GTC 2017).

    Of all thresholds T for \\|x\\| it takes the one whose clipped distribution P and quantized distribution Q have the smallest
    Kullback-Leibler divergence Σ p log(p/q). The positive half of a signed grid has ``2^(bits-1)`` levels; numbers that are never
    negative have all ``2^bits``. Zeros are left out: they are exact at any T, and as half of a ReLU's output they would decide.

    >>> observer = Entropy()
    >>> x = torch.cat([torch.linspace(0, 1, 20_000), torch.tensor([5.0])])      # one outlier
    >>> observer.update(x), round(observer.range()[1], 2)
    (None, 1.0)
    """

    def __init__(self, bits: int = 8):
        super().__init__()
        self.bits = _bits(bits)

    def _range(self):
        levels = 2**self.bits if self.low >= 0 else 2 ** (self.bits - 1)
        threshold = best_length(self.histogram.magnitudes(), levels) * self.histogram.width
        return max(self.low, -threshold), min(self.high, threshold)


def best_length(counts: np.ndarray, levels: int) -> int:
    """How many of the bins `counts` to keep when they are to become `levels`: the length of smallest divergence.

    >>> best_length(np.array([9, 1, 9, 1, 0, 0, 0, 0]), 4)      # four bins become four levels: nothing is lost
    4
    """
    occupied = np.flatnonzero(counts)
    if not len(occupied) or occupied[-1] + 1 < levels:
        return len(counts)
    lengths = np.arange(levels, occupied[-1] + 2)
    return int(lengths[np.argmin(divergences(counts, lengths, levels))])


def divergences(counts: np.ndarray, lengths: np.ndarray, levels: int) -> np.ndarray:
    """KL(P‖Q) in nats for each of `lengths`, from sums over the first bins that are computed once.

    P holds the first `length` bins, those behind saturating into the last. Q holds the same bins in `levels` neighbourhoods, each
    with its mass spread evenly over its occupied bins. With N and S the masses of both, KL = Σ p (log p − log q)/N − log N + log S.
    """
    mass, occupied, plogp = (np.concatenate([[0], np.cumsum(x)]) for x in (counts, counts > 0, xlogy(counts, counts)))
    edges = np.arange(levels + 1) * lengths[:, None] // levels
    of_level = np.diff(mass[edges])
    q = of_level / np.maximum(np.diff(occupied[edges]), 1)
    last, clipped = counts[lengths - 1], mass[-1] - mass[lengths]  # what is clipped piles up at the threshold
    p_log_p = plogp[lengths - 1] + xlogy(last + clipped, last + clipped)
    p_log_q = xlogy(of_level, q).sum(axis=1) + xlogy(clipped, np.where(last > 0, q[:, -1], 0))  # log 0: P has mass where Q has none
    with np.errstate(divide="ignore", invalid="ignore"):
        total = (p_log_p - p_log_q) / mass[-1] - np.log(mass[-1]) + np.log(mass[lengths])
    return np.where(mass[lengths] > 0, total, np.inf)


class MSE(Counting):
    """The range whose grid makes the smallest mean squared error on what was seen: saturation and rounding weighed together.

    Both ends shrink by the same factor; 128 factors from 1 to 1/100 are tried on the histogram. The grid is affine with ``2^bits``
    levels, one of them 0, so zeros cost nothing.

    >>> observer = MSE(bits=2)
    >>> observer.update(torch.cat([torch.linspace(0, 1, 1000), torch.tensor([4.0])])), round(observer.range()[1], 1)
    (None, 0.9)
    """

    def __init__(self, bits: int = 8):
        super().__init__()
        self.bits = _bits(bits)

    def _range(self):
        counts, centres = self.histogram.counts.numpy(), self.histogram.centres
        x, weights = centres[counts > 0], counts[counts > 0]
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        factors = np.geomspace(1, 0.01, 128)
        errors = [weights @ (x - nearest(x, f * low, f * high, self.bits)) ** 2 for f in factors]
        best = factors[int(np.argmin(errors))]
        return best * low, best * high


def nearest(x: np.ndarray, low: float, high: float, bits: int) -> np.ndarray:
    """`x` on the grid of ``2^bits`` levels from `low` to `high`, moved by less than a step so that 0 is one of them.

    >>> nearest(np.array([-2.0, 0.4, 0.6, 9.0]), -0.9, 2.1, bits=2)
    array([-1.,  0.,  1.,  2.])
    """
    scale = (high - low) / (2**bits - 1) or 1.0  # nothing but zeros: any step does
    lowest = np.round(low / scale)
    return scale * np.clip(np.round(x / scale), lowest, lowest + 2**bits - 1)


def _bits(bits: int) -> int:
    if bits not in range(2, 17):
        raise ValueError(f"{bits} bits; an observer chooses ranges for 2 to 16 bits")
    return bits


OBSERVERS = {"minmax": MinMax, "moving average": MovingAverage, "percentile": Percentile, "entropy": Entropy, "mse": MSE}


def observer(name: str, bits: int = 8) -> Observer:
    """A fresh observer by name; `bits` is for those that weigh a range against the number of levels.

    >>> observer("mse", bits=4).bits
    4
    >>> observer("mimax")
    Traceback (most recent call last):
    ValueError: unknown observer 'mimax'; did you mean minmax?
    """
    if name not in OBSERVERS:
        raise ValueError(f"unknown observer {name!r}; {did_you_mean(name, OBSERVERS)}")
    return OBSERVERS[name](bits) if name in ("entropy", "mse") else OBSERVERS[name]()
