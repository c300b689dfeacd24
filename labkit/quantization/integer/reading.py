"""From a prepared and calibrated PyTorch network to the records of an integer network. The one file of this room that needs torch.

Each layer of the graph is joined with the ReLU and the quantizer behind it into one operation: on a microcontroller the quantizer
is the requantization of the layer's accumulators, and the ReLU the lower bound of its saturation.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
import torch.fx

from labkit.quantization.integer import facts
from labkit.quantization.integer.operations import Add, Clamp, Conv, Linear, Operation, Pool, Reshape
from labkit.quantization.integer.requantize import Grid
from labkit.tracing import kind_of, trace
from labkit.workload import INPUT

NEEDS = "prepare it with weights and activations quantized, fold=True and every_op=True"
MOVES = ("permute", "transpose", "getitem", "getattr")  # a reshape keeps the order of the numbers, these do not


def read(prepared: torch.fx.GraphModule, example) -> tuple:
    """The fields of an `IntegerNetwork`."""
    if not isinstance(prepared, torch.fx.GraphModule):
        raise ValueError(f"an integer network is read from what prepare returns, not from a {type(prepared).__name__}; {NEEDS}")
    example = torch.as_tensor(example)[:1]
    for name, module in prepared.named_modules():
        if getattr(module, "calibrated", True) is False:
            raise ValueError(f"{name!r} has not been calibrated; run calibrate(prepared, batches) first")
    reader = _Reader(prepared)
    training = prepared.training
    prepared.eval()
    try:
        with torch.no_grad():
            reader.run(example)
        workload = trace(prepared, example)
    finally:
        prepared.train(training)
    return reader.grids[INPUT], tuple(example.shape[1:]), tuple(reader.operations), workload


@dataclasses.dataclass
class _Pending:
    """A layer, or the input, that waits for its quantizer. Met on the way: the bounds of a ReLU, another shape."""

    build: object  # (name, grid) -> Operation, or None for the input
    name: str
    low: float = -math.inf
    high: float = math.inf
    shape: tuple[int, ...] | None = None


class _Reader(torch.fx.Interpreter):
    """Runs the graph on an example, to know all shapes, and writes down operations."""

    def __init__(self, prepared: torch.fx.GraphModule):
        super().__init__(prepared)
        self.extra_traceback = False  # torch.fx would append it to our sentences
        self.operations: list[Operation] = []
        self.grids: dict[str, Grid] = {}
        self.tensors: dict[torch.fx.Node, str | _Pending] = {}  # a node's tensor: the name of one on a grid, or a layer that waits

    def run_node(self, node: torch.fx.Node):
        result = super().run_node(node)
        module = self.fetch_attr(node.target) if node.op == "call_module" else None
        kind = kind_of(node, module)
        if node.op == "placeholder":
            self.tensors[node] = _Pending(None, INPUT)
        elif node.op == "output":
            self._on_grid(node.args[0])
        elif kind and isinstance(result, torch.Tensor):
            if not hasattr(self, f"_{kind}"):
                raise ValueError(f"an integer network has no {kind!r} (at {node.target!r}); {NEEDS}, from layers that it knows")
            getattr(self, f"_{kind}")(node, module, result)
        return result

    def _on_grid(self, node: torch.fx.Node) -> str:
        """The name of the tensor that `node` is. Raises ValueError if it was never quantized."""
        tensor = self.tensors.get(node)
        if not isinstance(tensor, str):
            raise ValueError(f"the result of {node.target!r} is not quantized; {NEEDS}")
        return tensor

    def _append(self, operation: Operation, node: torch.fx.Node) -> None:
        self.operations.append(operation)
        self.grids[operation.name] = operation.out
        self.tensors[node] = operation.name

    def _name(self, node: torch.fx.Node) -> str:
        """The layer's name; a layer called a second time has the name of its node."""
        name = str(node.target) if node.op == "call_module" else node.name
        return node.name if name in self.grids else name

    def _quantizer(self, node, module, result):
        grid = Grid(float(module.scale.detach()), module.zero_point, module.format.low, module.format.high)
        tensor = self.tensors[node.args[0]]
        if isinstance(tensor, str):
            now = self.grids[tensor]
            if (grid.scale, grid.zero_point) != (now.scale, now.zero_point):
                raise ValueError(f"{node.target!r} quantizes {tensor!r} a second time, with another scale; give it the same one")
            self.tensors[node] = tensor
            return
        low, high = (_code(bound, grid) for bound in (tensor.low, tensor.high))
        grid = dataclasses.replace(grid, low=low, high=high)
        if tensor.build is None:
            self.grids[INPUT], self.tensors[node] = grid, INPUT
        else:
            self._append(tensor.build(tensor.name, grid), node)
            if tensor.shape is not None:
                self._reshape(f"{tensor.name}.flat", tensor.name, tensor.shape, node)

    def _conv(self, node, module, result):
        self._weighted(Conv, node, module, facts.of_convolution(str(node.target), module))

    def _linear(self, node, module, result):
        if result.dim() != 2:
            raise ValueError(f"linear layer {node.target!r} reads more than one vector per input; flatten its input")
        self._weighted(Linear, node, module, {})

    def _weighted(self, record, node, module, settings):
        source = self._on_grid(node.args[0])
        weight, scale = facts.weights(str(node.target), module)
        bias = None
        if module.bias is not None:
            weight, scale, bias = facts.with_bias(weight, scale, module.bias.detach().double().numpy(), self.grids[source].scale)
        fields = {"weight": weight, "scale": scale, "bias": bias, **settings}
        self.tensors[node] = _Pending(lambda name, grid: record(name, (source,), grid, **fields), self._name(node))

    def _add(self, node, module, result):
        if len(node.all_input_nodes) != len(node.args) or len({self.env[n].shape for n in node.all_input_nodes}) != 1:
            raise ValueError(f"{node.name!r} adds something else than two tensors of one shape; integers add those only")
        sources = tuple(self._on_grid(argument) for argument in node.args)
        self.tensors[node] = _Pending(lambda name, grid: Add(name, sources, grid), self._name(node))

    def _clamp(self, node, module, result):
        low, high = facts.of_clamp(node, module)
        tensor = self.tensors[node.args[0]]
        if isinstance(tensor, _Pending) and tensor.build is not None and len(node.args[0].users) == 1:
            self.tensors[node] = dataclasses.replace(tensor, low=max(low, tensor.low), high=min(high, tensor.high))
            return
        source = self._on_grid(node.args[0])
        grid = self.grids[source]
        self._append(Clamp(self._name(node), (source,), grid, _code(low, grid), _code(high, grid)), node)

    def _free(self, node, module, result):
        tensor = self.tensors[node.args[0]]
        if node.name.startswith(MOVES):
            raise ValueError(f"{node.name!r} reorders a tensor; an integer network can only reshape one")
        if result.numel() != self.env[node.args[0]].numel() or len(result) != len(self.env[node.args[0]]):
            raise ValueError(
                f"{node.name!r} pads a tensor or reshapes across the batch; pad in the convolution, keep the batch first"
            )
        if result.shape == self.env[node.args[0]].shape:
            self.tensors[node] = tensor
        elif isinstance(tensor, _Pending):  # the layer writes the new shape, once it has a grid
            self.tensors[node] = dataclasses.replace(tensor, shape=tuple(result.shape[1:]))
        else:
            self._reshape(self._name(node), tensor, tuple(result.shape[1:]), node)

    def _reshape(self, name: str, tensor: str, shape: tuple[int, ...], node: torch.fx.Node) -> None:
        self._append(Reshape(name, (tensor,), self.grids[tensor], shape), node)

    def _avgpool(self, node, module, result):
        self._pool(node, module, result, mean=True)

    def _maxpool(self, node, module, result):
        self._pool(node, module, result, mean=False)

    def _pool(self, node, module, result, *, mean):
        source = self._on_grid(node.args[0])
        size = tuple(self.env[node.args[0]].shape[2:])
        places = tuple(result.shape[2:]) or (1,) * len(size)
        if result.shape[:2] != self.env[node.args[0]].shape[:2] or len(places) != len(size):
            raise ValueError(f"{node.name!r} pools over something else than all of time or space; integers pool over those only")
        kernel, stride, padding = facts.of_window(node, module, size, places)
        operation = Pool(self._name(node), (source,), self.grids[source], mean, kernel, stride, padding)
        self._append(operation, node)
        if tuple(result.shape[2:]) != places:  # x.mean((2, 3)) drops the axes
            self._reshape(f"{operation.name}.flat", operation.name, tuple(result.shape[1:]), node)


def _code(bound: float, grid: Grid) -> int:
    """The code of a real bound: where a clamp of real numbers becomes one of codes."""
    if math.isinf(bound):
        return grid.low if bound < 0 else grid.high
    return int(grid.saturate(np.rint(bound / grid.scale) + grid.zero_point))
