"""`trace`: reads a `Workload` off a real PyTorch module.

The module is run once on an example input, operation by operation (torch.fx). Each operation that costs something becomes a
`Layer`; what costs nothing on a microcontroller disappears: reshapes, dropout, a ReLU behind a layer (it is the clamp of the
requantization), a batch norm behind a convolution (it folds into weights and bias, Jacob et al., CVPR 2018, section 3.2).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
import torch.fx
from torch import nn

from labkit.workload import INPUT, WEIGHTED, Layer, Workload


class TraceError(ValueError):
    """The network has an operation that no layer record describes."""


CLAMPS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)  # free behind a layer: they only move the saturation bounds of its output
CURVES = (nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.GELU, nn.ELU, nn.LeakyReLU, nn.PReLU)
FREE = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.ConstantPad1d, nn.ConstantPad2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
MODULES = {
    (nn.Conv1d, nn.Conv2d): "conv",
    (nn.Linear,): "linear",
    CLAMPS: "clamp",
    CURVES: "activation",
    FREE: "free",
    NORMS: "norm",
    AVERAGES: "avgpool",
    MAXIMA: "maxpool",
    (nn.Softmax, nn.LogSoftmax): "softmax",
}
LEAVES = tuple(cls for group in MODULES for cls in group)
FUNCTIONS = {
    "add": "add iadd",
    "mul": "mul imul",
    "concat": "cat concat concatenate",
    "clamp": "relu relu_ relu6 hardtanh clamp clamp_",
    "activation": "sigmoid tanh hardswish hardsigmoid silu gelu elu leaky_relu",
    "avgpool": "mean avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d",
    "maxpool": "max_pool1d max_pool2d amax boolean_dispatch",  # torch.nn.functional.max_pool* are boolean_dispatch closures
    "softmax": "softmax log_softmax",
    "free": "flatten unflatten reshape view squeeze unsqueeze permute transpose contiguous to dropout getitem size getattr",
}
KIND_OF_FUNCTION = {name: kind for kind, names in FUNCTIONS.items() for name in names.split()}


def trace(model: nn.Module, example_inputs: torch.Tensor | tuple, *, bits: int = 8, name: str | None = None) -> Workload:
    """What `model` costs for one input shaped like `example_inputs` (batch first; the batch size does not matter).

    A layer with attributes `weight_bits` (a number, or one per output channel) or `activation_bits` is recorded at those widths,
    any other at `bits`: 8 by default, because int8 is how such a network is deployed. A quantizer module (one that has
    `activation_bits` and no weights) sets the width of the layer before it. Weights that are exactly zero lower the
    density; output channels without any weight are dead, and so is what only they feed (a depthwise filter, a pooled channel).
    A module called twice is two layers, and its weights are counted twice.

    Raises TraceError naming the module when the network has something that cannot be read.

    >>> net = nn.Sequential(nn.Conv1d(6, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 4))
    >>> workload = trace(net, torch.zeros(1, 6, 128))
    >>> [(layer.op, layer.macs, layer.params) for layer in workload.layers]
    [('conv', 61440, 496), ('linear', 8192, 8196)]
    """
    if not isinstance(model, nn.Module):
        raise TraceError(f"trace reads a torch.nn.Module, not {type(model).__name__}; give trace(model, example_input)")
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if len(inputs) != 1:
        raise TraceError(f"trace reads networks with one input; {type(model).__name__} was given {len(inputs)}")
    if not isinstance(inputs[0], torch.Tensor) or inputs[0].dim() < 2:
        given = f"shape {tuple(inputs[0].shape)}" if isinstance(inputs[0], torch.Tensor) else type(inputs[0]).__name__
        raise TraceError(f"the example input is {given}; give one tensor with the batch first, such as torch.zeros(1, 6, 128)")
    name = name or type(model).__name__
    if isinstance(model, LEAVES):
        model = nn.Sequential(model)
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        recorder = _Recorder(torch.fx.GraphModule(model, graph(model)), bits)
        with torch.no_grad():
            recorder.run(*inputs)
    except TraceError as error:
        raise TraceError(str(error).split("\n")[0]) from None  # torch.fx appends its own traceback to the sentence
    finally:
        for module, mode in training.items():
            module.training = mode
    return Workload(name, tuple(inputs[0].shape[1:]), tuple(recorder.layers.values()), recorder.input_bits)


def graph(model: nn.Module) -> torch.fx.Graph:
    """The operations of `model` in order, each layer one node. Raises TraceError when Python control flow hides them."""
    try:
        return _Tracer().trace(model)
    except Exception as error:  # torch.fx raises many kinds, all meaning that Python control flow hides the graph
        raise TraceError(
            f"trace cannot follow {type(model).__name__}.forward ({error}); write it without data-dependent control flow"
        ) from None


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, LEAVES) or is_quantizer(module) or super().is_leaf_module(module, qualified_name)


def is_quantizer(module: nn.Module | None) -> bool:
    """Whether a module only changes the width of what passes through it, which it tells by an attribute `activation_bits`."""
    return hasattr(module, "activation_bits") and not isinstance(module, LEAVES)


def kind_of(node: torch.fx.Node, module: nn.Module | None) -> str | None:
    """What a node does ("conv", "linear", "norm", "clamp", "add", "free", ...), with its module if it calls one.

    None for nodes that compute nothing (inputs, outputs, constants). Raises TraceError for what no layer record describes.
    """
    if node.op not in ("call_module", "call_function", "call_method"):
        return None
    if node.op == "call_module":
        if is_quantizer(module):
            return "quantizer"
        for group, kind in MODULES.items():
            if isinstance(module, group):
                return kind
        raise TraceError(
            f"trace cannot read module {node.target!r} ({type(module).__name__}); "
            "write it with convolutions, linear layers, pooling, batch norm and activations"
        )
    function = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if function not in KIND_OF_FUNCTION:
        raise TraceError(f"trace cannot read operation {function!r} (at {node.name!r}); write it with modules that trace knows")
    return KIND_OF_FUNCTION[function]


@dataclasses.dataclass
class _Tensor:
    """Who wrote a tensor, and which of its channels are alive, shape ``(channels,)``.

    `clamped`: a ReLU came after the writer, so that a batch norm can no longer fold into it.
    """

    source: str
    alive: np.ndarray
    clamped: bool = False


class _Recorder(torch.fx.Interpreter):
    """Runs the graph and writes a `Layer` for every operation that costs something."""

    def __init__(self, module: torch.fx.GraphModule, bits: int):
        super().__init__(module)
        self.bits = self.input_bits = bits
        self.layers: dict[str, Layer] = {}
        self.tensors: dict[torch.fx.Node, _Tensor] = {}

    def run_node(self, node: torch.fx.Node):
        kind = kind_of(node, self.fetch_attr(node.target) if node.op == "call_module" else None)
        try:
            result = super().run_node(node)
        except Exception as error:  # whatever a layer raises for a shape or type that it was not made for
            raise TraceError(f"running {str(node.target)!r} failed: {error}") from None
        if node.op == "placeholder":
            self.tensors[node] = _Tensor(INPUT, np.ones(result.shape[1], dtype=bool))
        elif kind and isinstance(result, torch.Tensor):
            self._record(node, kind, result)
        return result

    def _record(self, node: torch.fx.Node, kind: str, result: torch.Tensor) -> None:
        feeding = [n for n in node.all_input_nodes if n in self.tensors]
        if not feeding:
            return  # sizes and constants, not activations
        first = self.tensors[feeding[0]]
        producer = self.layers.get(first.source)
        operands = [argument for argument in node.args if isinstance(argument, torch.fx.Node) and argument in self.tensors]
        if kind in ("add", "mul") and len(operands) == 1:
            kind = "clamp"  # scaling or shifting by a constant moves the requantization's numbers
        if kind == "free":
            channels = result.shape[1] if result.dim() > 1 else 1
            mixed = node.name.startswith(("transpose", "permute"))  # another axis becomes the channels: none of them is constant
            alive = np.ones(channels, dtype=bool) if mixed else _spread(first.alive, channels)
            self.tensors[node] = dataclasses.replace(first, alive=alive)
        elif kind == "quantizer":
            self._set_width(first.source, self.fetch_attr(node.target).activation_bits)
            self.tensors[node] = first
        elif kind == "norm" and _folds(feeding[0], first, producer):
            self.layers[producer.name] = dataclasses.replace(producer, bias=True)
            self.tensors[node] = first
        elif kind == "clamp" and producer is not None:
            self.tensors[node] = dataclasses.replace(first, clamped=True)
        else:
            kind = "activation" if kind == "clamp" else kind
            self._append(node, kind, result, [self.tensors[n] for n in feeding], tuple(self.env[feeding[0]].shape[1:]))

    def _set_width(self, source: str, bits: int) -> None:
        if source == INPUT:
            self.input_bits = bits
        else:
            self.layers[source] = dataclasses.replace(self.layers[source], activation_bits=bits)

    def _append(self, node, kind, result, tensors, in_shape) -> None:
        module = self.fetch_attr(node.target) if node.op == "call_module" else None
        name = node.target if module is not None and node.target not in self.layers else node.name  # called twice: two layers
        out_shape = tuple(result.shape[1:])
        alive = _spread(tensors[0].alive, in_shape[0])
        facts = {}
        if kind in ("conv", "linear"):
            if module.weight.dim() != len(in_shape) + 1:
                raise TraceError(
                    f"trace cannot read {name!r} ({type(module).__name__}) on an input of shape {in_shape} behind the batch; "
                    "give it (features,) for a linear layer, (channels, length) or (channels, height, width) for a convolution"
                )
            kind, facts, alive = self._weighted(kind, module, alive)
        elif kind == "add":
            alive = np.any([_spread(t.alive, out_shape[0]) for t in tensors], axis=0)
        elif kind == "concat":
            alive = np.concatenate([t.alive for t in tensors])
        elif kind in ("avgpool", "maxpool"):
            if in_shape[:1] != out_shape[:1]:
                raise TraceError(f"trace cannot read {name!r}: it pools over channels or the batch; pool over time or space only")
            facts = _pool_window(node, module, in_shape, out_shape)
        facts["activation_bits"] = int(getattr(module, "activation_bits", self.bits))
        self.layers[name] = Layer(name, kind, tuple(t.source for t in tensors), in_shape, out_shape, **facts)
        self.tensors[node] = _Tensor(name, _spread(alive, out_shape[0]))

    def _weighted(self, kind, module, alive_in):
        """Operator, facts and living output channels of a convolution or linear layer."""
        nonzero = module.weight.detach().flatten(1) != 0
        alive_out = nonzero.any(dim=1).cpu().numpy()
        facts = {}
        if kind == "conv":
            padding = module.padding
            if isinstance(padding, str):
                reach = [d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size, strict=True)]
                padding = tuple(reach) if padding == "same" else (0,) * len(reach)
            facts = {"kernel": module.kernel_size, "stride": module.stride, "padding": padding, "groups": module.groups}
            if module.groups == module.in_channels == module.out_channels:
                kind, alive_out = "depthwise", alive_out & alive_in
        bits = getattr(module, "weight_bits", self.bits)
        facts |= {
            "bias": module.bias is not None,
            "weight_bits": int(bits) if np.ndim(bits) == 0 else tuple(int(b) for b in bits),
            "density": float(nonzero.float().mean()),
            "live_inputs": int(alive_in.sum()),
            "live_outputs": int(alive_out.sum()),
        }
        return kind, facts, alive_out


def _folds(node: torch.fx.Node, tensor: _Tensor, producer: Layer | None) -> bool:
    """Whether a batch norm goes into the weights of the layer before it: nothing stands between, nobody else reads that layer."""
    return producer is not None and producer.op in WEIGHTED and not tensor.clamped and len(node.users) == 1


def _spread(alive: np.ndarray, channels: int) -> np.ndarray:
    """Follows channels through a reshape: flattening (C, H, W) repeats each channel H·W times; any other mixes them."""
    if channels % len(alive) == 0:
        return np.repeat(alive, channels // len(alive))
    return np.ones(channels, dtype=bool)


def _pool_window(node, module, in_shape, out_shape) -> dict:
    """Window and stride of a pooling layer or function; of an adaptive one or a mean, those that cover the input evenly."""
    out_sizes = out_shape[1:] + (1,) * (len(in_shape) - len(out_shape))
    even = tuple(math.ceil(i / o) for i, o in zip(in_shape[1:], out_sizes, strict=True))
    if module is None and node.name.startswith(("max_pool", "avg_pool")):  # max_pool2d(x, 3, stride=2)
        said = dict(zip(("kernel_size", "stride"), node.args[1:3], strict=False)) | node.kwargs
        size, stride = said["kernel_size"], said.get("stride") or said["kernel_size"]
    else:
        size = getattr(module, "kernel_size", even)
        stride = getattr(module, "stride", None) or size
    wide = [v if isinstance(v, tuple) else (v,) * len(even) for v in (size, stride)]
    return {"kernel": wide[0], "stride": wide[1]}
