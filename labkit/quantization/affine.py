"""Scale and zero point: the affine map between real numbers and integer codes, x ≈ scale · (code − zero_point).

Jacob et al., arXiv:1712.05877, eq. 1. The zero point is a code, so that the real number 0 (the padding of a convolution, the floor
of a ReLU) has a code of its own and costs no error.
"""

from __future__ import annotations

import math

import numpy as np

from labkit.quantization.formats import Int


def qparams(low: float, high: float, format: Int = Int(8, narrow=False)) -> tuple[float, int]:  # noqa: B008
    """Scale and zero point that spread [low, high] over the codes of `format`. The range is widened to contain 0.

    A range of no width (a constant tensor, all zero) gets scale 1. The scale is float32, as files and runtimes store it.
    Raises ValueError when the range is not finite or upside down.

    >>> qparams(0.0, 2.55)
    (0.009999999776482582, -128)
    >>> qparams(-1.0, 2.0, Int(4, narrow=False))
    (0.20000000298023224, -3)
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise ValueError(f"the range {low} to {high} has no scale; calibrate with finite numbers, the smaller end first")
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / (format.high - format.low)))
    if scale == 0.0:
        return 1.0, min(max(0, format.low), format.high)
    zero_point = round(format.low - low / scale)
    return scale, min(max(zero_point, format.low), format.high)


def quantize(x: np.ndarray, scale: float, zero_point: int, format: Int) -> np.ndarray:
    """Codes of `x`, int64, saturated.

    >>> quantize(np.array([0.0, 1.0, 99.0]), 0.5, -3, Int(3, narrow=False)).tolist()
    [-3, -1, 3]
    """
    return np.clip(np.round(np.asarray(x) / scale) + zero_point, format.low, format.high).astype(np.int64)


def dequantize(codes: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """What the codes stand for, float64.

    >>> dequantize(np.array([-3, -1, 3]), 0.5, -3).tolist()
    [0.0, 1.0, 3.0]
    """
    return (np.asarray(codes, dtype=np.float64) - zero_point) * scale
