"""From a 32-bit accumulator back to a code of a few bits: the one step of integer inference in which a real number is left.

Jacob et al. (CVPR 2018, arXiv:1712.05877) write a real number as r = S (q − Z): scale S, code q, zero point Z (equation 1). A layer
y = Σ w x whose weights have zero point 0 is then

    q_y = Z_y + M · Σ q_w (q_x − Z_x),        M = S_w S_x / S_y                                       (equations 4, 5 and 7)

The sum is made of integers. M is not, so it is written as a 31-bit integer and a shift, M ≈ m · 2^(e−31) with 2^30 ≤ m < 2^31
(equation 6), and M · sum is an integer multiplication followed by a right shift that rounds. *How* it rounds is a convention, and
conventions differ by one code now and then, so each has a name here:

- ``"tflite"``: twice, as TensorFlow Lite (Micro)'s reference kernels do: to the high 32 bits, then at the shift.
- ``"single"``: once, half upwards, with the same m and e (TFLite built for single rounding; XNNPACK comes to the same codes).
- ``"onnx"``: no integer multiplier: float32(sum) · float32(M), to the nearest integer, a half to the even one (ONNX Runtime).
- ``"exact"``: what all of these approximate: the real M in float64, to the nearest integer, a half to the even one (LiteRT's
  reference kernel for fully connected layers).

Whatever is too large or too small saturates; nothing ever wraps round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.naming import did_you_mean

ROUNDINGS = ("tflite", "single", "onnx", "exact")
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Grid:
    """The integers that an activation may be: real = `scale` · (code − `zero_point`), codes from `low` to `high`.

    `scale` is kept as the float32 number that every runtime stores. Raises ValueError on a scale that is not positive and finite,
    and on a zero point outside [low, high], where 0 would have no code and padding no value.

    >>> grid = Grid(scale=0.5, zero_point=-10, low=-128, high=127)
    >>> grid.quantize([0.0, 1.2, 1e9]).tolist()
    [-10, -8, 127]
    >>> grid.dequantize([-10, -8]).tolist()
    [0.0, 1.0]
    """

    scale: float
    zero_point: int
    low: int
    high: int

    def __post_init__(self):
        scale = float(np.float32(self.scale))
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"a scale of {self.scale} makes no grid; calibrate on data that is neither empty nor NaN")
        if not self.low <= self.zero_point <= self.high:
            raise ValueError(f"zero point {self.zero_point} is no code from {self.low} to {self.high}; the range must contain 0")
        object.__setattr__(self, "scale", scale)

    def quantize(self, real) -> np.ndarray:
        """The nearest codes, int64, a half to the even one, in float32 as ONNX's QuantizeLinear; what is out of range saturates."""
        steps = np.asarray(real, dtype=np.float32) / np.float32(self.scale)
        if np.isnan(steps).any():
            raise ValueError("there is a NaN among the numbers to quantize; remove it first")
        return self.saturate(np.rint(np.clip(steps, INT32.min, INT32.max)).astype(np.int64) + self.zero_point)

    def dequantize(self, codes) -> np.ndarray:
        """The real numbers that `codes` stand for, float32."""
        return (np.asarray(codes) - self.zero_point).astype(np.float32) * np.float32(self.scale)

    @property
    def unsigned_shift(self) -> int:
        """What makes a signed code of 8 bits one from 0 to 255, as ONNX Runtime prefers activations."""
        return 128 if self.low < 0 else 0

    def saturate(self, codes: np.ndarray) -> np.ndarray:
        return np.clip(codes, self.low, self.high)


def quantize_multiplier(real) -> tuple[np.ndarray, np.ndarray]:
    """(m, e) with `real` ≈ m · 2^(e−31): a 31-bit integer and a power of two, int64 arrays shaped like `real`.

    A multiplier below 2^-32 becomes 0: it turns every 32-bit accumulator into 0. Raises ValueError if one is negative, NaN or so
    large (2^31 and more) that every accumulator but 0 would saturate.

    >>> m, e = quantize_multiplier(0.003)
    >>> int(m), int(e), float(m * 2.0 ** (e - 31))
    (1649267442, -8, 0.0030000000006111804)
    """
    real = np.asarray(real, dtype=np.float64)
    if not np.all((real >= 0) & (real < 2.0**31)):
        raise ValueError("a requantization multiplier is not in [0, 2^31); look for a scale that is NaN, negative or nearly 0")
    fraction, exponent = np.frexp(real)
    mantissa = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carried = mantissa == 2**31  # 0.99999999999 rounds up to 1.0 = 0.5 · 2^1
    mantissa, exponent = np.where(carried, 2**30, mantissa), exponent.astype(np.int64) + carried
    vanishes = exponent < -31
    return np.where(vanishes, 0, mantissa), np.where(vanishes, 0, exponent)


