"""Two families of networks as plain layer records, for a slider that cannot wait for a trace.

Tracing builds a PyTorch module and runs it, 20 ms a time. The records below are the same ones (a test compares them with the trace
of the real module, layer by layer) and take a fraction of a millisecond.
"""

from __future__ import annotations

from labkit.workload import INPUT, Layer, Workload


def ds_cnn(width: int = 64, blocks: int = 4, kernel: int = 3, frames: int = 49) -> Workload:
    """`labkit.models.networks.DSCNN` with a depthwise kernel of `kernel` x `kernel`, on `frames` x 10 MFCCs; 12 classes.

    >>> ds_cnn().macs, ds_cnn().params
    (2656768, 22604)
    """
    layers = [_conv("stem", INPUT, (1, frames, 10), width, kernel=(10, 4), stride=(2, 2), padding=(5, 1))]
    for i in range(1, blocks + 1):
        for name, op, size in ((f"depthwise{i}", "depthwise", kernel), (f"pointwise{i}", "conv", 1)):
            before, pad = layers[-1], size // 2
            square = {"kernel": (size, size), "stride": (1, 1), "padding": (pad, pad)}
            layers.append(_conv(name, before.name, before.out_shape, width, **square, op=op))
    return Workload("ds-cnn", (1, frames, 10), (*layers, *_head(layers[-1], classes=12)))


def har_cnn(width: int = 16, blocks: int = 3, kernel: int = 7, samples: int = 128, channels: int = 6, classes: int = 7) -> Workload:
    """`labkit.models.networks.HARCNN`: every block halves the length and doubles the channels; kernels shrink by 2 down to 3.

    >>> har_cnn().macs, har_cnn().params
    (223680, 9943)
    """
    layers, source, shape = [], INPUT, (channels, samples)
    for i in range(blocks):
        size = max(3, kernel - 2 * i)
        layers.append(_conv(f"conv{i + 1}", source, shape, width * 2**i, kernel=(size,), stride=(2,), padding=(size // 2,)))
        source, shape = layers[-1].name, layers[-1].out_shape
    return Workload("har-cnn", (channels, samples), (*layers, *_head(layers[-1], classes)))


def tc_resnet8(width: float = 1.0, frames: int = 98, coefficients: int = 40) -> Workload:
    """`labkit.models.networks.TCResNet8`: MFCCs are channels, time is the only axis; three blocks with a shortcut each.

    >>> tc_resnet8().macs, tc_resnet8().params
    (1522560, 64836)
    """
    stem, *widths = (round(channels * width) for channels in (16, 24, 32, 48))
    layers = [_conv("stem", INPUT, (coefficients, frames), stem, kernel=(3,), stride=(1,), padding=(1,), bias=False)]
    for i, channels in enumerate(widths, start=1):
        source, halve = layers[-1], {"kernel": (9,), "stride": (2,), "padding": (4,)}
        first = _conv(f"block{i}.first", source.name, source.out_shape, channels, **halve)
        second = _conv(f"block{i}.second", first.name, first.out_shape, channels, **{**halve, "stride": (1,)})
        shortcut = _conv(f"block{i}.shortcut", source.name, source.out_shape, channels, kernel=(1,), stride=(2,), padding=(0,))
        add = Layer(f"block{i}.add", "add", (second.name, shortcut.name), second.out_shape, second.out_shape)
        layers += [first, second, shortcut, add]
    return Workload("tc-resnet8", (coefficients, frames), (*layers, *_head(layers[-1], classes=12)))


def _conv(name, source, in_shape, channels, *, kernel, stride, padding, op="conv", bias=True) -> Layer:
    sizes = ((size + 2 * pad - k) // step + 1 for size, k, step, pad in zip(in_shape[1:], kernel, stride, padding, strict=True))
    groups = channels if op == "depthwise" else 1  # a bias is the batch norm's shift
    out_shape = (channels, *sizes)
    return Layer(name, op, (source,), in_shape, out_shape, kernel, stride, padding, groups, bias)


def _head(last: Layer, classes: int) -> tuple[Layer, Layer]:
    """Average over all positions, then one linear layer."""
    channels = last.out_channels
    spatial = last.out_shape[1:]
    pooled = (channels, *(1 for _ in spatial))
    pool = Layer("pool", "avgpool", (last.name,), last.out_shape, pooled, kernel=spatial, stride=spatial)
    return pool, Layer("classifier", "linear", ("pool",), (channels,), (classes,), bias=True)
