"""Cross-layer equalisation: move magnitude from one layer to the next until no channel wastes the grid of its tensor.

Where a ReLU stands between two layers, relu(s·x) = s·relu(x) for s > 0. So channel i of the first layer may be divided by any s_i
and the weights that read it multiplied by s_i: the function stays, the ranges change (Nagel et al., arXiv:1906.04721, section 4.1).
"""

from __future__ import annotations

from collections import Counter

import torch
import torch.fx
from torch import nn
from torch.nn.utils import parametrize

from labkit.quantization.folding import FOLDABLE, fold_batch_norms
from labkit.tracing import AVERAGES, MAXIMA, graph

# f(s·x) = s·f(x), channel by channel. The corner of a ReLU6 does not move with s, and a sigmoid is curved: both break a pair.
HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Flatten, *AVERAGES, *MAXIMA)
HOMOGENEOUS_FUNCTIONS = ("relu", "relu_", "leaky_relu", "dropout", "flatten", "avg_pool1d", "avg_pool2d")


def equalize(model: nn.Module, sweeps: int = 100) -> nn.Module:
    """A copy of `model` with its batch norms folded and the channels of neighbouring layers equalised. Its function is the same.

    Every pair of `pairs(model)` is set to its optimum in turn, and the sweep repeated until nothing moves, because a layer in the
    middle is the second of one pair and the first of the next. It goes before `prepare`: raises ValueError on a network that is
    quantized already.

    >>> net = nn.Sequential(nn.Conv1d(1, 2, 1, bias=False), nn.ReLU(), nn.Conv1d(2, 1, 1, bias=False))
    >>> net[0].weight.data, net[2].weight.data = torch.tensor([[[16.0]], [[0.5]]]), torch.tensor([[[1.0], [2.0]]])
    >>> even = equalize(net)
    >>> even[0].weight.flatten().tolist(), even[2].weight.flatten().tolist()
    ([4.0, 1.0], [4.0, 1.0])
    """
    if any(parametrize.is_parametrized(module) for module in model.modules()):
        raise ValueError("this network is quantized already; equalise the float network, then prepare it")
    model = fold_batch_norms(model)
    found = [(model.get_submodule(first), model.get_submodule(second)) for first, second in pairs(model)]
    for _ in range(sweeps):
        if max((equalize_pair(*pair) for pair in found), default=1.0) < 1.0001:
            break
    return model


@torch.no_grad()
def equalize_pair(first: nn.Module, second: nn.Module) -> float:
    """Scales channel i by the optimum s_i = √(r1_i·r2_i) / r2_i (eq. 11), in place; returns the largest factor applied.

    r1_i is the largest magnitude of the weights that write channel i, r2_i of those that read it; both become √(r1_i·r2_i). A
    channel that nothing writes or nothing reads stays as it is.
    """
    writes, reads = first.weight.flatten(1), by_input(second, len(first.weight))
    r1, r2 = writes.abs().amax(dim=1), reads.abs().amax(dim=(2, 3)).flatten()
    s = torch.where((r1 > 0) & (r2 > 0), torch.sqrt(r1 * r2) / r2, 1.0)
    writes.div_(s[:, None])
    if first.bias is not None:
        first.bias.div_(s)
    reads.mul_(s.reshape(*reads.shape[:2], 1, 1))
    return torch.maximum(s, 1 / s).max().item()


def by_input(layer: nn.Module, channels: int) -> torch.Tensor:
    """The weights of `layer` sorted by the channel they read: a view ``(groups, channels / groups, outputs of a group, places)``.

    The places are those of the kernel, or, for a linear layer behind a flatten, those that a channel had in the picture.

    >>> by_input(nn.Conv2d(8, 8, 3, groups=8), 8).shape, by_input(nn.Linear(8 * 25, 4), 8).shape
    (torch.Size([8, 1, 1, 9]), torch.Size([1, 8, 4, 25]))
    """
    groups = getattr(layer, "groups", 1)
    return layer.weight.view(groups, len(layer.weight) // groups, channels // groups, -1).transpose(1, 2)


def pairs(model: nn.Module) -> list[tuple[str, str]]:
    """Names of the layers that can be equalised with the layer behind them, in the order they run.

    Between both may stand a ReLU and whatever else is positively homogeneous in each channel (pooling, dropout, flatten). A tensor
    with two readers, as before a shortcut, breaks a pair, and so does a layer that runs twice, or a linear layer that reads places
    instead of channels, because nothing flattens what a convolution wrote.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU6(), nn.Conv2d(4, 2, 1))
    >>> pairs(net)
    [('0', '2')]
    """
    modules = dict(model.named_modules())
    nodes = graph(model).nodes
    runs = Counter(str(node.target) for node in nodes)
    found = []
    for node in nodes:
        reader = _reader(node, modules) if _is_layer(node, modules) else None
        if reader is not None and runs[str(node.target)] == runs[str(reader.target)] == 1:
            found.append((str(node.target), str(reader.target)))
    return found


def _reader(node: torch.fx.Node, modules: dict[str, nn.Module]) -> torch.fx.Node | None:
    """The layer that reads what `node` writes, if nothing else does and only homogeneous operations stand between."""
    channels_last = isinstance(modules[str(node.target)], nn.Linear)  # a convolution's channels come first, until flattened
    while len(node.users) == 1:
        node = next(iter(node.users))
        if _is_layer(node, modules):
            return node if channels_last or not isinstance(modules[str(node.target)], nn.Linear) else None
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        module = modules.get(name) if node.op == "call_module" else None
        if not (isinstance(module, HOMOGENEOUS) if module is not None else name in HOMOGENEOUS_FUNCTIONS):
            return None
        channels_last = channels_last or isinstance(module, nn.Flatten) or name == "flatten"
    return None


def _is_layer(node: torch.fx.Node, modules: dict[str, nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(modules.get(str(node.target)), FOLDABLE)
