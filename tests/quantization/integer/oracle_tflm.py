"""Our integer kernels against TensorFlow Lite Micro's reference kernels on random layers: ``python -m`` this prints the count."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from labkit.quantization.integer import kernels
from labkit.quantization.integer.requantize import Grid, requantize
from tests.quantization.integer import zoo
from tests.quantization.integer.tflite_file import LITERT_REFERENCE, XNNPACK, File, channels_first, channels_last
from tests.quantization.integer.tflite_network import compile_network

ACTIVATIONS = {"none": schema.ActivationFunctionType.NONE, "relu": schema.ActivationFunctionType.RELU}
Result = tuple[np.ndarray, np.ndarray]


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """TensorFlow's SAME: as many outputs as strides; an odd place more goes behind."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


class Draw:
    """A random layer, from one seed."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def int(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def grid(self) -> Grid:
        """Zero points at both ends of int8 come up often: a ReLU puts them there."""
        zero_point = self.rng.choice([-128, 127, self.int(-128, 127), self.int(-128, 127)])
        return Grid(float(np.exp(self.rng.uniform(np.log(0.003), np.log(0.3)))), int(zero_point), -128, 127)

    def codes(self, *shape) -> np.ndarray:
        return self.rng.integers(-128, 128, shape)

    def weights(self, *shape) -> np.ndarray:
        """Codes of 2 to 8 bits, another width in every output channel."""
        high = 2 ** (self.rng.integers(2, 9, (shape[0], *(1,) * (len(shape) - 1))) - 1) - 1
        return self.rng.integers(-high, high + 1, shape)

    def scales(self, channels: int) -> np.ndarray:
        """Per channel, or (one time in four) one for the whole tensor."""
        count = 1 if self.rng.random() < 0.25 else channels
        return np.exp(self.rng.uniform(np.log(0.0005), np.log(0.05), count)).astype(np.float32)

    def bias(self, channels: int) -> np.ndarray:
        return self.rng.integers(-20000, 20000, channels)

    def out(self, acc: np.ndarray, step: np.ndarray) -> Grid:
        """A grid that most of these accumulators fall on: its ends are hit, but not by everything."""
        grid = self.grid()
        spread = float(np.sqrt(np.mean((acc * kernels.per_channel(step, acc)) ** 2))) + 1e-6
        return Grid(spread * 3 / 128, grid.zero_point, -128, 127)

    def spatial(self):
        """Kernel, stride, dilation, size of the input; sometimes height 1, which is a 1-D layer."""
        flat = self.rng.random() < 0.2
        kernel = (1 if flat else self.int(1, 4), self.int(1, 5))
        stride = (1, self.int(1, 3)) if flat else (self.int(1, 3), self.int(1, 3))
        dilation = (1, self.int(1, 2)) if stride == (1, 1) else (1, 1)
        size = (1 if flat else self.int(5, 14), self.int(9, 16))
        return kernel, stride, dilation, size

    def clamp(self, out: Grid) -> tuple[str, Grid]:
        """With or without a ReLU, which is a lower bound at the zero point."""
        if self.rng.random() < 0.5:
            return "none", out
        return "relu", Grid(out.scale, out.zero_point, max(out.low, out.zero_point), out.high)


def step_of(x_grid: Grid, scales: np.ndarray) -> np.ndarray:
    return np.float64(x_grid.scale) * scales.astype(np.float64)


def convolution(seed: int, rounding: str = "tflite", judge=None, depth_multiplier: int | None = None) -> Result:
    """CONV_2D, or DEPTHWISE_CONV_2D when a multiplier is given; padding SAME, VALID or by a PAD operation before it."""
    draw = Draw(seed)
    kernel, stride, dilation, size = draw.spatial()
    channels = draw.int(1, 24)
    out_channels = channels * depth_multiplier if depth_multiplier else draw.int(1, 24)
    groups = channels if depth_multiplier else 1
    grid, x = draw.grid(), draw.codes(1, channels, *size)
    weight, bias = draw.weights(out_channels, channels // groups, *kernel), draw.bias(out_channels)
    scales = draw.scales(out_channels)
    how = draw.rng.choice(["same", "valid", "explicit"])
    if how == "same":
        padding = tuple(same_padding(*facts) for facts in zip(size, kernel, stride, dilation, strict=True))
    elif how == "valid":
        padding = ((0, 0), (0, 0))
    else:
        padding = tuple((draw.int(0, k), draw.int(0, k)) for k in kernel)

    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    acc = kernels.conv(x, weight, bias, zero_point=grid.zero_point, **settings)
    step = step_of(grid, scales)
    relu, out = draw.clamp(draw.out(acc, step))
    ours = requantize(acc, step, out, rounding)

    file = File()
    first = source = file.activation((1, *size, channels), grid)
    if how == "explicit":
        rows = np.array([(0, 0), *padding, (0, 0)], dtype=np.int32)
        padded = [s + before + after for s, (before, after) in zip(size, padding, strict=True)]
        source = file.op("PAD", [source, file.constant(rows)], file.activation((1, *padded, channels), grid))
    layout = np.moveaxis(weight, 1, -1) if not depth_multiplier else np.moveaxis(weight, 0, -1).reshape(1, *kernel, out_channels)
    filters = file.constant(layout.astype(np.int8), scales, axis=3 if depth_multiplier else 0)
    biases = file.constant(bias.astype(np.int32), step.astype(np.float32))
    result = file.activation((1, *ours.shape[2:], out_channels), out)
    file.op(
        "DEPTHWISE_CONV_2D" if depth_multiplier else "CONV_2D",
        [source, filters, biases],
        result,
        padding=schema.Padding.SAME if how == "same" else schema.Padding.VALID,
        strideH=stride[0],
        strideW=stride[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        fusedActivationFunction=ACTIVATIONS[relu],
        **({"depthMultiplier": depth_multiplier} if depth_multiplier else {}),
    )
    return ours, channels_first(file.run({first: channels_last(x)}, result, judge))


def depthwise(seed: int, rounding: str = "tflite", judge=None) -> Result:
    return convolution(seed, rounding, judge, depth_multiplier=1 + seed % 2)


def fully_connected(seed: int, rounding: str = "tflite", judge=None) -> Result:
    draw = Draw(seed)
    inputs, outputs, batch = draw.int(1, 200), draw.int(1, 200), draw.int(1, 8)
    grid, x = draw.grid(), draw.codes(batch, inputs)
    weight, bias, scales = draw.weights(outputs, inputs), draw.bias(outputs), draw.scales(outputs)
    acc = kernels.linear(x, weight, bias, zero_point=grid.zero_point)
    step = step_of(grid, scales)
    relu, out = draw.clamp(draw.out(acc, step))
    file = File()
    source, result = file.activation((batch, inputs), grid), file.activation((batch, outputs), out)
    constants = [file.constant(weight.astype(np.int8), scales), file.constant(bias.astype(np.int32), step.astype(np.float32))]
    file.op("FULLY_CONNECTED", [source, *constants], result, fusedActivationFunction=ACTIVATIONS[relu])
    return requantize(acc, step, out, rounding), file.run({source: x}, result, judge)


def boundaries(seed: int, rounding: str = "tflite", judge=None) -> Result:
    """Accumulators on purpose next to the places where a code ends: weights 0, so that the biases are the accumulators.

    Random layers hardly meet them; here the roundings differ in one output of seven. The scale of the input is a power of two,
    because LiteRT multiplies the two scales of a fully connected layer in float32, and so its product is exact.
    """
    draw = Draw(seed)
    grid, out = Grid(2.0 ** draw.int(-8, -2), 0, -128, 127), draw.grid()
    scales = np.exp2(draw.rng.uniform(-14, 0, 1)).astype(np.float32) * np.float32(out.scale / grid.scale)
    step = step_of(grid, scales)
    ends = np.round((np.arange(-128, 128) - 0.5) * out.scale / step)
    bias = (ends[:, None] + np.arange(-1, 2)).ravel().astype(np.int32)
    file = File()
    source, result = file.activation((1, 1), grid), file.activation((1, bias.size), out)
    constants = [file.constant(np.zeros((bias.size, 1), dtype=np.int8), scales), file.constant(bias, step)]
    file.op("FULLY_CONNECTED", [source, *constants], result)
    return requantize(bias[None], step, out, rounding), file.run({source: np.zeros((1, 1))}, result, judge)


def pooling(seed: int, name: str) -> Result:
    draw = Draw(seed)
    kernel, stride, _, size = draw.spatial()
    if draw.rng.random() < 0.3:
        kernel, stride = size, (1, 1)  # global
    channels, grid = draw.int(1, 24), draw.grid()
    x = draw.codes(1, channels, *size)
    same = bool(draw.rng.random() < 0.5)
    padding = tuple(same_padding(*facts) for facts in zip(size, kernel, stride, strict=True)) if same else ((0, 0), (0, 0))
    if name == "AVERAGE_POOL_2D":
        ours = kernels.average_pool(x, grid, kernel, stride, padding=padding)
    else:
        ours = kernels.max_pool(x, kernel, stride, padding=padding)
    file = File()
    source, result = file.activation((1, *size, channels), grid), file.activation((1, *ours.shape[2:], channels), grid)
    (filter_height, filter_width), (stride_height, stride_width) = kernel, stride
    file.op(
        name,
        [source],
        result,
        padding=schema.Padding.SAME if same else schema.Padding.VALID,
        filterHeight=filter_height,
        filterWidth=filter_width,
        strideH=stride_height,
        strideW=stride_width,
    )
    return ours, channels_first(file.run({source: channels_last(x)}, result))


def average_pool(seed: int) -> Result:
    return pooling(seed, "AVERAGE_POOL_2D")


def max_pool(seed: int) -> Result:
    return pooling(seed, "MAX_POOL_2D")


def addition(seed: int) -> Result:
    draw = Draw(seed)
    shape = (1, draw.int(1, 16), draw.int(1, 12), draw.int(1, 12))
    (a, a_grid), (b, b_grid) = ((draw.codes(*shape), draw.grid()) for _ in range(2))
    relu, out = draw.clamp(Grid((a_grid.scale + b_grid.scale) * draw.rng.uniform(0.3, 1.5), draw.grid().zero_point, -128, 127))
    file = File()
    left, right = file.activation(channels_last(a).shape, a_grid), file.activation(channels_last(b).shape, b_grid)
    result = file.op("ADD", [left, right], file.activation(channels_last(a).shape, out), fusedActivationFunction=ACTIVATIONS[relu])
    theirs = channels_first(file.run({left: channels_last(a), right: channels_last(b)}, result))
    return kernels.add(a, a_grid, b, b_grid, out), theirs


KERNELS: dict[str, Callable[..., Result]] = {
    "conv": convolution,
    "depthwise": depthwise,
    "fully connected": fully_connected,
    "code boundaries": boundaries,
    "average pool": average_pool,
    "max pool": max_pool,
    "add": addition,
}


def compare(name: str, layers: int, *settings) -> Counter:
    """Runs `layers` random layers of one kernel. Counts layers, outputs and mismatches. `settings`: a rounding and its judge."""
    total = Counter(layers=layers)
    for seed in range(layers):
        ours, theirs = KERNELS[name](seed, *settings)
        assert ours.shape == theirs.shape, f"{name} {seed}: {ours.shape} against {theirs.shape}"
        total.update(outputs=ours.size, mismatches=int((ours != theirs).sum()))
    return total


LITERT = {  # which rounding LiteRT's kernels follow
    "conv": ("single", XNNPACK),
    "depthwise": ("single", XNNPACK),
    "fully connected": ("single", XNNPACK),
    "code boundaries": ("exact", LITERT_REFERENCE),
}


def compare_network(name: str, inputs: int) -> Counter:
    """Runs `inputs` inputs through a whole quantized network of the zoo. Every tensor is compared, not only the last."""
    _, network, x = zoo.quantized(name)
    codes = network.quantize(x[:inputs])
    ours, theirs = network.tensors(codes), compile_network(network)
    total = Counter(layers=len(network.operations))
    for i, one in enumerate(codes):
        for tensor, result in theirs(one).items():
            total.update(outputs=result.size, mismatches=int((result[0] != ours[tensor][i]).sum()))
    return total


def main(layers: int = 100) -> None:
    together = Counter()
    for name in KERNELS:
        counted = compare(name, layers)
        together += counted
        print(f"{name:16s}", line(counted))
    print(f"{'together':16s}", line(together))
    for name, (rounding, judge) in LITERT.items():
        print(f"{name:16s}", line(compare(name, layers, rounding, judge)), f"(rounding {rounding!r}, LiteRT)")
    for name in zoo.NAMES:
        print(f"{name:16s}", line(compare_network(name, inputs=20)))


def line(counted: Counter) -> str:
    return f"{counted['layers']:4d} layers, outputs compared {counted['outputs']:7,d}, mismatches {counted['mismatches']}"


if __name__ == "__main__":
    main()
