"""A whole `IntegerNetwork` as a .tflite file, so that TensorFlow Lite Micro runs it from end to end."""

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.integer.operations import Add, Conv, Linear, Operation, Pool, Reshape
from labkit.quantization.integer.requantize import Grid
from labkit.workload import INPUT
from tests.quantization.integer.tflite_file import File, tflm

NONE, RELU, VALID = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU, schema.Padding.VALID


def compile_network(network: IntegerNetwork) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function from the codes of one input to those of every tensor, by name, in our layout and with a batch of 1."""
    shapes = {name: codes.shape[1:] for name, codes in network.tensors(np.zeros((1, *network.shape))).items()}
    file, numbers = File(), {}
    numbers[INPUT] = file.activation(_tflite_shape(shapes[INPUT]), network.input)
    for operation in network.operations:
        reads = [numbers[name] for name in operation.inputs]
        grids = [network.grids[name] for name in operation.inputs]
        numbers[operation.name] = _write(file, operation, reads, grids, shapes[operation.inputs[0]], shapes[operation.name])
    names = [operation.name for operation in network.operations]
    run = tflm(file.content([numbers[INPUT]], [numbers[name] for name in names]))

    def tensors(codes: np.ndarray) -> dict[str, np.ndarray]:
        results = run(_to_tflite(codes[None]))
        return {name: _from_tflite(result, shapes[name]) for name, result in zip(names, results, strict=True)}

    return tensors


def _write(file: File, operation: Operation, reads: list[int], grids: list[Grid], shape, out_shape) -> int:
    result = file.activation(_tflite_shape(out_shape), operation.out)
    relu = {"fusedActivationFunction": RELU if operation.out.low == operation.out.zero_point > -128 else NONE}
    if isinstance(operation, Conv):
        return _write_conv(file, operation, reads[0], grids[0], shape, result, relu)
    if isinstance(operation, Linear):
        constants = _constants(file, operation, operation.weight, grids[0], axis=0)
        return file.op("FULLY_CONNECTED", [reads[0], *constants], result, **relu)
    if isinstance(operation, Add):
        return file.op("ADD", reads, result, **relu)
    if isinstance(operation, Pool):
        (height, width), (stride_height, stride_width) = _plane(operation.kernel), _plane(operation.stride)
        size = {"filterHeight": height, "filterWidth": width, "strideH": stride_height, "strideW": stride_width}
        return file.op("AVERAGE_POOL_2D" if operation.mean else "MAX_POOL_2D", reads, result, padding=VALID, **size)
    assert isinstance(operation, Reshape)
    assert len(shape) == 1 or set(shape[1:]) == {1}, "flattening a whole image orders it differently in the two layouts"
    new = np.array(_tflite_shape(out_shape), dtype=np.int32)
    return file.op("RESHAPE", [reads[0], file.constant(new)], result, newShape=new.tolist())


def _write_conv(file: File, conv: Conv, source: int, grid: Grid, shape, result: int, relu: dict) -> int:
    padding = ((0, 0),) * (2 - len(conv.padding)) + conv.padding
    if np.any(padding):
        height, width = (s + sum(p) for s, p in zip(_plane(shape[1:]), padding, strict=True))
        rows = np.array([(0, 0), *padding, (0, 0)], dtype=np.int32)
        source = file.op("PAD", [source, file.constant(rows)], file.activation((1, height, width, shape[0]), grid))
    weight = conv.weight.reshape(*conv.weight.shape[:2], *_plane(conv.weight.shape[2:]))
    depthwise = conv.groups > 1
    assert conv.groups in (1, shape[0])
    layout = np.moveaxis(weight[:, 0], 0, -1)[None] if depthwise else np.moveaxis(weight, 1, -1)
    constants = _constants(file, conv, layout, grid, axis=3 if depthwise else 0)
    (stride_height, stride_width), (dilation_height, dilation_width) = _plane(conv.stride), _plane(conv.dilation)
    settings = relu | {"padding": VALID, "strideH": stride_height, "strideW": stride_width}
    settings |= {"dilationHFactor": dilation_height, "dilationWFactor": dilation_width}
    settings |= {"depthMultiplier": len(weight) // shape[0]} if depthwise else {}
    return file.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [source, *constants], result, **settings)


def _constants(file: File, operation, layout: np.ndarray, grid: Grid, axis: int) -> list[int]:
    bias = np.zeros(len(operation.weight)) if operation.bias is None else operation.bias
    return [
        file.constant(layout.astype(np.int8), operation.scale, axis),
        file.constant(bias.astype(np.int32), operation.step(grid)),
    ]


def _plane(sizes) -> tuple[int, int]:
    """Height and width: what is 1-D has height 1."""
    return (1, *sizes) if len(sizes) == 1 else tuple(sizes)


def _tflite_shape(shape) -> tuple[int, ...]:
    return (1, *_plane(shape[1:]), shape[0]) if len(shape) > 1 else (1, *shape)


def _to_tflite(codes: np.ndarray) -> np.ndarray:
    return np.moveaxis(codes, 1, -1).reshape(_tflite_shape(codes.shape[1:]))


def _from_tflite(result: np.ndarray, shape) -> np.ndarray:
    return np.moveaxis(result, -1, 1).reshape(1, *shape)
