"""Writes .tflite files operation by operation and has others run them: TensorFlow Lite Micro's reference kernels, and LiteRT's.

The independent judge of the integer engine: nothing here uses `labkit.quantization.integer.kernels`. TFLite's layout is
``(batch, height, width, channels)``; a 1-D tensor has height 1.
"""

from collections.abc import Callable

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime

from labkit.quantization.integer.requantize import Grid

Judge = Callable[[bytes], Callable[..., list[np.ndarray]]]
INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "ADD": "AddOptions",
    "PAD": "PadOptions",
    "RESHAPE": "ReshapeOptions",
}


class File:
    """One graph under construction: `activation` and `constant` give tensor numbers, `op` joins them."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.name = [], [], b"main"
        self.model.subgraphs = [self.graph]

    def activation(self, shape, grid: Grid) -> int:
        return self._tensor(shape, INT8, [grid.scale], [grid.zero_point])

    def constant(self, values: np.ndarray, scales=(1.0,), axis: int = 0) -> int:
        """int8 for weights, int32 for biases and shapes."""
        kind = INT8 if values.dtype == np.int8 else INT32
        return self._tensor(values.shape, kind, scales, [0] * len(scales), axis, values)

    def _tensor(self, shape, kind, scales, zero_points, axis=0, values=None) -> int:
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.name, tensor.shape, tensor.type = f"t{len(self.graph.tensors)}".encode(), [int(s) for s in shape], kind
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [float(s) for s in scales]
        tensor.quantization.zeroPoint = [int(z) for z in zero_points]
        tensor.quantization.quantizedDimension = axis
        if values is not None:
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
        tensor.buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def op(self, name: str, inputs: list[int], output: int, **settings) -> int:
        """Adds an operation and returns `output`; `settings` are the fields of its options table."""
        code = getattr(schema.BuiltinOperator, name)
        codes = [c.builtinCode for c in self.model.operatorCodes]
        if code not in codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            entry.version = 4 if name == "FULLY_CONNECTED" else 3
            self.model.operatorCodes.append(entry)
            codes.append(code)
        operator, options = schema.OperatorT(), getattr(schema, OPTIONS[name] + "T")()
        for field, value in settings.items():
            assert hasattr(options, field), f"{OPTIONS[name]} has no {field}"
            setattr(options, field, value)
        operator.opcodeIndex, operator.inputs, operator.outputs = codes.index(code), inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, OPTIONS[name]), options
        self.graph.operators.append(operator)
        return output

    def content(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file, from these input tensors to these output tensors."""
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def run(self, inputs: dict[int, np.ndarray], output: int, judge: Judge | None = None) -> np.ndarray:
        """What `judge` (TensorFlow Lite Micro if none is given) makes of int8 `inputs` (by tensor number): int64."""
        return (judge or tflm)(self.content(list(inputs), [output]))(*inputs.values())[0]


def tflm(file: bytes) -> Callable[..., list[np.ndarray]]:
    """TensorFlow Lite Micro: a function from the arrays of all inputs to those of all outputs."""
    interpreter = runtime.Interpreter.from_bytes(file, arena_size=1 << 23)
    outputs = schema.ModelT.InitFromPackedBuf(file).subgraphs[0].outputs

    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        for i, array in enumerate(arrays):
            interpreter.set_input(array.astype(np.int8), i)
        interpreter.invoke()
        return [interpreter.get_output(i).astype(np.int64) for i in range(len(outputs))]

    return run


def litert(resolver: OpResolverType) -> Judge:
    """LiteRT, the runtime of phones: other kernels for the same file, XNNPACK's or its own reference ones."""

    def judge(file: bytes) -> Callable[..., list[np.ndarray]]:
        interpreter = Interpreter(model_content=file, experimental_op_resolver_type=resolver, num_threads=1)
        interpreter.allocate_tensors()

        def run(*arrays: np.ndarray) -> list[np.ndarray]:
            for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
                interpreter.set_tensor(detail["index"], array.astype(np.int8))
            interpreter.invoke()
            return [interpreter.get_tensor(detail["index"]).astype(np.int64) for detail in interpreter.get_output_details()]

        return run

    return judge


XNNPACK, LITERT_REFERENCE = litert(OpResolverType.BUILTIN), litert(OpResolverType.BUILTIN_REF)


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x if x.ndim == 4 else x[:, :, None], 1, -1)


def channels_first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1)
