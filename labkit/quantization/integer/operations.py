"""The operations of an integer network: frozen records, each with two faces.

`integer` computes codes from codes with integers alone. `floating` is the same layer as fake quantization does it: dequantize,
compute with real numbers (float64), quantize. The two agree up to the rounding of `labkit.quantization.integer.requantize`, and
under its ``"exact"`` rounding code for code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.quantization.integer import kernels, shifts
from labkit.quantization.integer.requantize import Grid, requantize

ARITHMETIC = {"multiply": kernels, "shift": shifts}


@dataclass(frozen=True)
class Operation:
    """`name` is the tensor it writes, `inputs` those it reads, `out` the grid of what it writes."""

    name: str
    inputs: tuple[str, ...]
    out: Grid

    def integer(self, codes: list[np.ndarray], grids: list[Grid], rounding: str, arithmetic: str) -> np.ndarray:
        """Codes on `out`, int64, from the codes of the inputs on their `grids`."""
        raise NotImplementedError

    def floating(self, codes: list[np.ndarray], grids: list[Grid]) -> np.ndarray:
        """The same through real numbers. What never leaves the grid (a maximum, a reshape) has only one face."""
        return self.integer(codes, grids, "exact", "multiply")


@dataclass(frozen=True)
class Weighted(Operation):
    """What convolutions and linear layers share: weights ≈ `scale` · `weight`, and a bias in units of the accumulator.

    `weight` holds integer codes, output channels first; `scale` float32, one number or one for each output channel; `bias` int32.
    `low` and `high` of the grid `out` are the clamp of a ReLU.
    """

    weight: np.ndarray
    scale: np.ndarray
    bias: np.ndarray | None

    def step(self, x: Grid) -> np.ndarray:
        """What one unit of the accumulator is worth, S_w S_x, float64: exact, because both factors are float32."""
        return np.float64(x.scale) * self.scale.astype(np.float64)

    def accumulator_bits(self, x: Grid) -> int:
        """Width of the signed accumulator that holds every sum this layer can come to; beyond 32 bits it may saturate."""
        return kernels.worst_case(self.weight, self.bias, x).bit_length() + 1

    def _to_codes(self, sums: np.ndarray, x: Grid) -> np.ndarray:
        """Adds the bias to real sums and quantizes, a half to the even code."""
        if self.bias is not None:
            sums = sums + kernels.per_channel(self.bias * self.step(x), sums)
        return self.out.saturate(np.rint(sums / self.out.scale) + self.out.zero_point).astype(np.int64)

    def _real_weight(self) -> np.ndarray:
        return self.weight * self.scale.astype(np.float64).reshape(-1, *(1,) * (self.weight.ndim - 1))


@dataclass(frozen=True)
class Conv(Weighted):
    """A convolution, 1-D or 2-D, depthwise if it has as many groups as channels."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def geometry(self) -> dict:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def integer(self, codes, grids, rounding, arithmetic):
        sums = ARITHMETIC[arithmetic].conv(codes[0], self.weight, self.bias, zero_point=grids[0].zero_point, **self.geometry)
        return requantize(sums, self.step(grids[0]), self.out, rounding)

    def floating(self, codes, grids):
        return self._to_codes(kernels.convolve(_real(codes[0], grids[0]), self._real_weight(), **self.geometry), grids[0])


@dataclass(frozen=True)
class Linear(Weighted):
    """A fully connected layer."""

    def integer(self, codes, grids, rounding, arithmetic):
        sums = ARITHMETIC[arithmetic].linear(codes[0], self.weight, self.bias, zero_point=grids[0].zero_point)
        return requantize(sums, self.step(grids[0]), self.out, rounding)

    def floating(self, codes, grids):
        return self._to_codes(_real(codes[0], grids[0]) @ self._real_weight().T, grids[0])


@dataclass(frozen=True)
class Add(Operation):
    """The sum of two tensors on grids of their own: the end of a residual block."""

    def integer(self, codes, grids, rounding, arithmetic):
        return kernels.add(codes[0], grids[0], codes[1], grids[1], self.out, rounding)


@dataclass(frozen=True)
class Pool(Operation):
    """Average (`mean`) or maximum over windows, on the grid of its input: the scale cancels, so only the average rounds."""

    mean: bool
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    def integer(self, codes, grids, rounding, arithmetic):
        if not self.mean:
            return kernels.max_pool(codes[0], self.kernel, self.stride, padding=self.padding)
        return kernels.average_pool(codes[0], grids[0], self.kernel, self.stride, padding=self.padding, rounding=rounding)


@dataclass(frozen=True)
class Clamp(Operation):
    """A ReLU that no layer could take in: codes below `low` become `low`, those above `high` become `high`."""

    low: int
    high: int

    def integer(self, codes, grids, rounding, arithmetic):
        return np.clip(codes[0], self.low, self.high)


@dataclass(frozen=True)
class Reshape(Operation):
    """Another shape behind the batch. The codes stay."""

    shape: tuple[int, ...]

    def integer(self, codes, grids, rounding, arithmetic):
        return codes[0].reshape(len(codes[0]), *self.shape)


def _real(codes: np.ndarray, grid: Grid) -> np.ndarray:
    return (codes - grid.zero_point) * grid.scale
