"""Two networks side by side: what post-training methods that go layer by layer have in common.

Bias correction and AdaRound ask of every layer in turn: what did the float network put out here, and what does the quantized one
read here, now that the layers before it are done?
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
import torch.fx
from torch import nn

from labkit.quantization.activations import ActivationQuantizer
from labkit.quantization.prepare import make_plain, weight_quantizers

Visit = Callable[[str, nn.Module, torch.Tensor, torch.Tensor], None]


@torch.no_grad()
def walk(prepared: torch.fx.GraphModule, batches: torch.Tensor | Iterable, visit: Visit) -> None:
    """Runs `prepared` once on all of `batches`; before each quantized layer it calls ``visit(name, layer, x, y)``.

    x is what the layer reads in the quantized network, y what it writes in the float one. What `visit` changes in the layer holds
    for all layers behind it. A layer that runs twice is visited the first time. `batches` is as `calibrate` takes it: one tensor,
    or an iterable of tensors or of ``(x, y)``. Raises ValueError when there is none, or no quantized layer.
    """
    batches = [batches] if isinstance(batches, torch.Tensor) else batches
    inputs = [batch[0] if isinstance(batch, tuple | list) else batch for batch in batches]
    if not sum(map(len, inputs)):
        raise ValueError("there is nothing to calibrate with; give at least one batch of inputs")
    if not weight_quantizers(prepared):
        raise ValueError("no layer of this network has quantized weights; use prepare(model, Scheme(weights=Int(8))) first")
    x = torch.cat(inputs)
    _Walk(prepared.eval(), outputs(float_network(prepared), list(weight_quantizers(prepared)), x), visit).run(x)


class _Walk(torch.fx.Interpreter):
    def __init__(self, prepared: torch.fx.GraphModule, targets: dict[str, torch.Tensor], visit: Visit):
        super().__init__(prepared)
        self.targets, self.visit = targets, visit

    def call_module(self, target, args, kwargs):
        y = self.targets.pop(target, None)
        if y is not None:
            self.visit(target, self.fetch_attr(target), args[0], y)
        return super().call_module(target, args, kwargs)


def float_network(prepared: nn.Module) -> nn.Module:
    """A copy of a prepared network without any quantizer: the float network it stands for.

    >>> from labkit.quantization.prepare import Scheme, prepare
    >>> net = nn.Sequential(nn.Linear(3, 2))
    >>> torch.equal(float_network(prepare(net, Scheme()))(torch.ones(1, 3)), net(torch.ones(1, 3)))
    True
    """
    model = copy.deepcopy(prepared).eval()
    for layer, _ in weight_quantizers(model).values():
        make_plain(layer, layer.parametrizations.weight.original)
        layer.bias = nn.Parameter(layer.float_bias) if hasattr(layer, "float_bias") else layer.bias
    for name, module in list(model.named_modules()):
        if isinstance(module, ActivationQuantizer):
            model.set_submodule(name, nn.Identity())
    return model


def outputs(model: nn.Module, names: list[str], x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the modules called `names` put out when `model` reads `x`, each the first time it runs."""
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda module, inputs, output: seen.setdefault(name, output)

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    model(x)
    for hook in hooks:
        hook.remove()
    return seen
