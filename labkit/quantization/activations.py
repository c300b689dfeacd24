"""`ActivationQuantizer`: stands behind an operation and makes of its output what an integer network would see.

Three lives: it *observes* during calibration, then *quantizes* with the range it saw; where it learns, training moves its scale.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from labkit.quantization.affine import qparams
from labkit.quantization.formats import Int
from labkit.quantization.gradients import fake_quantize, lsq, pact
from labkit.quantization.observers import Observer

SCALES = ("observed", "lsq", "pact")


class ActivationQuantizer(nn.Module):
    """(clamp(round(x/scale) + zero_point) − zero_point) · scale. What is beyond the calibrated range saturates.

    `learn`: "observed" keeps the calibrated scale; "lsq" learns it; "pact" learns where a ReLU saturates (a two-sided range, of
    which PACT says nothing, learns as "lsq" does). Zero points stay as calibrated.

    >>> from labkit.quantization.observers import MinMax
    >>> quantizer = ActivationQuantizer(Int(8, narrow=False), MinMax())
    >>> quantizer.observing = True
    >>> _ = quantizer(torch.tensor([0.0, 2.55]))
    >>> quantizer.freeze()
    >>> quantizer(torch.tensor([0.014, 9.0])), quantizer.zero_point
    (tensor([0.0100, 2.5500]), -128)
    """

    def __init__(self, format: Int, observer: Observer, learn: str = "observed"):
        super().__init__()
        self.format, self.observer, self.learn = format, observer, learn
        self.activation_bits = format.bits  # read by labkit.trace
        self.observing = False
        self.register_buffer("offset", torch.tensor(0, dtype=torch.int64))
        start = torch.tensor(math.nan)  # until calibrated
        if learn == "observed":
            self.register_buffer("log_scale", start)
        else:
            self.log_scale = nn.Parameter(start)

    @property
    def calibrated(self) -> bool:
        return not bool(torch.isnan(self.log_scale))

    @property
    def scale(self) -> torch.Tensor:
        return self.log_scale.exp()

    @property
    def zero_point(self) -> int:
        return int(self.offset)

    def freeze(self) -> None:
        """Takes scale and zero point from what was observed."""
        scale, zero_point = qparams(*self.observer.range(), self.format)
        with torch.no_grad():
            self.log_scale.fill_(math.log(scale))
            self.offset.fill_(zero_point)
        self.observing = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.observing:
            self.observer.update(x.detach())
            return x
        if not self.calibrated:
            raise RuntimeError("this network has not seen data yet; run calibrate(prepared, batches) before using it")
        low, high = self.format.low - self.zero_point, self.format.high - self.zero_point
        if self.learn == "observed":
            return fake_quantize(x, self.scale, self.zero_point, self.format.low, self.format.high)
        if self.learn == "pact" and low == 0:
            return pact(x, self.scale * high, high)
        return lsq(x, self.scale, lambda v: v.round().clamp_(low, high), low, high)

    def extra_repr(self) -> str:
        state = f"scale={self.scale.item():.4g}, zero_point={self.zero_point}" if self.calibrated else "not calibrated"
        return f"{self.format!r}, {state}, {self.learn}"
