"""Batch-norm folding: at inference a norm is a multiplication and an addition per channel, and both fit into the layer before it.

γ (W x + b − μ)/σ + β  =  (γ/σ · W) x + (γ/σ · (b − μ) + β)        (Jacob et al., arXiv:1712.05877, section 3.2)
"""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import nn
from torch.nn.utils import parametrize

from labkit.tracing import NORMS, graph

FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Linear)


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy of `model` in eval mode whose layers carry their batch norms; an `Identity` stands where each norm stood.

    A norm folds when its layer feeds nothing else and both run once. The function of the network does not change. Raises ValueError
    on a network that is quantized already: `fold_into_scales` is for those.

    >>> net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)).eval()
    >>> x = torch.randn(4, 2, 5)
    >>> folded = fold_batch_norms(net)
    >>> torch.allclose(folded(x), net(x), atol=1e-6), folded[1]
    (True, Identity())
    """
    if any(parametrize.is_parametrized(module) for module in model.modules()):
        raise ValueError("the weights of this network are quantized already; fold its norms with fold_into_scales")
    model = copy.deepcopy(model).eval()
    for layer, norm, name in _pairs(model):
        gain, shift = _gain_and_shift(layer, norm)
        with torch.no_grad():
            layer.weight.mul_(_per_channel(gain, layer.weight))
        layer.bias = nn.Parameter(shift)
        _replace(model, name, nn.Identity())
    return model


def fold_into_scales(prepared: nn.Module) -> nn.Module:
    """A copy of a prepared network whose norms went into the *scales* of the quantized weights: the codes stay as they are.

    With a scale for each channel, gain · (scale · code) is (gain · scale) · code, so a network can be trained with its norms in
    place, which few bits need, and still be deployed without them. A negative gain changes the signs of its channel's codes.
    Raises ValueError where a channel has no scale of its own, or no codes for the changed signs.

    >>> from labkit.quantization.prepare import Scheme, prepare
    >>> net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)).eval()
    >>> prepared = prepare(net, Scheme(weight_scale="lsq", activations=None, fold=False))
    >>> x = torch.randn(4, 2, 5)
    >>> torch.allclose(fold_into_scales(prepared)(x), prepared(x), atol=1e-6)
    True
    """
    prepared = copy.deepcopy(prepared).eval()
    for layer, norm, name in _pairs(prepared):
        gain, shift = _gain_and_shift(layer, norm)
        (quantizer,) = layer.parametrizations.weight
        original = layer.parametrizations.weight.original
        with torch.no_grad():
            original.mul_(_per_channel(gain, original))
            if (gain < 0).any() and quantizer.format.low != -quantizer.format.high:
                raise ValueError(f"{name!r} has a negative gain, and {quantizer.format!r} is not symmetric; use a narrow format")
            quantizer.rescale(gain.abs().clamp(min=1e-12)[:, None])
        layer.bias = nn.Parameter(shift)
        _replace(prepared, name, nn.Identity())
    return prepared


def _pairs(model: nn.Module) -> list[tuple[nn.Module, nn.Module, str]]:
    """Layer, norm and the norm's name, for every norm that folds: its layer feeds nothing else, and both run once."""
    modules, nodes, pairs = dict(model.named_modules()), graph(model).nodes, []
    runs = Counter(node.target for node in nodes if node.op == "call_module")
    for node in nodes:
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(norm, NORMS) and norm.running_mean is not None:  # one without statistics follows each batch
            before = node.args[0]
            layer = modules.get(str(before.target)) if before.op == "call_module" else None
            if isinstance(layer, FOLDABLE) and len(before.users) == runs[before.target] == runs[node.target] == 1:
                pairs.append((layer, norm, str(node.target)))
    return pairs


@torch.no_grad()
def _gain_and_shift(layer: nn.Module, norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """γ/σ and the bias of the folded layer, ``(channels,)`` each."""
    gain = torch.rsqrt(norm.running_var + norm.eps)
    shift = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
    if norm.affine:
        gain = norm.weight * gain
    return gain, shift * gain + (norm.bias if norm.affine else 0)


def _per_channel(gain: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return gain.reshape(-1, *[1] * (weight.dim() - 1))


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
