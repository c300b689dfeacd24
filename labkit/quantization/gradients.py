"""Gradients of rounding. Rounding is flat almost everywhere, so its true gradient teaches nothing; these are the useful lies.

The *straight-through estimator* (Bengio et al., arXiv:1308.3432) lets a gradient pass where the code is inside the grid and stops
it where it saturates. *LSQ* (Esser et al., arXiv:1902.08153) and *PACT* (Choi et al., arXiv:1805.06085) also learn the scale.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, quantized):
        return quantized.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def straight_through(x: torch.Tensor, quantized: torch.Tensor) -> torch.Tensor:
    """The value of `quantized` with the gradient of `x`."""
    return _StraightThrough.apply(x, quantized)


def round_ste(x: torch.Tensor) -> torch.Tensor:
    """Rounds; the gradient passes as if it had not.

    >>> x = torch.tensor([0.4, 1.6], requires_grad=True)
    >>> round_ste(x).sum().backward()
    >>> x.grad.tolist()
    [1.0, 1.0]
    """
    return straight_through(x, torch.round(x))


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, zero_point, low, high):
        code = torch.round(x / scale).add_(zero_point)
        ctx.save_for_backward((code >= low) & (code <= high))
        return code.clamp_(low, high).sub_(zero_point).mul_(scale)

    @staticmethod
    def backward(ctx, grad):
        (inside,) = ctx.saved_tensors
        return torch.where(inside, grad, 0.0), None, None, None, None


def fake_quantize(x: torch.Tensor, scale, zero_point, low: int, high: int) -> torch.Tensor:
    """(clamp(round(x/scale) + zero_point, low, high) − zero_point) · scale: what an integer network would see of `x`, as floats.

    The gradient passes where the rounded code is inside [low, high], as ``torch.fake_quantize_per_tensor_affine`` has it.
    `scale` broadcasts against `x`.

    >>> fake_quantize(torch.tensor([0.26, 9.0]), 0.5, 0, -4, 3).tolist()
    [0.5, 1.5]
    """
    return _FakeQuantize.apply(x, scale, zero_point, low, high)


class _LSQ(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, project, low, high, grad_scale):
        code = project(x / scale)
        ctx.save_for_backward(x, code, scale)
        ctx.low, ctx.high, ctx.grad_scale = low, high, grad_scale
        return code * scale

    @staticmethod
    def backward(ctx, grad):
        x, code, scale = ctx.saved_tensors
        by_x = torch.where((x > ctx.low * scale) & (x < ctx.high * scale), grad, 0.0)
        # eq. 3, summed: the code where v saturates, code − v where it does not
        by_scale = _sum_to(grad * code, scale) - _sum_to(by_x * x, scale) / scale
        return by_x, by_scale * ctx.grad_scale, None, None, None, None


def _sum_to(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return x.sum().reshape(scale.shape) if scale.numel() == 1 else x.sum_to_size(scale.shape)


def lsq(x: torch.Tensor, scale: torch.Tensor, project: Callable, low: int, high: int, grad_scale: float = 1.0) -> torch.Tensor:
    """scale · project(x / scale), with the gradients of the LSQ paper for `x` (eq. 5) and `scale` (eq. 3).

    The paper saturates first and rounds then: v = x/scale is outside when v ≤ low or v ≥ high. torch's own learnable kernel,
    torchao and MQBench round first, so for v in (high, high + ½) their gradient differs. `project` maps v to codes, saturated
    (`Format.project`), so the same rule serves grids that are not uniform. `grad_scale` is the paper's g = 1/√(n · high).

    >>> x, s = torch.tensor([0.3, 2.2, 9.0]), torch.tensor(1.0, requires_grad=True)
    >>> lsq(x, s, lambda v: v.round().clamp(-4, 3), -4, 3).sum().backward()
    >>> round(s.grad.item(), 4)                                # (0 − 0.3) + (2 − 2.2) + 3
    2.5
    """
    return _LSQ.apply(x, scale, project, low, high, grad_scale)


class _PACT(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, alpha, steps):
        ctx.save_for_backward(x >= alpha, (x > 0) & (x < alpha))
        scale = alpha / steps
        return torch.round(x.clamp(min=0).minimum(alpha) / scale) * scale

    @staticmethod
    def backward(ctx, grad):
        above, inside = ctx.saved_tensors
        return torch.where(inside, grad, 0.0), torch.where(above, grad, 0.0).sum(), None


def pact(x: torch.Tensor, alpha: torch.Tensor, steps: int) -> torch.Tensor:
    """A ReLU that saturates at a learned `alpha`, in `steps` steps (PACT, eq. 1 to 3); alpha's gradient comes from what is cut off.

    >>> alpha = torch.tensor(3.0, requires_grad=True)
    >>> pact(torch.tensor([-1.0, 1.2, 5.0]), alpha, 3).sum().backward()
    >>> alpha.grad.item()
    1.0
    """
    return _PACT.apply(x, alpha, steps)
