"""`prepare` makes a network that computes with floats what an integer network would compute: for calibration, training and export.

    prepared = prepare(model, Scheme(weights=Int(4)))
    calibrate(prepared, batches)                 # post-training quantization ends here
    fit(prepared, ...)                           # quantization-aware training goes on

Weights are quantized by parametrizations, so every layer stays what it is. Activations are quantized by `ActivationQuantizer`
modules that a graph pass sets where a microcontroller writes a tensor to memory: behind the input, behind each layer with its norm
and ReLU, behind each addition.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.fx
from torch import nn
from torch.nn.utils import parametrize

from labkit.naming import did_you_mean
from labkit.quantization import activations, observers, weights
from labkit.quantization.activations import ActivationQuantizer
from labkit.quantization.folding import fold_batch_norms
from labkit.quantization.formats import Format, Int
from labkit.quantization.granularity import Granularity, PerChannel
from labkit.tracing import LEAVES, graph, is_quantizer, kind_of

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
WRITES = ("conv", "linear", "norm", "add", "mul", "concat", "activation")  # operations with a range of their own


@dataclass(frozen=True)
class Scheme:
    """What to quantize and how. `None` leaves weights or activations as floats.

    `weight_scale`: "max", "power of two", "mse", "lsq" (learned), "dorefa". `activation_scale`: "observed", "lsq", "pact". `edges`
    is the weight format of the first and the last layer, which papers on few bits leave at 8. `fold` folds batch norms first;
    `every_op` puts a quantizer behind every operation. Both are what a microcontroller needs: without them (the *academic* setting,
    as MQBench, Li et al., arXiv:2111.03759, calls it) norms stay float and only what enters a layer is quantized.

    >>> Scheme(weights=Int(4), weight_scale="lqs")
    Traceback (most recent call last):
    ValueError: unknown weight scale 'lqs'; did you mean lsq?
    """

    weights: Format | None = Int(8)  # noqa: RUF009
    activations: Int | None = Int(8, narrow=False)  # noqa: RUF009
    granularity: Granularity = PerChannel()  # noqa: RUF009
    weight_scale: str = "max"
    activation_scale: str = "observed"
    observer: str = "minmax"
    edges: Format | None = None
    fold: bool = True
    every_op: bool = True

    def __post_init__(self):
        for name, known, kind in (
            (self.weight_scale, weights.SCALES, "weight scale"),
            (self.activation_scale, activations.SCALES, "activation scale"),
            (self.observer, observers.OBSERVERS, "observer"),
        ):
            if name not in known:
                raise ValueError(f"unknown {kind} {name!r}; {did_you_mean(name, known)}")
        for field, kind in (("weights", Format), ("edges", Format), ("activations", Int), ("granularity", Granularity)):
            value = getattr(self, field)
            if not isinstance(value, kind) and not (value is None and field != "granularity"):
                raise ValueError(f"{field} is {value!r}; give a {kind.__name__}, such as Int(8)")


def prepare(model: nn.Module, scheme: Scheme) -> torch.fx.GraphModule:
    """A copy of `model` under `scheme`, in eval mode; the model itself is left as it was.

    Raises ValueError for NaN weights, for weights that two layers share, for a layer that we do not know, and for a network that is
    quantized already.

    >>> net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.ReLU())
    >>> prepared = prepare(net, Scheme(weights=Int(4)))
    >>> calibrate(prepared, torch.randn(8, 2, 5))
    >>> torch.unique(prepared.get_submodule("0").weight / prepared.get_submodule("0").parametrizations.weight[0].scale(
    ...     prepared.get_submodule("0").parametrizations.weight.original)[:, :, None]).abs().max().round().item() <= 7
    True
    """
    check(model)
    model = nn.Sequential(model) if isinstance(model, LEAVES) else model  # a layer alone has no graph
    model = fold_batch_norms(model) if scheme.fold else copy.deepcopy(model).eval()
    traced = graph(model)
    modules = dict(model.named_modules())
    kinds = {node: kind_of(node, modules.get(str(node.target))) for node in traced.nodes}
    layers = [str(node.target) for node, kind in kinds.items() if kind in ("conv", "linear")]
    for name in layers:
        at_edge = scheme.edges is not None and name in (layers[0], layers[-1])
        quantize_weight(modules[name], scheme.edges if at_edge else scheme.weights, scheme)
    prepared = torch.fx.GraphModule(model, traced)
    if scheme.activations is not None:
        _insert_quantizers(prepared, kinds, scheme)
    return prepared


def quantize_weight(layer: nn.Module, format: Format | None, scheme: Scheme) -> None:
    """Registers a weight quantizer on one layer, in place."""
    if format is None or parametrize.is_parametrized(layer, "weight"):  # a module called twice
        return
    quantizer = weights.weight_quantizer(scheme.weight_scale, format, scheme.granularity, layer.weight)
    parametrize.register_parametrization(layer, "weight", quantizer)
    layer.weight_bits = format.bits  # read by labkit.trace


def _insert_quantizers(prepared: torch.fx.GraphModule, kinds: dict, scheme: Scheme) -> None:
    weighted = [node for node, kind in kinds.items() if kind in ("conv", "linear")]
    writers = [node for node in kinds if node.op == "placeholder" or kinds[node] in WRITES]
    ends = list(dict.fromkeys(_end_of_chain(node, kinds) for node in writers))
    if not scheme.every_op:
        read = {_writer(node.args[0], ends, kinds) for node in weighted}
        ends = [end for end in ends if end in read]
    edges = {ends[0], _end_of_chain(weighted[-1], kinds)} if weighted and scheme.edges is not None else set()
    names: dict[torch.fx.Node, str] = {}
    for end in ends:
        names[end] = f"quantize_{end.name}"
        format = Int(8, narrow=False) if end in edges else scheme.activations
        prepared.add_submodule(
            names[end], ActivationQuantizer(format, observers.observer(scheme.observer, format.bits), scheme.activation_scale)
        )
        _insert_after(prepared, end, names[end])
    for node, kind in kinds.items() if scheme.every_op else ():
        if kind == "avgpool" and (source := _writer(node.args[0], ends, kinds)) in names:  # an average keeps its scale
            _insert_after(prepared, node, names[source])
    prepared.recompile()


def _end_of_chain(node: torch.fx.Node, kinds: dict) -> torch.fx.Node:
    """Follows `node` through the norm and the ReLU that belong to it, past the Identity that folding leaves between them."""
    end = node
    while len(node.users) == 1 and kinds.get(node := next(iter(node.users))) in ("norm", "clamp", "free"):
        end = end if kinds[node] == "free" else node
    return end


def _writer(node: torch.fx.Node, ends: list[torch.fx.Node], kinds: dict) -> torch.fx.Node:
    """The one of `ends` whose range `node` has: seen through quantizers, and through what only reshapes, pools or clamps."""
    while node not in ends and kinds.get(node, "quantizer") in ("free", "avgpool", "maxpool", "clamp", "quantizer"):
        node = node.args[0]
    return node


def _insert_after(prepared: torch.fx.GraphModule, node: torch.fx.Node, name: str) -> None:
    with prepared.graph.inserting_after(node):
        quantizer = prepared.graph.call_module(name, (node,))
    node.replace_all_uses_with(quantizer, delete_user_cb=lambda user: user is not quantizer)


def check(model: nn.Module) -> None:
    """Raises ValueError, in one sentence, for a model that cannot be quantized."""
    owners = Counter()
    for name, module in model.named_modules():
        if is_quantizer(module) or parametrize.is_parametrized(module):
            raise ValueError(f"this network is quantized already (at {name!r}); prepare the float network")
        for parameter in module.parameters(recurse=False):
            if not torch.isfinite(parameter).all():
                raise ValueError(f"layer {name!r} has NaN or infinite weights; train it again, or load weights that are whole")
        if isinstance(module, WEIGHTED):
            owners[id(module.weight)] += 1
            if owners[id(module.weight)] > 1:
                raise ValueError(f"layer {name!r} shares its weights with another layer; give each a copy before quantizing")


def calibrate(prepared: nn.Module, batches: torch.Tensor | Iterable) -> None:
    """Shows the network representative inputs and fixes scale and zero point of every activation.

    `batches`: one tensor, or an iterable of tensors or of ``(x, y)``. What an earlier calibration saw is
    forgotten. Raises ValueError when there is no batch, or one with NaN; scales are then what they were.
    """
    quantizers = [module for module in prepared.modules() if isinstance(module, ActivationQuantizer)]
    for quantizer in quantizers:
        quantizer.observing = True
        quantizer.observer.reset()
    prepared.eval()
    seen = 0
    try:
        with torch.no_grad():
            for batch in [batches] if isinstance(batches, torch.Tensor) else batches:
                x = batch[0] if isinstance(batch, tuple | list) else batch
                prepared(x)
                seen += len(x)
    finally:
        for quantizer in quantizers:
            quantizer.observing = False  # or a network whose calibration failed would go on in floats, unnoticed
    if not seen:
        raise ValueError("there is nothing to calibrate with; give at least one batch of inputs")
    for quantizer in quantizers:
        quantizer.freeze()


def weight_quantizers(prepared: nn.Module) -> dict[str, tuple[nn.Module, weights.WeightQuantizer]]:
    """Name -> (layer, its quantizer), in the order of the modules."""
    return {
        name: (layer, layer.parametrizations.weight[0])
        for name, layer in prepared.named_modules()
        if isinstance(layer, WEIGHTED) and parametrize.is_parametrized(layer, "weight")
    }


def codes(layer: nn.Module) -> torch.Tensor:
    """The integer weights of a quantized layer, int64, in the shape of its weight."""
    return layer.parametrizations.weight[0].codes(layer.parametrizations.weight.original)


def bake(prepared: nn.Module) -> nn.Module:
    """A copy whose layers are plain again and hold their quantized weights as floats."""
    baked = copy.deepcopy(prepared)
    for layer, _ in weight_quantizers(baked).values():
        make_plain(layer, layer.weight)
    return baked


def make_plain(layer: nn.Module, weight: torch.Tensor) -> None:
    """Takes the quantizer off a layer and gives it `weight`, in place."""
    # not remove_parametrizations: it takes `weight` from the layer's class, and a layer shares that class with its copies
    weight = weight.detach().clone()
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    layer.weight = nn.Parameter(weight)
