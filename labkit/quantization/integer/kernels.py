"""The sums of integer inference: convolution, depthwise convolution, linear layer, pooling, addition. numpy only.

Activations are integer codes ``(batch, channels, height, width)``, or ``(batch, channels, length)`` for a 1-D layer, which is a 2-D
layer of height 1. Weight codes are small integers of any format: int8, int4, powers of two, ±1, another width in every channel. A
weighted kernel returns 32-bit accumulators Σ q_w (q_x − Z_x) + q_b (Jacob et al., arXiv:1712.05877, equation 7, for weights with
zero point 0); `labkit.quantization.integer.requantize` turns them into codes. A place outside the image counts as the real number
0, so that padding is done with the zero point.

The products are summed by a float64 matrix multiplication, because BLAS has no fast integer one: integers below 2^53 are exact in
float64, so every sum here is the exact integer, whatever the order of addition. A sum beyond 32 bits saturates; a microcontroller's
would wrap round. `worst_case` says beforehand how far a layer can go: with int8 codes it takes 66,312 products to leave int32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from labkit.quantization.integer.requantize import FIXED_POINT, INT32, Grid, check_rounding, per_channel, quantize_multiplier

Pair = tuple[int, int]
Padding = Sequence[Pair]  # (before, after) for each spatial axis
ADD_SHIFT = 20  # TensorFlow Lite's int8 addition works with 20 more bits


def conv(x, weight, bias=None, *, zero_point=0, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1) -> np.ndarray:
    """Accumulators ``(batch, out, height', width')`` of a convolution. `weight` is ``(out, in / groups, *kernel)``.

    `zero_point` is that of `x`; `bias` int32, one for each output channel. The groups must divide both channel counts; with as many
    groups as channels the convolution is depthwise.

    >>> x = np.array([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    >>> conv(x, np.array([[[[1, 0], [0, -1]]]]), np.array([100]), zero_point=1)[0, 0].tolist()
    [[96, 96], [96, 96]]
    """
    x, weight = np.asanyarray(x), np.asarray(weight)
    return _accumulator(convolve(x - float(zero_point), weight, stride, padding, dilation, groups), bias)


def convolve(x: np.ndarray, weight: np.ndarray, stride, padding: Padding, dilation, groups: int) -> np.ndarray:
    """The sums of a convolution in float64, with zeros outside the image. Exact if `x` and `weight` hold integers."""
    check_shapes(x, weight, groups)
    patches = windows(pad(x, padding, 0), weight.shape[2:], stride, dilation)
    n, out, places = len(x), len(weight), patches.shape[-x.ndim + 2 :]
    if groups == x.shape[1] == out:  # depthwise: a matrix of width 1 for each channel, so rather a few additions of whole images
        total = np.zeros((n, out, *places))
        for at in np.ndindex(weight.shape[2:]):
            total += per_channel(weight[:, 0][:, *at].astype(np.float64), x) * patches[:, :, *at]
        return total
    patches = patches.reshape(n, groups, weight[0].size, int(np.prod(places)))
    rows = weight.reshape(groups, out // groups, -1).astype(np.float64)
    return (rows @ patches).reshape(n, out, *places)


def linear(x, weight, bias=None, *, zero_point=0) -> np.ndarray:
    """Accumulators ``(batch, out)`` of a fully connected layer; `weight` is ``(out, in)``.

    >>> linear(np.array([[3, 1, 2]]), np.array([[1, 0, -1], [2, 2, 2]]), np.array([0, 10]), zero_point=1).tolist()
    [[1, 16]]
    """
    x, weight = np.asanyarray(x), np.asarray(weight)
    check_shapes(x, weight, groups=1)
    return _accumulator((x - float(zero_point)) @ weight.T.astype(np.float64), bias)


def average_pool(x, grid: Grid, kernel, stride=None, *, padding=((0, 0), (0, 0)), rounding="tflite") -> np.ndarray:
    """Codes of an average over windows, on the grid of `x`. Places outside the image are left out of the average.

    ``"tflite"`` and ``"single"`` divide the sum of the raw codes, a half away from zero, as TensorFlow Lite's integer kernel does.
    ``"exact"`` averages q − Z, a half to the even integer; ``"onnx"`` as ONNX Runtime does it in float32 (`_float32_average`).

    >>> x, grid = np.array([[[[-3, -2], [0, 1]]]]), Grid(1.0, 0, -128, 127)
    >>> int(average_pool(x, grid, (1, 2))[0, 0, 0, 0]), int(average_pool(x, grid, (1, 2), rounding="exact")[0, 0, 0, 0])  # -2.5
    (-3, -2)
    """
    check_rounding(rounding)
    x, stride, space = np.asarray(x, dtype=np.int64), stride or kernel, tuple(range(2, np.ndim(x)))
    origin = 0 if rounding in FIXED_POINT else grid.zero_point
    inside = windows(pad(np.ones((1, 1, *x.shape[2:]), dtype=np.int64), padding, 0), kernel, stride).sum(axis=space)
    patches = windows(pad(x - origin, padding, 0), kernel, stride)
    if rounding == "onnx":
        return _float32_average(patches, inside, grid, whole=x.shape[2:] == tuple(kernel) and inside.size == 1)
    total = patches.sum(axis=space)
    if rounding in FIXED_POINT:
        return np.sign(total) * ((np.abs(total) + inside // 2) // inside)
    return np.rint(total / inside).astype(np.int64) + origin


def _float32_average(patches: np.ndarray, inside: np.ndarray, grid: Grid, whole: bool) -> np.ndarray:
    """ONNX Runtime's two kernels (on x86-64). Of a whole image: the integer sum of q − Z times 1/n. Of windows: real numbers added
    one by one, and the (unsigned) zero point before the rounding, so that a mean close to a half may fall on either side of it."""
    places = list(np.ndindex(patches.shape[2 : patches.ndim // 2 + 1]))
    scale, count = np.float32(grid.scale), inside.astype(np.float32)
    if whole:
        total = sum(patches[:, :, *at] for at in places)
        return np.rint(total.astype(np.float32) * (scale / (scale * count))).astype(np.int64) + grid.zero_point
    total = sum(patches[:, :, *at].astype(np.float32) * scale for at in places)
    unsigned = np.float32(grid.zero_point + grid.unsigned_shift)
    return np.rint(total / count / scale + unsigned).astype(np.int64) - grid.unsigned_shift


def max_pool(x, kernel, stride=None, *, padding=((0, 0), (0, 0))) -> np.ndarray:
    """Codes of the maximum over windows: order survives quantization, so there is nothing to round.

    >>> max_pool(np.array([[[[1, 7], [3, 2]]]]), (2, 2)).tolist()
    [[[[7]]]]
    """
    x = np.asarray(x, dtype=np.int64)
    padded = pad(x, padding, np.iinfo(np.int64).min)
    return windows(padded, kernel, stride or kernel).max(axis=tuple(range(2, x.ndim)))


def add(a, a_grid: Grid, b, b_grid: Grid, out: Grid, rounding: str = "tflite") -> np.ndarray:
    """Codes of a + b on the grid `out`, for two tensors on grids of their own (the end of a residual block).

    Both are brought to the larger of the two scales, in fixed point with 20 bits more, added, and requantized: three roundings
    under ``"tflite"`` and ``"single"``. The other two add real numbers, ``"onnx"`` in float32.

    >>> coarse, fine, out = Grid(0.5, 0, -128, 127), Grid(0.25, 0, -128, 127), Grid(0.5, -10, -128, 127)
    >>> add(np.array([4]), coarse, np.array([8]), fine, out).tolist()  # 2.0 + 2.0
    [-2]
    """
    check_rounding(rounding)
    a, b = np.asarray(a, dtype=np.int64) - a_grid.zero_point, np.asarray(b, dtype=np.int64) - b_grid.zero_point
    if rounding in FIXED_POINT:
        multiply = FIXED_POINT[rounding]
        unit = 2 * max(a_grid.scale, b_grid.scale)
        total = multiply(a << ADD_SHIFT, *quantize_multiplier(a_grid.scale / unit))
        total = total + multiply(b << ADD_SHIFT, *quantize_multiplier(b_grid.scale / unit))
        steps = multiply(total, *quantize_multiplier(unit / (2**ADD_SHIFT * out.scale)))
    else:
        real = np.float32 if rounding == "onnx" else np.float64
        steps = np.rint((a.astype(real) * real(a_grid.scale) + b.astype(real) * real(b_grid.scale)) / real(out.scale))
    return out.saturate(steps + out.zero_point).astype(np.int64)


def worst_case(weight, bias, grid: Grid) -> int:
    """The largest magnitude that an accumulator of this layer can reach, whatever codes of `grid` it is given.

    >>> worst_case(np.full((1, 64), 127), None, Grid(1.0, -128, -128, 127)) < 2**31
    True
    """
    reach = max(grid.high - grid.zero_point, grid.zero_point - grid.low)
    sums = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1) * reach
    return int((sums + (0 if bias is None else np.abs(bias.astype(np.int64)))).max())


def pad(x: np.ndarray, padding: Padding, value: int) -> np.ndarray:
    """`x` in a frame of `value`. `padding` says how many places (before, after) on each spatial axis."""
    if not any(before or after for before, after in padding):
        return x
    sizes = [size + before + after for size, (before, after) in zip(x.shape[2:], padding, strict=True)]
    framed = np.full_like(x, value, shape=(*x.shape[:2], *sizes))
    framed[:, :, *(slice(before, before + size) for size, (before, _) in zip(x.shape[2:], padding, strict=True))] = x
    return framed


def windows(x: np.ndarray, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int] | None = None) -> np.ndarray:
    """All windows of `x`: a view ``(batch, channels, *kernel, *places)``, so that the places under one kernel weight lie together.

    >>> windows(np.arange(4).reshape(1, 1, 1, 4), (1, 2), (1, 1))[0, 0, 0].tolist()  # first and second number of each window
    [[[0, 1, 2]], [[1, 2, 3]]]
    """
    axes = len(kernel)
    dilation = dilation or (1,) * axes
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if any(size < r for size, r in zip(x.shape[2:], reach, strict=True)):
        raise ValueError(f"a window of {tuple(reach)} does not fit into {x.shape[2:]}; pad the input or take a smaller kernel")
    view = sliding_window_view(x, reach, axis=tuple(range(2, 2 + axes)), subok=True)
    view = view[:, :, *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation)]
    return np.moveaxis(view, range(2 + axes, 2 + 2 * axes), range(2, 2 + axes))


def check_shapes(x: np.ndarray, weight: np.ndarray, groups: int) -> None:
    """Raises ValueError if a layer with these weights cannot read `x`."""
    if x.ndim != weight.ndim or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ValueError(f"weights of shape {weight.shape} in {groups} group(s) do not fit an input of shape {x.shape}")


def _accumulator(total: np.ndarray, bias) -> np.ndarray:
    if bias is not None:
        total = total + per_channel(np.asarray(bias, dtype=np.float64), total)
    return np.clip(total, INT32.min, INT32.max).astype(np.int64)
