"""A dot product without a multiplication: XNOR and popcount.

Write +1 as bit 1 and −1 as bit 0. A product of two signs is +1 where the bits agree and −1 where they differ, so a dot product
of n signs is *agreements − disagreements*, and since both add up to n

    a · w = n − 2 · popcount(a xor w)

(Rastegari et al., XNOR-Net, arXiv:1603.05279, section 3.2). One machine word holds 64 signs. Hardware that counts agreements
instead (xnor) gets the same number; xor is used here because the unused bits of a last word are then 0 in both and count nothing.

A binary tensor has no zero, so a border cannot be padded with one: it is padded with −1, the word of all zero bits ("no energy
there"). In PyTorch that is ``nn.ConstantPad2d(1, -1.0)`` before a convolution without padding.
"""

from __future__ import annotations

import numpy as np

WORD = 64


def pack(signs: np.ndarray) -> np.ndarray:
    """Words ``(..., ceil(n / 64))``, uint64, of signs ``(..., n)`` in {−1, +1}: sign i is bit i mod 64 of word i // 64.

    Raises ValueError when a value is neither −1 nor +1.

    >>> pack(np.array([1, -1, 1, 1]))
    array([13], dtype=uint64)
    """
    signs = np.asarray(signs)
    if not (np.abs(signs) == 1).all():
        raise ValueError("a binary tensor holds −1 and +1 only; take its sign first (with +1 for 0)")
    unused = -signs.shape[-1] % WORD
    bits = np.pad(signs > 0, [(0, 0)] * (signs.ndim - 1) + [(0, unused)])
    octets = np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little"))
    return octets.view("<u8").astype(np.uint64, copy=False)


def unpack(words: np.ndarray, n: int) -> np.ndarray:
    """The first `n` signs of each row of words, int8 ``(..., n)``: the inverse of `pack`.

    >>> unpack(np.array([13], dtype=np.uint64), 4).tolist()
    [1, -1, 1, 1]
    """
    octets = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, count=n, bitorder="little")
    return 2 * bits.astype(np.int8) - 1


def dot(a: np.ndarray, w: np.ndarray, n: int) -> np.ndarray:
    """n − 2 · popcount(a xor w) over the last axis, int64: the dot product of `n` signs packed by `pack`. Broadcasts.

    >>> dot(pack(np.array([1, -1, 1])), pack(np.array([1, 1, 1])), 3)
    np.int64(1)
    """
    differing = np.bitwise_count(a ^ w).sum(axis=-1, dtype=np.int64)
    return n - 2 * differing


def linear(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """``x @ w.T`` of signs: x ``(batch, inputs)``, w ``(outputs, inputs)``; int64 ``(batch, outputs)``.

    >>> linear(np.array([[1, -1, 1]]), np.array([[1, 1, 1], [-1, 1, -1]])).tolist()
    [[1, -3]]
    """
    _same("inputs", x.shape[1], w.shape[1])
    return dot(pack(x)[:, None], pack(w), x.shape[1])


def conv(x: np.ndarray, w: np.ndarray, stride=1, padding=0) -> np.ndarray:
    """Convolution of signs in any number of axes, int64 ``(batch, out, *places)``.

    x ``(batch, in, *space)``, w ``(out, in, *kernel)``; `stride` and `padding` are numbers, or one for each axis. The channels of a
    place are packed into words once, and every filter position reads them again: what a kernel on a microcontroller does.

    >>> x = np.ones((1, 64, 5, 5), dtype=np.int8)
    >>> conv(x, np.ones((2, 64, 3, 3)), padding=1)[0, 0].diagonal().tolist()    # at the corner 5 of 9 places are padded with −1
    [-64, 576, 576, 576, -64]
    """
    _same("input channels", x.shape[1], w.shape[1])
    space = w.ndim - 2
    places = pack(np.moveaxis(_padded(x, space, padding), 1, -1))  # (batch, *space, words)
    seen = np.moveaxis(_windows(places, w.shape[2:], stride, first=1), 1 + space, -1)  # (batch, *out, *kernel, words)
    filters = pack(np.moveaxis(w, 1, -1))  # (out, *kernel, words)
    n, rows = w[0].size, seen.reshape(*seen.shape[: 1 + space], -1)
    return np.stack([dot(rows, f.ravel(), n) for f in filters], axis=1)


def depthwise(x: np.ndarray, w: np.ndarray, stride=1, padding=0) -> np.ndarray:
    """One filter for each channel, int64 ``(batch, channels, *places)``.

    x ``(batch, channels, *space)``, w ``(channels, 1, *kernel)``. Only the taps of one filter share a word: 3 × 3 fill 9 of its
    64 bits, so little is gained, and a sum of 9 signs says little. Binary networks use full convolutions.

    >>> depthwise(np.ones((1, 2, 4)), np.array([[[1, 1]], [[1, -1]]])).tolist()
    [[[2, 2, 2], [0, 0, 0]]]
    """
    _same("channels", x.shape[1], w.shape[0])
    space = w.ndim - 2
    seen = _windows(_padded(x, space, padding), w.shape[2:], stride, first=2)
    rows = pack(seen.reshape(*seen.shape[: 2 + space], -1))
    filters = pack(w.reshape(len(w), -1))
    return dot(rows, filters.reshape(len(w), *[1] * space, -1), w[0].size)


def _padded(x: np.ndarray, space: int, padding) -> np.ndarray:
    return np.pad(x, [(0, 0), (0, 0), *((p, p) for p in _each(padding, space))], constant_values=-1)


def _windows(x: np.ndarray, kernel: tuple[int, ...], stride, first: int) -> np.ndarray:
    """Every window of the axes from `first` on; the taps become the last axes. A view, nothing is copied."""
    axes = tuple(range(first, first + len(kernel)))
    steps = [slice(None, None, s) for s in _each(stride, len(kernel))]
    return np.lib.stride_tricks.sliding_window_view(x, kernel, axis=axes)[(slice(None),) * first + tuple(steps)]


def _each(value, axes: int) -> tuple[int, ...]:
    return (value,) * axes if np.ndim(value) == 0 else tuple(value)


def _same(what: str, of_x: int, of_w: int) -> None:
    if of_x != of_w:
        raise ValueError(f"the input has {of_x} {what}, the weights are for {of_w}; give shapes that fit")
