"""AdaRound: to which of its two neighbours shall each weight be rounded, so that the layer's *output* changes least?

Rounding to the nearest makes each weight's own error smallest, but errors of weights whose inputs go together add up. With
Δ = W̃ − W the output is off by E‖Δ x‖² = Δ E[x xᵀ] Δᵀ (Nagel et al., arXiv:2004.10568, eq. 20): a choice for every weight, coupled
by how the inputs correlate. AdaRound relaxes the choices to numbers between 0 and 1 and lets gradient descent decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from labkit.quantization.formats import Int
from labkit.quantization.layerwise import walk
from labkit.quantization.prepare import weight_quantizers
from labkit.quantization.weights import DoReFa, WeightQuantizer

ZETA, GAMMA = 1.1, -0.1  # the sigmoid is stretched to this range and cut, so that it reaches 0 and 1 (eq. 23)
BETA = (20.0, 2.0)  # the regulariser's exponent, from flat to pushing (eq. 24)
WARM_UP = 0.2  # share of the steps in which only the error counts
PUSH = 3.0  # weight of the regulariser; the error is 1 for each weight of a channel rounded to the nearest
LEARNING_RATE = 0.05
CHUNK = 64  # examples whose patches are in memory at once


class LearnedRounding(WeightQuantizer):
    """floor(w / scale) + up, where `up` is 0 or 1 for each weight; format, granularity and scale are those of another quantizer."""

    def __init__(self, quantizer: WeightQuantizer, weight: torch.Tensor, up: torch.Tensor):
        super().__init__(quantizer.format, quantizer.granularity)
        self.register_buffer("fixed", quantizer.scale(weight).detach().clone())
        self.register_buffer("up", up)

    def scale(self, w: torch.Tensor) -> torch.Tensor:
        return self.fixed

    def _codes(self, w: torch.Tensor) -> torch.Tensor:
        rows = self.granularity.rows(w.detach())
        return (floor(rows / self.fixed, self.format) + self.up.reshape(rows.shape)).clamp(max=self.format.high)


def floor(v: torch.Tensor, format: Int) -> torch.Tensor:
    """The code below each number, within the grid."""
    return torch.floor(v).clamp(format.low, format.high)


def adaround(
    prepared: torch.fx.GraphModule, batches: torch.Tensor | Iterable, *, steps: int = 500, progress: bool = True
) -> dict[str, tuple[float, float]]:
    """Learns how to round the weights of every layer, in place, one layer after the other in the order they run.

    Each layer is to put out what it puts out in the float network (before its ReLU), although it reads what the rounded layers
    before it write. Returns for each layer the mean squared error of its output: rounded to the nearest, and as learned; the second
    is never larger.

    `prepared` must be calibrated and its weight formats `Int`, else ValueError; `batches` is as `calibrate` takes it: a few hundred
    examples, no labels.

    >>> from labkit.quantization.prepare import Scheme, prepare
    >>> net = nn.Sequential(nn.Linear(3, 1, bias=False))
    >>> net[0].weight.data = torch.tensor([[1.0, 0.4, 0.45]])
    >>> prepared = prepare(net, Scheme(weights=Int(2), activations=None))           # to the nearest: 1, 0, 0
    >>> x = torch.tensor([[0.0, 1.0, 1.0], [0.0, 2.0, 2.0]])                        # the last two inputs go together
    >>> {name: [round(error, 2) for error in pair] for name, pair in adaround(prepared, x, progress=False).items()}
    {'0': [1.81, 0.06]}
    >>> prepared.get_submodule("0").weight.tolist()
    [[1.0, 0.0, 1.0]]
    """
    layers = weight_quantizers(prepared)
    for name, (_, quantizer) in layers.items():
        if not isinstance(quantizer.format, Int):
            raise ValueError(
                f"layer {name!r} has the format {quantizer.format!r}; AdaRound works on a uniform grid, such as Int(4)"
            )
        if isinstance(quantizer, DoReFa):
            raise ValueError(f"layer {name!r} bends its weights before rounding (dorefa); give AdaRound another weight_scale")
    errors = {}
    with tqdm(total=steps * len(layers), disable=not progress, unit="step") as bar:

        def visit(name: str, layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
            bar.set_postfix_str(name, refresh=False)
            quantizers = layer.parametrizations.weight
            problem = Rounding.of(layer, x, y)
            up = problem.solve(steps, bar)
            errors[name] = (problem.error(problem.nearest).mean().item(), problem.error(up).mean().item())
            quantizers[0] = LearnedRounding(quantizers[0], quantizers.original, up.reshape(quantizers.original.shape))

        walk(prepared, batches, visit)
    return errors


@dataclass(frozen=True)
class Rounding:
    """The rounding problem of one layer. Weights are ``(groups, channels, n)``: rows that read the n inputs of their group.

    With x the inputs of one output, y the output wanted and r = y − W x − b what the layers before have spoilt, the mean squared
    error of a channel is ``Δ E[x xᵀ] Δᵀ − 2 Δ E[r x] + E[r²]``. So all the data are in three moments, and no step needs them again.
    """

    weight: torch.Tensor
    below: torch.Tensor  # the weight rounded down
    step: torch.Tensor  # from there to the weight rounded up; 0 at the end of the grid
    nearest: torch.Tensor  # 1 where the nearest is above, else 0
    xx: torch.Tensor  # E[x xᵀ], (groups, n, n)
    rx: torch.Tensor  # E[r x], (groups, channels, n)
    rr: torch.Tensor  # E[r²], (groups, channels)

    @classmethod
    @torch.no_grad()
    def of(cls, layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Rounding:
        """From what the layer reads ``(examples, ...)`` and what it should write."""
        quantizers = layer.parametrizations.weight
        weight, quantizer = quantizers.original.detach(), quantizers[0]
        groups = getattr(layer, "groups", 1)

        def grouped(rows: torch.Tensor) -> torch.Tensor:
            return rows.reshape(groups, len(weight) // groups, -1)

        rows, scale = quantizer.granularity.rows(weight), quantizer.scale(weight).detach()
        down = floor(rows / scale, quantizer.format)
        up = (down + 1).clamp(max=quantizer.format.high)
        w = grouped(weight)
        xx, rx, rr = torch.zeros(groups, w.shape[2], w.shape[2]), torch.zeros_like(w), torch.zeros(w.shape[:2])
        spoilt = y - _run_with(layer, weight, x)
        for part, r in zip(x.split(CHUNK), spoilt.split(CHUNK), strict=True):
            p = patches(layer, part)
            r = r.reshape(len(r), *w.shape[:2], -1).permute(1, 2, 0, 3).flatten(2)
            xx += p @ p.mT
            rx += r @ p.mT
            rr += r.square().sum(dim=2)
        outputs = y.numel() // len(weight)
        nearest = grouped(quantizer.codes(weight) - down.reshape(weight.shape))
        return cls(w, grouped(down * scale), grouped((up - down) * scale), nearest, xx / outputs, rx / outputs, rr / outputs)

    def error(self, up: torch.Tensor) -> torch.Tensor:
        """Mean squared error of every channel, ``(groups, channels)``, when `up` (0 to 1) of the way up is taken."""
        delta = self.below + self.step * up - self.weight
        return ((delta @ self.xx - 2 * self.rx) * delta).sum(dim=2) + self.rr

    @torch.enable_grad()
    def solve(self, steps: int, bar: tqdm) -> torch.Tensor:
        """0 or 1 for every weight, in the shape of `weight`."""
        delta = self.below + self.step * self.nearest - self.weight
        unit = ((delta @ self.xx) * delta).mean(dim=2).clamp(min=1e-12)  # error a weight, rounded to the nearest
        part = ((self.weight - self.below) / self.step.clamp(min=1e-12)).clamp(0, 1)
        v = torch.logit((part - GAMMA) / (ZETA - GAMMA)).requires_grad_()  # so that learning starts from the float weights
        optimizer = torch.optim.Adam([v], LEARNING_RATE)
        for step in range(steps):
            h = rectified_sigmoid(v)
            loss = (self.error(h) / unit).sum()
            time = (step / steps - WARM_UP) / (1 - WARM_UP)
            if time > 0:
                beta = BETA[0] + (BETA[1] - BETA[0]) * time
                loss = loss + PUSH * (1 - (2 * h - 1).abs() ** beta).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.update()
        learned, greedy = self.polish((rectified_sigmoid(v.detach()) > 0.5).float()), self.polish(self.nearest)
        return torch.where((self.error(learned) < self.error(greedy))[..., None], learned, greedy)

    @torch.no_grad()
    def polish(self, up: torch.Tensor) -> torch.Tensor:
        """Turns over one weight of each channel at a time, the one that helps most, until none does.

        Ours, not in the paper: with the moments at hand it takes milliseconds.
        """
        curvature = torch.diagonal(self.xx, dim1=1, dim2=2)[:, None]
        least = 1e-6 * (self.rr[..., None] + (self.step**2 * curvature).sum(dim=2, keepdim=True))  # less is float32's noise
        for _ in range(10 * up.shape[2]):
            delta = self.below + self.step * up - self.weight
            turn = self.step * (1 - 2 * up)
            gain, best = (-turn * (2 * (delta @ self.xx - self.rx) + turn * curvature)).max(dim=2, keepdim=True)
            if not (gain > least).any():
                break
            up = up.scatter(2, best, torch.where(gain > least, 1 - up.gather(2, best), up.gather(2, best)))
        return up


def rectified_sigmoid(v: torch.Tensor) -> torch.Tensor:
    """clip(σ(v)(ζ − γ) + γ, 0, 1) (eq. 23): unlike a sigmoid's, its gradient does not fade before it reaches 0 or 1.

    >>> rectified_sigmoid(torch.tensor([-9.0, 0.0, 9.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return (torch.sigmoid(v) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def patches(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The inputs of every output of `layer`, one a column: ``(groups, n, outputs)``, so that weights @ patches is the layer.

    >>> patches(nn.Conv1d(4, 6, 3, groups=2), torch.zeros(5, 4, 10)).shape
    torch.Size([2, 6, 40])
    """
    if isinstance(layer, nn.Linear):
        return x.T[None]
    if isinstance(layer, nn.Conv1d):  # unfold knows pictures only: a sequence is one of height 1
        kernel, stride, dilation = (1, *layer.kernel_size), (1, *layer.stride), (1, *layer.dilation)
    else:
        kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)  # where torch keeps what "same" or (5, 1) come to
    x = x.unsqueeze(2) if isinstance(layer, nn.Conv1d) else x
    columns = F.unfold(x, kernel, dilation, 0, stride)
    return columns.reshape(len(x), layer.groups, -1, columns.shape[2]).permute(1, 2, 0, 3).flatten(2)


def _run_with(layer: nn.Module, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The output of `layer` if its weights were these."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, layer.bias)
    return layer._conv_forward(x, weight, layer.bias)