def multiply_rounding_twice(acc: np.ndarray, mantissa: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """acc · mantissa · 2^(exponent−31) as TensorFlow Lite's reference kernels compute it.

    First the "saturating rounding doubling high multiplication": the upper 32 bits of 2 · acc · mantissa, a half upwards. Then the
    remaining right shift, a half away from zero. The second rounding sees a number that is rounded already, so that the result is
    now and then one more than a single rounding gives.

    >>> int(multiply_rounding_twice(np.int64(-3), 2**30, 0))  # -3 / 2: the first rounding takes a half upwards
    -1
    >>> int(multiply_rounding_twice(np.int64(-6), 2**30, -1))  # -6 / 4: the second takes it away from zero
    -2
    """
    left, right = np.maximum(exponent, 0), np.maximum(-np.asarray(exponent), 0)
    high = _int32((_int32(np.asarray(acc, dtype=np.int64) << left) * mantissa + (1 << 30)) >> 31)
    half = (1 << right) >> 1
    return (high + half - ((high < 0) & (half > 0))) >> right


def multiply_rounding_once(acc: np.ndarray, mantissa: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """acc · mantissa · 2^(exponent−31) with one rounding, a half upwards.

    >>> int(multiply_rounding_once(np.int64(-6), 2**30, -1))
    -1
    """
    shift = 31 - np.asarray(exponent)
    return _int32((np.asarray(acc, dtype=np.int64) * mantissa + (1 << (shift - 1))) >> shift)


FIXED_POINT = {"tflite": multiply_rounding_twice, "single": multiply_rounding_once}


def requantize(acc: np.ndarray, step, out: Grid, rounding: str = "tflite") -> np.ndarray:
    """q_y = Z_y + M · acc, saturated to the codes of `out`: int64, shaped like `acc`.

    `acc` holds 32-bit accumulators, ``(batch, channels, ...)``. `step` is what one unit of the accumulator is worth, S_w S_x: one
    number, or one per channel. Computed in float64 the product of two float32 scales is exact, so that M = `step` / S_y is rounded
    only where the runtime that is imitated rounds it. A ReLU costs nothing: it is `out.low` = `out.zero_point`.

    >>> out = Grid(scale=1.0, zero_point=3, low=-128, high=127)
    >>> acc = np.array([[-2, 6, 10, 1000]])
    >>> {r: requantize(acc, 0.25, out, r)[0].tolist() for r in ROUNDINGS}  # -0.5, 1.5, 2.5 and far too much
    {'tflite': [2, 5, 6, 127], 'single': [3, 5, 6, 127], 'onnx': [3, 5, 5, 127], 'exact': [3, 5, 5, 127]}
    """
    check_rounding(rounding)
    step = per_channel(np.asarray(step, dtype=np.float64), acc)
    if rounding in FIXED_POINT:
        rescaled = FIXED_POINT[rounding](acc, *quantize_multiplier(step / out.scale))
    elif rounding == "onnx":
        rescaled = np.rint(acc.astype(np.float32) * (step.astype(np.float32) / np.float32(out.scale)))
    else:
        rescaled = np.rint(acc.astype(np.float64) * (step / out.scale))
    return out.saturate(rescaled + out.zero_point).astype(np.int64)


def check_rounding(rounding: str) -> None:
    """Raises ValueError if no rounding is called so."""
    if rounding not in ROUNDINGS:
        raise ValueError(f"unknown rounding {rounding!r}; {did_you_mean(rounding, ROUNDINGS)}")


def per_channel(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`values`, one number or one per channel, shaped so that they stand over axis 1 of `like`."""
    return values.reshape(-1, *(1,) * (like.ndim - 2)) if values.size > 1 else values.reshape(())


def _int32(values: np.ndarray) -> np.ndarray:
    return np.clip(values, INT32.min, INT32.max)
