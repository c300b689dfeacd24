"""What a layer or a call says of itself: weights and scales, windows, bounds. ValueError where integers cannot follow."""

from __future__ import annotations

import math

import numpy as np
import torch.fx
from torch import nn
from torch.nn.utils import parametrize

from labkit.quantization.integer.requantize import INT32

ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
POOL_ARGUMENTS = {  # torch.nn.functional's, behind the input
    "avg_pool": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "max_pool": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
}


def weights(name: str, layer: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Integer codes, in the shape of the weight, and float32 scales: one, or one for each output channel."""
    if not parametrize.is_parametrized(layer, "weight"):
        raise ValueError(f"layer {name!r} has float weights; prepare it with a weight format, such as Int(8)")
    parametrizations = layer.parametrizations.weight
    quantizer, original = parametrizations[-1], parametrizations.original.detach()
    if not np.isfinite(original.numpy()).all():
        raise ValueError(f"layer {name!r} has NaN or infinite weights; train it again, or load weights that are whole")
    scale = quantizer.scale(original).detach().numpy().astype(np.float32).reshape(-1)
    if scale.size not in (1, len(original)):
        raise ValueError(f"layer {name!r} has {scale.size} scales for {len(original)} output channels; integers need PerChannel()")
    return quantizer.codes(original).numpy().astype(np.int32), scale


def with_bias(weight: np.ndarray, scale: np.ndarray, bias: np.ndarray, x_scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weight, scale, int32 bias) with bias ≈ x_scale · scale · code, the unit of the accumulator.

    In two cases a channel's own scale cannot carry its bias, and it gets another. A dead channel (all weights 0) is nothing
    but its bias, and its scale is arbitrary. One with tiny weights has so fine a unit that its bias would leave 32 bits; the scale
    grows until the bias fits, and the weights, which hardly count there, are rounded to it.

    >>> with_bias(np.array([[0, 0], [127, 3]]), np.array([1.0, 1e-12], dtype=np.float32), np.array([0.3, 0.3]), 0.1)[2].tolist()
    [1048576, 1073741824]
    """
    if scale.size > 1:
        dead = ~weight.reshape(len(weight), -1).any(axis=1)
        carried = np.abs(bias) / x_scale
        wanted = np.where(dead & (bias != 0), carried / 2**20, np.maximum(scale, carried / 2**30)).astype(np.float32)
        ratio = (scale / wanted.astype(np.float64)).reshape(-1, *(1,) * (weight.ndim - 1))
        weight, scale = np.rint(weight * ratio).astype(np.int32), wanted
    codes = np.rint(bias / (np.float64(x_scale) * scale.astype(np.float64)))
    return weight, scale, np.clip(codes, INT32.min, INT32.max).astype(np.int32)


def of_convolution(name: str, layer: nn.Conv1d | nn.Conv2d) -> dict:
    """Stride, padding, dilation and groups of a convolution."""
    if layer.padding_mode != "zeros":
        raise ValueError(f"layer {name!r} pads with {layer.padding_mode!r}; integers pad with zeros")
    if layer.padding == "same":  # torch puts the odd place behind
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        padding = tuple((total // 2, total - total // 2) for total in totals)
    else:
        padding = _both_sides((0,) * len(layer.stride) if layer.padding == "valid" else layer.padding)
    return {"stride": layer.stride, "padding": padding, "dilation": layer.dilation, "groups": layer.groups}


def of_clamp(node: torch.fx.Node, module: nn.Module | None) -> tuple[float, float]:
    """Lowest and highest real number that a ReLU lets through; without a bound ±infinity."""
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return module.min_val, module.max_val
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if module is None and name.rstrip("_") not in ("relu", "relu6"):
        given = dict(zip(("min", "max"), node.args[1:], strict=False)) | node.kwargs
        default = (-1.0, 1.0) if name == "hardtanh" else (-math.inf, math.inf)
        low, high = (given.get(key, given.get(f"{key}_val")) for key in ("min", "max"))
        return default[0] if low is None else float(low), default[1] if high is None else float(high)
    return 0.0, 6.0 if name == "relu6" else math.inf


def of_window(node: torch.fx.Node, module: nn.Module | None, size: tuple[int, ...], places: tuple[int, ...]) -> tuple:
    """Kernel, stride and padding of a pooling layer, from an input of `size` to `places` outputs."""
    name = str(node.target) if module is not None else node.name
    said = _said(node, module)
    if said is None:  # adaptive, or a mean or maximum over axes
        if any(s % p for s, p in zip(size, places, strict=True)):
            raise ValueError(f"{name!r} pools {size} to {places}, in windows of different sizes; choose sizes that divide")
        window = tuple(s // p for s, p in zip(size, places, strict=True))
        return window, window, _both_sides((0,) * len(size))
    kernel, padding = (_wide(said[key], len(size)) for key in ("kernel_size", "padding"))
    stride = _wide(said["stride"] or kernel, len(size))
    if said["ceil_mode"] or _wide(said["dilation"], len(size)) != (1,) * len(size):
        raise ValueError(f"{name!r} pools with ceil_mode or dilation; integers pool without")
    if any(padding) and said["count_include_pad"]:
        raise ValueError(
            f"{name!r} counts its padding in the average; give it count_include_pad=False, as TensorFlow Lite averages"
        )
    return kernel, stride, _both_sides(padding)


def _said(node: torch.fx.Node, module: nn.Module | None) -> dict | None:
    """The settings of a pooling with windows; None for one without."""
    default = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": "max" not in node.name}
    if module is not None:
        if isinstance(module, ADAPTIVE):
            return None
        average = isinstance(module, nn.AvgPool1d | nn.AvgPool2d)
        given = {key: getattr(module, key) for key in ("kernel_size", *default) if hasattr(module, key)}
        return default | {"count_include_pad": average} | given
    for function, arguments in POOL_ARGUMENTS.items():
        if node.name.startswith(function):
            return default | dict(zip(arguments, node.args[1:], strict=False)) | dict(node.kwargs)
    return None


def _wide(value, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * axes


def _both_sides(padding) -> tuple[tuple[int, int], ...]:
    return tuple((int(p), int(p)) for p in padding)
