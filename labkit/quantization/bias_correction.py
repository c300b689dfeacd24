"""Bias correction: the average error that quantized weights make is known after calibration, so it can be taken away again.

Rounding errors of a channel's weights seldom cancel: every output is off by E[W̃ x̃] − E[W x], and with few weights in a channel
(depthwise layers) by a lot. The bias is stored anyway, so removing that mean costs nothing (Nagel et al., arXiv:1906.04721,
section 4.2; with data, as in its appendix D).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.fx
from torch import nn

from labkit.quantization.layerwise import walk


def correct_bias(prepared: torch.fx.GraphModule, batches: torch.Tensor | Iterable) -> dict[str, torch.Tensor]:
    """Takes the mean output error of every channel of every layer out of its bias, in place; ``{layer: error (channels,)}``.

    Layers are corrected in the order they run, so each sees the corrected output x̃ of those before it, and on average ends where
    the float network is. A layer without a bias gets one. `prepared` must be calibrated; `batches` is as `calibrate` takes it.

    >>> from labkit.quantization.formats import Int
    >>> from labkit.quantization.prepare import Scheme, prepare
    >>> net = nn.Sequential(nn.Linear(2, 1, bias=False))
    >>> net[0].weight.data = torch.tensor([[1.0, 0.4]])                # in two bits: 1 and 0
    >>> prepared = prepare(net, Scheme(weights=Int(2), activations=None))
    >>> correct_bias(prepared, torch.tensor([[0.0, 1.0], [5.0, 3.0]]))              # −0.4 · E[x_2]
    {'0': tensor([-0.8000])}
    """
    errors = {}

    def correct(name: str, layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        errors[name] = (layer(x) - y).mean(dim=[0, *range(2, y.dim())])
        if layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros_like(errors[name]))
        if not hasattr(layer, "float_bias"):  # what the float network has here, for methods that come later
            layer.register_buffer("float_bias", layer.bias.detach().clone(), persistent=False)
        layer.bias -= errors[name]

    walk(prepared, batches, correct)
    return errors
