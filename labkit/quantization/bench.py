"""How long a step of quantization-aware training takes, beside brevitas on the same network, batch and machine.

Both quantize the same tensors: weights to 4 bits with a scale for each channel that follows them, the input and the output of every
ReLU to 8 bits with a learned scale; norms stay as they are. The steps of both and of the float network take turns, so that a busy
machine slows all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import nn

from labkit import models
from labkit.quantization.formats import Int
from labkit.quantization.prepare import Scheme, calibrate, prepare

BATCH = 100


def step_of(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """One training step of `model`, as `labkit.training.fit` does it."""
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def step() -> None:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def in_brevitas(model: nn.Module) -> nn.Module:
    """The same network of brevitas layers. Raises ImportError when brevitas is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import brevitas.nn as qnn
            from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
        except ImportError:
            raise ImportError(
                "the benchmark needs brevitas to compare with; install it with: pip install -e '.[oracles]'"
            ) from None
    weights = {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": 4}

    def translate(module: nn.Module) -> nn.Module:
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            layer = qnn.QuantConv1d if isinstance(module, nn.Conv1d) else qnn.QuantConv2d
            shape = {name: getattr(module, name) for name in ("stride", "padding", "groups")}
            return layer(
                module.in_channels, module.out_channels, module.kernel_size, bias=module.bias is not None, **shape, **weights
            )
        if isinstance(module, nn.Linear):
            return qnn.QuantLinear(module.in_features, module.out_features, bias=True, **weights)
        if isinstance(module, nn.ReLU):
            return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat)
        for name, child in module.named_children():
            setattr(module, name, translate(child))
        return module

    return nn.Sequential(qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat), translate(model))


def measure(name: str, steps: int = 20) -> dict:
    """Milliseconds a step of network `name`: float, ours and brevitas; and ours / brevitas, as medians of `steps`."""
    model, example = models.build(name)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, *example.shape[1:], generator=generator)
    y = torch.randint(model(example).shape[1], (BATCH,), generator=generator)
    ours = prepare(model, Scheme(Int(4), activation_scale="lsq", fold=False, every_op=False))
    calibrate(ours, x)
    contenders = {"float": models.build(name)[0], "labkit": ours, "brevitas": in_brevitas(models.build(name)[0])}
    runs = {who: step_of(network, x, y) for who, network in contenders.items()}
    taken: dict[str, list[float]] = {who: [] for who in runs}
    for round in range(steps + 2):
        for who, step in runs.items():
            started = perf_counter()
            step()
            if round >= 2:  # the first steps set up buffers
                taken[who].append(1000 * (perf_counter() - started))
    ms = {f"{who}_ms": median(times) for who, times in taken.items()}
    return {"network": name, **{k: round_to(v) for k, v in ms.items()}, "ratio": round_to(ms["labkit_ms"] / ms["brevitas_ms"])}


def round_to(value: float) -> float:
    return float(f"{value:.3g}")


def run() -> dict:
    """What `labkit bench quantization --json` prints."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {"batch": BATCH, "rows": [measure(name) for name in ("ds-cnn", "har-cnn")]}
    finally:
        torch.set_num_threads(threads)


def table(result: dict) -> str:
    """The same for people.

    >>> row = {"network": "ds-cnn", "float_ms": 90.0, "labkit_ms": 180.0, "brevitas_ms": 450.0, "ratio": 0.4}
    >>> print(table({"batch": 100, "rows": [row]}))
    one step of quantization-aware training, batch 100, one thread
    network      float ms   labkit ms   brevitas ms   labkit / brevitas
    ds-cnn           90.0       180.0         450.0                0.40
    """
    lines = [f"one step of quantization-aware training, batch {result['batch']}, one thread"]
    lines.append("network      float ms   labkit ms   brevitas ms   labkit / brevitas")
    for row in result["rows"]:
        lines.append(
            f"{row['network']:<9}{row['float_ms']:12.1f}{row['labkit_ms']:12.1f}{row['brevitas_ms']:14.1f}{row['ratio']:20.2f}"
        )
    return "\n".join(lines)
