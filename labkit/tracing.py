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
import torch.nn.functional as F
from torch import nn

from labkit.workload import INPUT, WEIGHTED, Layer, Workload


class TraceError(ValueError):
    """The network has an operation that no layer record describes."""


CLAMPS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)  # free behind a layer: they only move the saturation bounds of its output
CURVES = (nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.GELU, nn.ELU, nn.LeakyReLU, nn.PReLU)
FREE = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
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
FUNCTIONS = {
    "add": "add iadd",
    "mul": "mul imul",
    "concat": "cat concat concatenate",
    "clamp": "relu relu_ relu6 hardtanh clamp clamp_",
    "activation": "sigmoid tanh hardswish hardsigmoid silu gelu elu leaky_relu",
    "avgpool": "mean avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d",
    "maxpool": "max_pool1d max_pool2d amax boolean_dispatch",  # torch.nn.functional.max_pool* are boolean_dispatch closures
    "softmax": "softmax log_softmax",
    "free": "flatten reshape view squeeze unsqueeze permute transpose contiguous to dropout getitem size getattr",
}
KIND_OF_FUNCTION = {name: kind for kind, names in FUNCTIONS.items() for name in names.split()}


def trace(model: nn.Module, example_inputs: torch.Tensor | tuple, *, bits: int = 8, name: str | None = None) -> Workload:
    """What `model` costs for one input shaped like `example_inputs` (batch first; the batch size does not matter).

    A layer with attributes `weight_bits` (a number, or one per output channel) or `activation_bits` is recorded at those widths,
    any other at `bits`: 8 by default, because int8 is how such a network is deployed. Weights that are exactly zero lower the
    density; output channels without any weight are dead, and so is what only they feed (a depthwise filter, a pooled channel).

    Raises TraceError naming the module when the network has something that cannot be read.

    >>> net = nn.Sequential(nn.Conv1d(6, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 4))
    >>> workload = trace(net, torch.zeros(1, 6, 128))
    >>> [(layer.op, layer.macs, layer.params) for layer in workload.layers]
    [('conv', 61440, 496), ('linear', 8192, 8196)]
    """
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if len(inputs) != 1:
        raise TraceError(f"trace reads networks with one input; {type(model).__name__} was given {len(inputs)}")
    if isinstance(model, _Tracer.leaves):
        model = nn.Sequential(model)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        graph = _Tracer().trace(model)
    except TraceError:
        raise
    except Exception as error:  # torch.fx raises many kinds, all meaning: Python control flow hides the graph
        raise TraceError(f"trace cannot follow {type(model).__name__}.forward ({error}); write it without data-dependent control flow") from None
    try:
        recorder = _Recorder(torch.fx.GraphModule(model, graph), bits)
        with torch.no_grad():
            recorder.run(*inputs)
    finally:
        for module, training in modes:
            module.training = training
    return Workload(name or type(model).__name__, tuple(inputs[0].shape[1:]), tuple(recorder.layers.values()), input_bits=bits)


class _Tracer(torch.fx.Tracer):
    leaves = tuple(cls for group in MODULES for cls in group)

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, self.leaves) or super().is_leaf_module(module, qualified_name)


@dataclasses.dataclass
class _Tensor:
    """Who wrote a tensor, and which of its channels are alive (bool array, or None for the network's input)."""

    source: str
    alive: np.ndarray | None


