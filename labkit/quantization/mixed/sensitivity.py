"""How much it hurts to give one layer fewer bits, before any training.

Two answers. `loss_increase` tries it: quantize one layer, leave the rest, measure the loss. `hessian_trace` and
`predicted_increase` reason (HAWQ-V2, Dong et al., arXiv:1911.03852): at a minimum the gradient vanishes, so the loss grows by the
second order,

    ΔL ≈ ½ Δwᵀ H Δw ≈ ½ · Tr(H)/n · ‖Δw‖²      if rounding errors Δw point nowhere in particular,

and the trace of the Hessian needs no Hessian: for random signs v, E[vᵀ H v] = Tr(H), and H v costs one more backward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from labkit.quantization.formats import Format
from labkit.quantization.granularity import Granularity, PerChannel
from labkit.quantization.prepare import WEIGHTED
from labkit.quantization.weights import WeightQuantizer

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def loss_increase(
    model: nn.Module, batches: Batches, formats: Sequence[Format | int], granularity: Granularity | None = None
) -> dict[str, np.ndarray]:
    """Layer -> by how much the mean cross-entropy grows when only this layer has the weights of each format, ``(len(formats),)``.

    A format of 0 prunes the layer: its weights become 0. The model is left as it was. Rounding can also help: values may be
    negative, and with few examples they are noise.

    >>> from labkit.quantization.formats import Int
    >>> net = nn.Sequential(nn.Linear(1, 2, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [0.0]]))
    >>> x, y = torch.ones(1, 1), torch.tensor([0])
    >>> loss_increase(net, [(x, y)], [0, Int(8)])["0"].round(3).tolist()        # log 2 − log(1 + 1/e), and nothing
    [0.38, 0.0]
    """
    layers, batches = weighted_modules(model), _examples(batches)
    increase = {}
    with _evaluating(model), torch.no_grad():
        before = _mean_loss(model, batches)
        for name, layer in layers.items():
            original = layer.weight.detach().clone()
            try:
                losses = []
                for format in formats:
                    layer.weight.copy_(quantized(original, format, granularity))
                    losses.append(_mean_loss(model, batches) - before)
            finally:
                layer.weight.copy_(original)
            increase[name] = np.array(losses)
    return increase


def hessian_trace(model: nn.Module, batches: Batches, samples: int = 20, seed: int = 0) -> dict[str, float]:
    """Layer -> trace of the Hessian of the mean cross-entropy in the layer's weights: Hutchinson's estimate with `samples` draws.

    Its standard error falls with the square root of `samples`.
    """
    layers, batches = weighted_modules(model), _examples(batches)
    generator = torch.Generator().manual_seed(seed)
    total = sum(len(x) for x, _ in batches)
    traces = dict.fromkeys(layers, 0.0)
    with _evaluating(model), torch.enable_grad(), _differentiable([layer.weight for layer in layers.values()]):
        for x, y in batches:
            loss = F.cross_entropy(model(x), y, reduction="sum") / total
            for name, layer in layers.items():
                (gradient,) = torch.autograd.grad(loss, layer.weight, create_graph=True)
                for _ in range(samples):
                    v = _signs(layer.weight, generator)
                    (hv,) = torch.autograd.grad(gradient, layer.weight, v, retain_graph=True, materialize_grads=True)
                    traces[name] += (v * hv).sum().item() / samples
    return traces


def predicted_increase(
    model: nn.Module, traces: dict[str, float], formats: Sequence[Format | int], granularity: Granularity | None = None
) -> dict[str, np.ndarray]:
    """Layer -> ½ · Tr(H)/n · ‖Q(w) − w‖² for each format: what `loss_increase` should find, without running the network again.

    HAWQ-V2's Ω leaves out the ½, which changes no ranking.
    """
    increase = {}
    for name, layer in weighted_modules(model).items():
        w = layer.weight.detach()
        errors = [(quantized(w, format, granularity) - w).square().sum().item() for format in formats]
        increase[name] = traces[name] / w.numel() * np.array(errors) / 2
    return increase


def quantized(w: torch.Tensor, format: Format | int, granularity: Granularity | None = None) -> torch.Tensor:
    """The weights in a format, one scale a channel unless said otherwise; a format of 0 is all zeros."""
    if isinstance(format, Format):
        return WeightQuantizer(format, granularity or PerChannel())(w)
    if format == 0:
        return torch.zeros_like(w)
    raise ValueError(f"{format!r} is no number format; give one such as Int(4), or 0 for a pruned layer")


def weighted_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Convolutions and linear layers by name. Raises ValueError when there are none, or when they are quantized already."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, WEIGHTED)}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no convolution or linear layer; there is nothing to quantize")
    for name, layer in layers.items():
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"the weights of layer {name!r} are quantized already; give the float network")
    return layers


def _examples(batches: Batches) -> list[tuple[torch.Tensor, torch.Tensor]]:
    batches = list(batches)
    if not sum(len(x) for x, _ in batches):
        raise ValueError("there are no examples to measure the loss on; give at least one batch (x, y)")
    return batches


def _mean_loss(model: nn.Module, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> float:
    total = sum(F.cross_entropy(model(x), y, reduction="sum").item() for x, y in batches)
    return total / sum(len(x) for x, _ in batches)


def _signs(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random −1 and 1 (Rademacher): of all such v, those with the smallest variance of vᵀHv."""
    return torch.randint(0, 2, like.shape, generator=generator).to(like) * 2 - 1


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


@contextmanager
def _differentiable(weights: Sequence[torch.Tensor]) -> Iterator[None]:
    """The weights want gradients for a while; frozen ones are frozen again."""
    wanted = [w.requires_grad for w in weights]
    for w in weights:
        w.requires_grad_(True)
    try:
        yield
    finally:
        for w, want in zip(weights, wanted, strict=True):
            w.requires_grad_(want)
