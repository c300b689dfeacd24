"""Writes an integer network as an ONNX file that ONNX Runtime executes: QDQ, the format in which quantized networks are exchanged.

Every operation is an ordinary float one between DequantizeLinear and QuantizeLinear. The file says what is computed; a runtime may
fuse the three into an integer kernel, or run them as they stand. How ONNX Runtime (1.31 on x86-64) runs this file:

- as `session` opens it, layers and poolings are fused, and give the codes of ``run(x, rounding="onnx")``, all of them;
- opened with default options on a processor that has AVX2 but not VNNI, its kernels add pairs of products in 16 bits, which
  saturates: many codes are wrong. The option ``session.x64quantprecision`` avoids that;
- with all optimisations off, layers add up in float32: a few codes in a million differ, and averages at a half.

Two choices make it so. Activations are stored unsigned, because on x86-64 signed ones are fused only in part. Residual additions
are written as Sum, because Add is fused into a kernel whose rounding depends on the processor, and Sum is not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.integer.operations import Add, Clamp, Conv, Linear, Operation, Pool, Reshape, Weighted
from labkit.quantization.integer.requantize import Grid
from labkit.workload import INPUT

OPSET, IR_VERSION = 13, 8  # the first opset with a scale for each channel; both are old enough for any runtime in use
INT8, UINT8 = np.iinfo(np.int8), np.iinfo(np.uint8)
OUTPUT = "logits"


def export(network: IntegerNetwork, path: str | Path) -> Path:
    """Writes `network` to `path` and returns the path. Input ``"input"`` float32 ``(batch, *shape)``, output ``"logits"`` float32.

    Weights of 8 bits and fewer are stored as int8. Activations are stored as uint8: signed codes are moved up by 128 together with
    their zero point, which changes no number. Raises ImportError if onnx is not installed, ValueError for codes wider than 8 bits.
    """
    try:
        import onnx
    except ImportError:
        raise ImportError("writing ONNX files needs the onnx package; run: pip install onnx") from None
    writer = _Writer(onnx, network.grids)
    writer.quantize(INPUT, INPUT)
    for operation in network.operations:
        writer.write(operation)
    writer.dequantize(network.operations[-1].name, OUTPUT)
    logits = network.run(np.zeros((1, *network.shape)))
    shapes = {INPUT: ("batch", *network.shape), OUTPUT: ("batch", *logits.shape[1:])}
    ends = [[onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)] for name, shape in shapes.items()]
    graph = onnx.helper.make_graph(writer.nodes, network.workload.name, *ends, list(writer.constants.values()))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="labkit")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    Path(path).write_bytes(model.SerializeToString())
    return Path(path)


def session(path: str | Path):
    """An onnxruntime.InferenceSession of a file that `export` wrote, with integer kernels that do not saturate on the way.

    ``session(path).run(["logits"], {"input": x})[0]`` with x float32. Raises ImportError if onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ImportError("running ONNX files needs the onnxruntime package; run: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class _Writer:
    """Nodes and constants under construction. The codes of tensor t are called ``"t.codes"``."""

    def __init__(self, onnx, grids: dict[str, Grid]):
        self.onnx, self.grids, self.nodes, self.constants = onnx, grids, [], {}

    def write(self, operation: Operation) -> None:
        """One operation: the real numbers it reads, the operation itself, the codes it writes."""
        name = operation.name
        if isinstance(operation, Clamp):
            self.clip(f"{operation.inputs[0]}.codes", name, operation.low, operation.high)
            return
        read = [self.dequantize(source, f"{name}.reads{i}") for i, source in enumerate(operation.inputs)]
        if isinstance(operation, Weighted):
            read += self.weights(operation, self.grids[operation.inputs[0]])
        if isinstance(operation, Reshape):
            read.append(self.constant(f"{name}.shape", np.array([-1, *operation.shape])))
        kind, attributes = _kind(operation)
        self.node(kind, read, f"{name}.real", **attributes)
        self.quantize(f"{name}.real", name)

    def weights(self, operation: Weighted, x: Grid) -> list[str]:
        """int8 weights with a scale for each output channel, int32 biases with the scale of the accumulator."""
        name, out = operation.name, len(operation.weight)
        if operation.weight.min() < INT8.min or operation.weight.max() > INT8.max:
            raise ValueError(f"the weight codes of {name!r} need more than 8 bits; ONNX files of this kind hold int8")
        scale = np.broadcast_to(operation.scale, out)
        stored = {"weight": (operation.weight.astype(np.int8), scale)}
        if operation.bias is not None:
            stored["bias"] = operation.bias.astype(np.int32), np.broadcast_to(operation.step(x), out).astype(np.float32)
        return [
            self.node(
                "DequantizeLinear",
                [
                    self.constant(f"{name}.{part}", codes),
                    self.constant(f"{name}.{part}.scale", scales),
                    self.constant(f"{name}.{part}.zero", np.zeros(out, dtype=codes.dtype)),
                ],
                f"{name}.{part}.real",
                axis=0,
            )
            for part, (codes, scales) in stored.items()
        ]

    def quantize(self, real: str, tensor: str) -> None:
        """From real numbers to the codes of `tensor`. QuantizeLinear saturates at uint8; a narrower grid needs a Clip behind it."""
        grid = self.grids[tensor]
        if (*self.stored(grid, grid.low, grid.high),) == (UINT8.min, UINT8.max):
            self.node("QuantizeLinear", [real, *self.grid(tensor)], f"{tensor}.codes")
        else:
            self.clip(self.node("QuantizeLinear", [real, *self.grid(tensor)], f"{tensor}.wide"), tensor, grid.low, grid.high)

    def clip(self, source: str, tensor: str, *bounds: int) -> None:
        stored = self.stored(self.grids[tensor], *bounds).astype(np.uint8)
        names = [self.constant(f"{tensor}.{end}", bound) for end, bound in zip(("low", "high"), stored, strict=True)]
        self.node("Clip", [source, *names], f"{tensor}.codes")

    def dequantize(self, tensor: str, real: str) -> str:
        return self.node("DequantizeLinear", [f"{tensor}.codes", *self.grid(tensor)], real)

    def grid(self, tensor: str) -> list[str]:
        """Scale and zero point of a tensor, as constants."""
        grid = self.grids[tensor]
        zero_point = self.stored(grid, grid.zero_point)[0]
        return [
            self.constant(f"{tensor}.scale", np.float32(grid.scale)),
            self.constant(f"{tensor}.zero", np.uint8(zero_point)),
        ]

    def stored(self, grid: Grid, *codes: int) -> np.ndarray:
        """Codes as int8 holds them."""
        moved = np.array(codes) + grid.unsigned_shift
        if moved.min() < UINT8.min or moved.max() > UINT8.max:
            raise ValueError(
                f"activation codes from {grid.low} to {grid.high} need more than 8 bits; ONNX files of this kind hold int8"
            )
        return moved

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=f"{kind}:{output}", **attributes))
        return output

    def constant(self, name: str, value) -> str:
        if name not in self.constants:
            self.constants[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        return name


def _kind(operation: Operation) -> tuple[str, dict]:
    """ONNX's name for an operation, and its attributes. Pads are all those before, then all those behind."""
    if isinstance(operation, Reshape):
        return "Reshape", {}
    if isinstance(operation, Linear):
        return "Gemm", {"transB": 1}
    if isinstance(operation, Add):
        return "Sum", {}
    before, behind = zip(*operation.padding, strict=True)
    geometry = {"strides": operation.stride, "pads": (*before, *behind)}
    if isinstance(operation, Conv):
        return "Conv", geometry | {"dilations": operation.dilation, "group": operation.groups}
    assert isinstance(operation, Pool)
    return ("AveragePool" if operation.mean else "MaxPool"), geometry | {"kernel_shape": operation.kernel}
