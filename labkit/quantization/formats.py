"""Number formats: which integers a weight or an activation may become.

One idea holds for all of them: **a real number x is stored as an integer code, x ≈ scale · code**. Formats differ only in the codes
they allow. `Int` allows all integers of a range, `PowerOfTwo` those that are a shift, `Binary` only ±1. Because every code is an
integer, one integer engine (`labkit.quantization.integer`) runs them all.

Rounding goes to the nearest code. `Int` breaks ties to the even code, as torch, onnxruntime and brevitas do; the others break
them towards zero. What lies beyond the last code becomes the last code: formats saturate, they never wrap.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch


class Format:
    """A set of integer codes. `span` is the code that the largest number of a tensor becomes, so scale = max|x| / span."""

    bits: int

    @property
    def levels(self) -> np.ndarray:
        """The codes, ascending, int64."""
        raise NotImplementedError

    @property
    def low(self) -> int:
        return int(self.levels[0])

    @property
    def high(self) -> int:
        return int(self.levels[-1])

    @property
    def span(self) -> int:
        return self.high

    @property
    def bounds(self) -> tuple:
        """Smallest and largest code; of a format whose channels differ (`ChannelInt`), tensors ``(channels, 1)``."""
        return self.low, self.high

    def project(self, x):
        """The nearest code for every number of `x` (already divided by its scale): a tensor of a tensor, an array of an array."""
        if isinstance(x, torch.Tensor):
            return self._project(x)
        return self._project(torch.as_tensor(np.asarray(x, dtype=np.float64))).numpy()

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        magnitude = torch.bucketize(x.abs(), self._midpoints(x))
        code = torch.sign(x) * self._magnitudes.to(x.dtype)[magnitude]
        return torch.where(x.isnan(), x, code)  # torch calls the sign of NaN 0: a broken weight would pass for a good one

    @cached_property
    def _magnitudes(self) -> torch.Tensor:
        return torch.from_numpy(self.levels[self.levels >= 0])

    def _midpoints(self, x: torch.Tensor) -> torch.Tensor:
        return (self._magnitudes[1:] + self._magnitudes[:-1]).to(x.dtype) / 2

    def __str__(self) -> str:
        shown = [str(level) for level in self.levels]
        return f"{self!r}: {len(shown)} codes {', '.join(shown if len(shown) <= 17 else [*shown[:3], '…', *shown[-3:]])}"


def _check_bits(bits, least: int, most: int, name: str) -> None:
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or not least <= bits <= most:
        raise ValueError(f"{name} has no {bits!r} bits; give a whole number from {least} to {most}")


@dataclass(frozen=True)
class Int(Format):
    """All integers of `bits` bits. Weights are signed and *narrow*: −128 is left out, so that the grid is symmetric about zero.

    TensorFlow Lite requires that of int8 weights: then the zero point is 0 and no product of two codes leaves int16. Activations
    use the whole range: ``Int(8, narrow=False)``.

    >>> print(Int(3))
    Int(bits=3, signed=True, narrow=True): 7 codes -3, -2, -1, 0, 1, 2, 3
    >>> Int(3).project(np.array([0.5, 1.5, -9.0, 2.4])).tolist()
    [0.0, 2.0, -3.0, 2.0]
    >>> Int(8, narrow=False).low, Int(8, signed=False).high
    (-128, 255)
    """

    bits: int = 8
    signed: bool = True
    narrow: bool = True

    def __post_init__(self):
        _check_bits(self.bits, 2 if self.signed and self.narrow else 1, 16, "Int")

    @property
    def low(self) -> int:
        return -(2 ** (self.bits - 1)) + self.narrow if self.signed else 0

    @property
    def high(self) -> int:
        return 2 ** (self.bits - self.signed) - 1

    @property
    def levels(self) -> np.ndarray:
        return np.arange(self.low, self.high + 1)

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(x).clamp_(self.low, self.high)


@dataclass(frozen=True)
class PowerOfTwo(Format):
    """Zero and ±2^k: a product with such a weight is a shift. One code is zero, the other bits are a sign and an exponent.

    Dense near zero and sparse at the ends, where one bit more adds no level between the two largest (Li et al., arXiv:1909.13144,
    call it the rigid resolution).

    >>> print(PowerOfTwo(3))
    PowerOfTwo(bits=3): 7 codes -4, -2, -1, 0, 1, 2, 4
    >>> PowerOfTwo(3).project(np.array([0.4, 1.4, 3.1, -7.0])).tolist()
    [0.0, 1.0, 4.0, -4.0]
    """

    bits: int = 4

    def __post_init__(self):
        _check_bits(self.bits, 2, 5, "PowerOfTwo")

    @cached_property
    def levels(self) -> np.ndarray:
        return _with_signs({2**k for k in range(2 ** (self.bits - 1) - 1)})


@dataclass(frozen=True)
class AdditivePowerOfTwo(Format):
    """Sums of `terms` powers of two (APoT, Li et al., arXiv:1909.13144, eq. 7): shifts and one addition more, levels spread evenly.

    Beside the sign there are bits − 1 bits, dealt out to the terms as evenly as possible; a term of b bits is 0 or one of 2^b − 1
    powers of two. The powers are interleaved: with n terms of equal width, term i has every n-th power, starting at the i-th.

    >>> print(AdditivePowerOfTwo(4))
    AdditivePowerOfTwo(bits=4, terms=2): 15 codes -10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10
    """

    bits: int = 4
    terms: int = 2

    def __post_init__(self):
        _check_bits(self.bits, 2, 8, "AdditivePowerOfTwo")
        if not 1 <= self.terms <= self.bits - 1:
            raise ValueError(f"{self.bits} bits cannot hold {self.terms} terms beside the sign; give 1 to {self.bits - 1} terms")

    @cached_property
    def levels(self) -> np.ndarray:
        sums = {sum(choice) for choice in itertools.product(*self.term_values)}
        return _with_signs(sums - {0})

    @cached_property
    def term_values(self) -> tuple[tuple[int, ...], ...]:
        """What each term may be: 0 or a power of two."""
        sizes = [2 ** len(part) - 1 for part in np.array_split(np.arange(self.bits - 1), self.terms)]
        # the j-th of a term's m powers belongs at (j + ½)/m of the way down; sorted by that place, the terms interleave
        places = sorted(((j + 0.5) / m, term) for term, m in enumerate(sizes) for j in range(m))
        values = [[0] for _ in sizes]
        for exponent, (_, term) in enumerate(places):
            values[term].append(2 ** (len(places) - 1 - exponent))
        return tuple(map(tuple, values))


@dataclass(frozen=True)
class TwoStep(Format):
    """Two steps to a shift: a uniform grid of few bits first, then each of its integers k to ±2^round(log2 |k|).

    The uniform step decides what is zero, so small weights vanish instead of taking up exponents; the second step rounds in the
    logarithm (after Avila et al., arXiv:2207.07497, for spoken language understanding, whose abstract we know; this grid is ours).

    >>> print(TwoStep(4))
    TwoStep(bits=4): 9 codes -8, -4, -2, -1, 0, 1, 2, 4, 8
    >>> TwoStep(4).project(np.array([0.4, 2.6, 5.0, 6.0])).tolist()         # 0, 3, 5, 6 on the uniform grid
    [0.0, 4.0, 4.0, 8.0]
    """

    bits: int = 4

    def __post_init__(self):
        _check_bits(self.bits, 2, 8, "TwoStep")

    @cached_property
    def first(self) -> Int:
        return Int(self.bits)

    @property
    def span(self) -> int:
        return self.first.high

    @cached_property
    def levels(self) -> np.ndarray:
        return np.unique(self.project(self.first.levels)).astype(np.int64)

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        k = self.first.project(x)
        return torch.sign(k) * torch.where(k == 0, k, torch.exp2(torch.round(torch.log2(k.abs().clamp(min=1)))))


@dataclass(frozen=True)
class Ternary(Format):
    """−1, 0 and 1: a product is nothing, a copy or a change of sign.

    >>> Ternary().project(np.array([-0.7, 0.2, 3.0])).tolist()
    [-1.0, 0.0, 1.0]
    """

    bits = 2

    @property
    def levels(self) -> np.ndarray:
        return np.array([-1, 0, 1])


@dataclass(frozen=True)
class Binary(Format):
    """−1 and 1. There is no zero; by convention the sign of 0 is +1, as in brevitas.

    >>> Binary().project(np.array([-0.1, -0.0, 0.0, 5.0])).tolist()
    [-1.0, 1.0, 1.0, 1.0]
    """

    bits = 1

    @property
    def levels(self) -> np.ndarray:
        return np.array([-1, 1])

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x < 0, -1.0, 1.0).to(x.dtype).where(~x.isnan(), x)


def _with_signs(magnitudes: set[int]) -> np.ndarray:
    return np.array(sorted({0} | magnitudes | {-m for m in magnitudes}), dtype=np.int64)