class _Recorder(torch.fx.Interpreter):
    """Runs the graph and writes a `Layer` for every operation that costs something."""

    def __init__(self, module: torch.fx.GraphModule, bits: int):
        super().__init__(module)
        self.bits = bits
        self.layers: dict[str, Layer] = {}
        self.tensors: dict[torch.fx.Node, _Tensor] = {}

    def run_node(self, node: torch.fx.Node):
        try:
            result = super().run_node(node)
        except TraceError:
            raise
        except RuntimeError as error:
            raise TraceError(f"running {node.target!r} failed: {error}".split("\n")[0]) from None
        if node.op == "placeholder":
            self.tensors[node] = _Tensor(INPUT, None)
        elif node.op in ("call_module", "call_function", "call_method"):
            self._record(node, result)
        return result

    def _record(self, node: torch.fx.Node, result) -> None:
        feeding = [n for n in node.all_input_nodes if n in self.tensors]
        if not feeding or not isinstance(result, torch.Tensor):
            return  # sizes and constants, not activations
        module = self.fetch_attr(node.target) if node.op == "call_module" else None
        kind = self._kind(node, module)
        first = self.tensors[feeding[0]]
        previous = self.layers.get(first.source)
        if kind in ("add", "mul") and len(feeding) == 1:
            kind = "clamp"  # a constant scale or shift folds into the requantization
        absorbed = kind == "norm" and previous is not None and previous.op in WEIGHTED and not previous.bias
        if absorbed:
            self.layers[previous.name] = dataclasses.replace(previous, bias=True)
        same_norm = kind == "norm" and previous is not None and previous.op in WEIGHTED
        if kind == "free" or same_norm or (kind == "clamp" and previous is not None):
            self.tensors[node] = self._reshaped(first, result) if kind == "free" else first
            return
        if kind == "clamp":
            kind = "activation"
        name = str(node.target) if module is not None else node.name
        if name in self.layers:
            name = node.name  # a module called twice is two layers on the device
        sources = tuple(self.tensors[n].source for n in feeding)
        in_shape = tuple(self.env_shape(feeding[0]))
        layer, alive = self._layer(kind, module, name, sources, in_shape, tuple(result.shape[1:]), [self.tensors[n] for n in feeding])
        self.layers[name] = layer
        self.tensors[node] = _Tensor(name, alive)

    def env_shape(self, node: torch.fx.Node) -> torch.Size:
        return self.env[node].shape[1:]

    def _kind(self, node: torch.fx.Node, module: nn.Module | None) -> str:
        if module is not None:
            for group, kind in MODULES.items():
                if isinstance(module, group):
                    return kind
            raise TraceError(
                f"trace cannot read module {node.target!r} ({type(module).__name__}); "
                "use convolutions, linear layers, pooling, batch norm and activations, or write it with them"
            )
        function = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        if function == "fn":  # functional.max_pool1d and max_pool2d hide behind torch's boolean_dispatch
            function = "max_pool2d" if node.target in (F.max_pool1d, F.max_pool2d) else function
        if function not in KIND_OF_FUNCTION:
            raise TraceError(f"trace cannot read operation {function!r} (at {node.name!r}); write it with modules that trace knows")
        return KIND_OF_FUNCTION[function]

    def _layer(self, kind, module, name, sources, in_shape, out_shape, tensors):
        """The record of one operation, and which of its output channels are alive."""
        alive_in = tensors[0].alive if tensors[0].alive is not None else np.ones(in_shape[0], dtype=bool)
        common = dict(name=name, inputs=sources, in_shape=in_shape, out_shape=out_shape)
        common["activation_bits"] = int(getattr(module, "activation_bits", self.bits))
        if kind in ("conv", "linear"):
            return self._weighted(kind, module, common, alive_in)
        alive_out = alive_in
        if kind == "add":
            alive_out = np.any([t.alive if t.alive is not None else np.ones(out_shape[0], bool) for t in tensors], axis=0)
        elif kind == "concat":
            alive_out = np.concatenate([t.alive if t.alive is not None else np.ones(out_shape[0], bool) for t in tensors])
        if len(alive_out) != out_shape[0]:
            alive_out = np.ones(out_shape[0], dtype=bool)
        if kind in ("avgpool", "maxpool"):
            common["kernel"], common["stride"] = _pool_window(module, in_shape, out_shape)
        return Layer(op=kind, **common), alive_out

    def _weighted(self, kind, module, common, alive_in):
        weight = module.weight.detach()
        nonzero = weight.reshape(len(weight), -1) != 0
        alive_out = nonzero.any(dim=1).cpu().numpy()
        groups = 1
        if kind == "conv":
            dims = len(module.kernel_size)
            groups = module.groups
            padding = module.padding
            if isinstance(padding, str):
                padding = tuple((k - 1) // 2 if padding == "same" else 0 for k in module.kernel_size)
            common |= dict(kernel=tuple(module.kernel_size), stride=tuple(module.stride), padding=tuple(padding)[:dims], groups=groups)
            if groups == module.in_channels == module.out_channels:
                kind = "depthwise"
                alive_out &= alive_in
        elif len(common["in_shape"]) == 1 and len(alive_in) != common["in_shape"][0]:
            alive_in = np.ones(common["in_shape"][0], dtype=bool)
        bits = getattr(module, "weight_bits", self.bits)
        layer = Layer(
            op=kind,
            **common,
            bias=module.bias is not None,
            weight_bits=int(bits) if np.ndim(bits) == 0 else tuple(int(b) for b in bits),
            density=float(nonzero.float().mean()),
            live_inputs=int(alive_in.sum()),
            live_outputs=int(alive_out.sum()),
        )
        return layer, alive_out

    def _reshaped(self, tensor: _Tensor, result: torch.Tensor) -> _Tensor:
        """Follows channels through a reshape: flattening (C, H, W) repeats each channel H·W times."""
        if tensor.alive is None or result.dim() < 2:
            return tensor
        channels = result.shape[1]
        if len(tensor.alive) and channels % len(tensor.alive) == 0:
            return _Tensor(tensor.source, np.repeat(tensor.alive, channels // len(tensor.alive)))
        return _Tensor(tensor.source, np.ones(channels, dtype=bool))


def _pool_window(module, in_shape, out_shape):
    """Window and stride of a pooling layer; for adaptive and functional ones, those that cover the input evenly."""
    size, stride = getattr(module, "kernel_size", None), getattr(module, "stride", None)
    dims = len(in_shape) - 1
    if size is None:
        out = out_shape[1:] or (1,) * dims
        size = stride = tuple(math.ceil(i / o) for i, o in zip(in_shape[1:], out, strict=False))
    as_tuple = lambda v: tuple(v) if isinstance(v, (tuple, list)) else (v,) * dims  # noqa: E731
    return as_tuple(size), as_tuple(stride if stride is not None else size)
