"""Weight quantizers: parametrizations of an ordinary layer. A `Conv2d` stays a `Conv2d`; its weight is quantized when it is read.

    torch.nn.utils.parametrize.register_parametrization(conv, "weight", WeightQuantizer(Int(4), PerChannel()))

The float weight lives on underneath and is what training moves. All quantizers compute weight = scale · code; they differ in where
the scale comes from.
"""

from __future__ import annotations

import torch
from torch import nn

from labkit.naming import did_you_mean
from labkit.quantization.formats import Format
from labkit.quantization.gradients import lsq, straight_through
from labkit.quantization.granularity import Granularity, PerChannel


class WeightQuantizer(nn.Module):
    """scale = max|w| / span for each row, computed anew whenever the weight is read; gradients pass straight through.

    >>> from labkit.quantization.formats import Int
    >>> from labkit.quantization.granularity import PerTensor
    >>> quantizer = WeightQuantizer(Int(3), PerTensor())
    >>> w = torch.tensor([[0.3, -0.6], [0.1, 0.5]])
    >>> quantizer(w)
    tensor([[ 0.4000, -0.6000],
            [ 0.0000,  0.4000]])
    >>> quantizer.codes(w).tolist(), quantizer.scale(w).shape
    ([[2, -3], [0, 2]], torch.Size([1, 1]))
    """

    def __init__(self, format: Format, granularity: Granularity | None = None):
        super().__init__()
        self.format = format
        self.granularity = granularity or PerChannel()

    def scale(self, w: torch.Tensor) -> torch.Tensor:
        """``(rows, 1)``, positive; a row of zeros has scale 1."""
        return self.span_scale(self.granularity.rows(w.detach()))

    def span_scale(self, rows: torch.Tensor) -> torch.Tensor:
        largest = rows.abs().amax(dim=1, keepdim=True)
        return torch.where(largest > 0, largest / self.format.span, torch.ones_like(largest))

    def _codes(self, w: torch.Tensor) -> torch.Tensor:
        """Rows of codes, as floats."""
        return self.format.project(self.granularity.rows(w.detach()) / self.scale(w))

    def codes(self, w: torch.Tensor) -> torch.Tensor:
        """The integers that are stored, int64, in the shape of `w`: the quantized weight is exactly scale · codes."""
        return self._codes(w).to(torch.int64).reshape(w.shape)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        return straight_through(w, shaped_like(w, self._codes(w) * self.scale(w)))

    def rescale(self, factor: torch.Tensor) -> None:
        """Follows the rows of the weight when they are multiplied by `factor` ``(rows, 1)``, positive."""
        if not isinstance(self.granularity, PerChannel):
            raise ValueError(f"{self.granularity!r} has no scale for each channel; fold the norms before quantizing (fold=True)")

    def extra_repr(self) -> str:
        return f"{self.format!r}, {self.granularity!r}"


class FixedScale(WeightQuantizer):
    """The scale that minimises the squared error of the weights it was made with (`best_scale`), then kept."""

    def __init__(self, format: Format, granularity: Granularity | None = None, *, weight: torch.Tensor):
        super().__init__(format, granularity)
        rows = self.granularity.rows(weight.detach())
        self.register_buffer("fixed", best_scale(rows, format, self.span_scale(rows)))

    def scale(self, w: torch.Tensor) -> torch.Tensor:
        return self.fixed

    def rescale(self, factor: torch.Tensor) -> None:
        super().rescale(factor)
        self.fixed.mul_(factor)


class PowerOfTwoScale(WeightQuantizer):
    """A scale that is a power of two: what it costs in accuracy saves the multiplier behind every accumulator, which becomes a
    shift (fixed point, as on the MAX78000). The grid wastes up to half of its codes.

    2^ceil(log2 max|w|) / 2^floor(log2(span + 1)), in which the second power is 2^(bits−1) for integers.

    >>> from labkit.quantization.formats import Int
    >>> PowerOfTwoScale(Int(8)).scale(torch.tensor([[0.3, -0.6]])).item() == 2**-7
    True
    """

    def span_scale(self, rows: torch.Tensor) -> torch.Tensor:
        largest = rows.abs().amax(dim=1, keepdim=True)
        exponent = torch.ceil(torch.log2(largest)) - torch.floor(torch.log2(torch.as_tensor(self.format.span + 1.0)))
        return torch.where(largest > 0, torch.exp2(exponent), torch.ones_like(largest))

    def rescale(self, factor: torch.Tensor) -> None:
        raise ValueError("a folded norm makes these scales no powers of two; fold the norms before quantizing (fold=True)")


