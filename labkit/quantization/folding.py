"""Batch-norm folding: at inference a norm is a multiplication and an addition per channel, and both fit into the layer before it.

γ (W x + b − μ)/σ + β  =  (γ/σ · W) x + (γ/σ · (b − μ) + β)        (Jacob et al., arXiv:1712.05877, section 3.2)
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from labkit.tracing import NORMS, graph

FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Linear)


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy of `model` in eval mode whose layers carry their batch norms; an `Identity` stands where each norm stood.

    A norm folds when its layer feeds nothing else. The function of the network does not change.

    >>> net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)).eval()
    >>> x = torch.randn(4, 2, 5)
    >>> folded = fold_batch_norms(net)
    >>> torch.allclose(folded(x), net(x), atol=1e-6), folded[1]
    (True, Identity())
    """
    model = copy.deepcopy(model).eval()
    modules = dict(model.named_modules())
    for node in graph(model).nodes:
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, NORMS):
            continue
        before = node.args[0]
        layer = modules.get(str(before.target)) if before.op == "call_module" else None
        if isinstance(layer, FOLDABLE) and len(before.users) == 1:
            fold_into(layer, norm)
            _replace(model, str(node.target), nn.Identity())
    return model


@torch.no_grad()
def fold_into(layer: nn.Module, norm: nn.Module) -> None:
    """Writes `norm` into weight and bias of `layer`, in place."""
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps) if norm.affine else torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias if norm.affine else torch.zeros_like(norm.running_mean)
    bias = torch.zeros_like(norm.running_mean) if layer.bias is None else layer.bias
    layer.weight.copy_(layer.weight * gain.reshape(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias = nn.Parameter((bias - norm.running_mean) * gain + shift)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
