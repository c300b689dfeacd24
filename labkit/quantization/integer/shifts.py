"""The sums of `labkit.quantization.integer.kernels` for weights that are powers of two: shifts and additions, no multiplication.

A weight code ±2^k makes of q_w · q_x a shift, ±(q_x << k); a code that is a sum of powers (APoT, Li et al., arXiv:1909.13144) one
shift and one addition for each of them. `conv` and `linear` take the same arguments as those of `kernels` and return the same
accumulators. Every weight code is one of finitely many integers, so any format runs here; with a uniform one, a code of b bits
takes up to b − 1 shifts, which is why formats whose codes need one or two of them exist.

The accumulator still has to be scaled by M = S_w S_x / S_y, one multiplication for each output (not for each weight). If all scales
are powers of two, that too is a shift: `requantize_by_shift`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labkit.quantization.integer.kernels import check_shapes, pad, per_channel, windows
from labkit.quantization.integer.requantize import INT32, Grid


def powers(codes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Takes `codes` apart into (sign, exponent) with Σ sign · 2^exponent = code, smallest power first; sign 0 where none is left.

    On a device this happens once, when the weights are stored.

    >>> [(sign.tolist(), exponent.tolist()) for sign, exponent in powers(np.array([-8, 0, 10]))]
    [([-1, 0, 1], [3, 0, 1]), ([0, 0, 1], [0, 0, 3])]
    """
    codes = np.asarray(codes, dtype=np.int64)
    rest = np.abs(codes)
    while rest.any():
        lowest = rest & -rest
        exponent = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1
        yield np.where(lowest > 0, np.sign(codes), 0), np.where(lowest > 0, exponent, 0)
        rest = rest ^ lowest


def conv(x, weight, bias=None, *, zero_point=0, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1) -> np.ndarray:
    """Accumulators of a convolution, as `kernels.conv` gives them; a depthwise one has as many groups as channels.

    >>> x = np.array([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    >>> conv(x, np.array([[[[1, 0], [0, -4]]]]), zero_point=1)[0, 0].tolist()  # (q << 0) - (q << 2)
    [[-16, -19], [-25, -28]]
    """
    check_shapes(x, weight, groups)
    patches = windows(pad(x - zero_point, padding, 0), weight.shape[2:], stride, dilation)
    batch, places = x.shape[0], patches.shape[-x.ndim + 2 :]
    taps = np.moveaxis(patches, 0, -1).reshape(groups, weight[0].size, *places, batch)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    acc = np.zeros_like(taps, shape=(*rows.shape[:2], *places, batch), dtype=np.int64)
    for group in range(groups):
        acc[group] = _shift_and_add(taps[group], rows[group])
    return _accumulator(np.moveaxis(acc.reshape(len(weight), *places, batch), -1, 0), bias)


def linear(x, weight, bias=None, *, zero_point=0) -> np.ndarray:
    """Accumulators of a fully connected layer, as `kernels.linear` gives them.

    >>> linear(np.array([[3, 1, 2]]), np.array([[1, 0, -8], [2, 2, 2]]), np.array([0, 10])).tolist()
    [[-13, 22]]
    """
    check_shapes(x, weight, groups=1)
    return _accumulator(_shift_and_add((x - zero_point).T, weight).T, bias)


def _shift_and_add(taps: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Σ_i ±(taps_i << exponent_i): for each row of `weight` ``(out, inputs)`` a sum over the first axis of `taps`."""
    acc = np.zeros_like(taps, shape=(len(weight), *taps.shape[1:]), dtype=np.int64)
    for sign, exponent in powers(weight):
        for row in range(len(weight)):
            plus, minus = sign[row] > 0, sign[row] < 0
            acc[row] += (taps[plus] << _over(exponent[row][plus], taps)).sum(axis=0)
            acc[row] -= (taps[minus] << _over(exponent[row][minus], taps)).sum(axis=0)
    return acc


def requantize_by_shift(acc: np.ndarray, step, out: Grid) -> np.ndarray:
    """q_y = Z_y + (acc >> s), rounded half upwards, where S_w S_x / S_y = 2^-s: `requantize` with ``"single"`` and no multiplier.

    `step` is S_w S_x, one number or one per channel. Raises ValueError if a ratio is not a power of two, or not below 1.

    >>> requantize_by_shift(np.array([[-6, 6, 1000]]), 0.25, Grid(1.0, 3, -128, 127)).tolist()
    [[2, 5, 127]]
    """
    fraction, exponent = np.frexp(np.asarray(step, dtype=np.float64) / out.scale)
    if np.any(fraction != 0.5) or np.any(exponent > 0):
        raise ValueError("these scales do not give a right shift; choose powers of two, or requantize with a multiplier")
    shift = per_channel(1 - exponent.astype(np.int64), acc)
    return out.saturate(((acc + (1 << (shift - 1))) >> shift) + out.zero_point)


def _accumulator(total: np.ndarray, bias) -> np.ndarray:
    if bias is not None:
        total = total + per_channel(np.asarray(bias), total)
    return np.clip(total, INT32.min, INT32.max)


def _over(values: np.ndarray, taps: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *(1,) * (taps.ndim - 1))