class LearnedScale(WeightQuantizer):
    """LSQ: the scale is a parameter. What is learned is its logarithm, because Adam moves every parameter by about the learning
    rate, and for a scale a step must be small against the scale itself (as in TQT, Jain et al., arXiv:1903.08066)."""

    def __init__(self, format: Format, granularity: Granularity | None = None, *, weight: torch.Tensor):
        super().__init__(format, granularity)
        rows = self.granularity.rows(weight.detach())
        self.log_scale = nn.Parameter(best_scale(rows, format, self.span_scale(rows)).log())

    def scale(self, w: torch.Tensor) -> torch.Tensor:
        return self.log_scale.exp()

    def rescale(self, factor: torch.Tensor) -> None:
        super().rescale(factor)
        self.log_scale.add_(factor.log())

    def _codes(self, w: torch.Tensor) -> torch.Tensor:
        return self.format.project(self.granularity.rows(w.detach()) / self.scale(w).detach())

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        rows = self.granularity.rows(w)
        return shaped_like(w, lsq(rows, self.scale(w), self.format.project, *self.format.bounds))


class DoReFa(WeightQuantizer):
    """The weight goes through tanh first, so that a few large ones cannot stretch the grid (Zhou et al., arXiv:1606.06160, eq. 9).

    The paper's weights end up in [−1, 1], which a batch norm behind them undoes. Ours keep the range of the row, so that a network
    whose norms are folded stays itself; and the grid has a zero, as kernels want it.
    """

    def rescale(self, factor: torch.Tensor) -> None:
        raise ValueError("tanh changes with the size of its weights; fold the norms before quantizing with DoReFa (fold=True)")

    def _codes(self, w: torch.Tensor) -> torch.Tensor:
        return self.format.project(self._squeezed(w.detach()))

    def _squeezed(self, w: torch.Tensor) -> torch.Tensor:
        squeezed = torch.tanh(self.granularity.rows(w))
        largest = squeezed.detach().abs().amax(dim=1, keepdim=True).clamp(min=1e-12)
        return squeezed / largest * self.format.span

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        v = self._squeezed(w)
        return shaped_like(w, straight_through(v, self.format.project(v.detach())) * self.scale(w))


def shaped_like(w: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Rows back in the shape of `w`, and in its memory layout: a convolution whose weight lies otherwise takes twice as long."""
    return torch.empty_strided(w.shape, w.stride(), dtype=w.dtype).copy_(rows.reshape(w.shape))


def best_scale(rows: torch.Tensor, format: Format, widest: torch.Tensor, steps: int = 60) -> torch.Tensor:
    """For each row the scale between `widest`/5 and `widest` with the smallest squared error, ``(rows, 1)``: a plain search.

    Cutting off the largest weights costs them an error and gives all others a finer grid.

    >>> from labkit.quantization.formats import Int
    >>> best_scale(torch.tensor([[1.0, 1.0, 1.0, 10.0]]), Int(8), torch.tensor([[10 / 127]])).shape
    torch.Size([1, 1])
    """
    best, error = widest.clone(), torch.full_like(widest, torch.inf)
    for factor in torch.linspace(0.2, 1.0, steps).tolist():
        scale = widest * factor
        tried = (format.project(rows / scale) * scale - rows).square().sum(dim=1, keepdim=True)
        best, error = torch.where(tried < error, scale, best), torch.minimum(tried, error)
    return best


SCALES = ("max", "power of two", "mse", "lsq", "dorefa")


def weight_quantizer(scale: str, format: Format, granularity: Granularity, weight: torch.Tensor) -> WeightQuantizer:
    """The quantizer called `scale`: "max", "power of two", "mse" (fixed), "lsq" (learned) or "dorefa"."""
    if scale == "max":
        return WeightQuantizer(format, granularity)
    if scale == "power of two":
        return PowerOfTwoScale(format, granularity)
    if scale == "mse":
        return FixedScale(format, granularity, weight=weight)
    if scale == "lsq":
        return LearnedScale(format, granularity, weight=weight)
    if scale == "dorefa":
        return DoReFa(format, granularity)
    raise ValueError(f"unknown weight scale {scale!r}; {did_you_mean(scale, SCALES)}")
