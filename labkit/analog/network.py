"""`program` writes the weights of a trained network into crossbars; `AnalogNetwork.at` is the network some time later."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from labkit.analog.converters import fitted
from labkit.analog.crossbar import Compensation, Crossbar, PairArray, global_drift_compensation, to_pairs

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)


def program(model: nn.Module, calibration: torch.Tensor, crossbar: Crossbar | None = None, *, seed: int = 0) -> AnalogNetwork:
    """Writes every convolution and linear layer of `model` into an array of its own; `model` itself stays as it is.

    `calibration` is a batch of inputs, from which the converters learn their ranges. The same seed programs the same devices.
    Raises ValueError when there is nothing to program, or a layer that a crossbar has no way to hold.

    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> network = program(model, torch.randn(32, 8))
    >>> network.at(3600.0)(torch.randn(5, 8)).shape
    torch.Size([5, 2])
    """
    crossbar = crossbar or Crossbar()
    made = copy.deepcopy(model).eval()
    for name, module in made.named_modules():
        if type(module).__name__.startswith(("ConvTranspose", "Conv3d", "LSTM", "GRU", "RNN", "Bilinear", "Embedding")):
            raise ValueError(f"layer {name!r} is a {type(module).__name__}; only Conv1d, Conv2d and Linear can be programmed")
    names = [name for name, module in made.named_modules() if isinstance(module, LAYERS)]
    if not names:
        raise ValueError("the network has no convolution and no linear layer, so there is nothing to program")
    inputs = _inputs(made, names, calibration)
    for name in names:
        layer = AnalogLayer(made.get_submodule(name), inputs[name], crossbar)
        if name:
            parent, _, leaf = name.rpartition(".")
            setattr(made.get_submodule(parent), leaf, layer)
        else:
            made = layer
    for name, module in made.named_modules(remove_duplicate=False):
        if isinstance(module, LAYERS):
            raise ValueError(f"layer {name!r} has a second name; give each of the two an array of its own: copy it first")
    return AnalogNetwork(made).reprogrammed(seed)


class AnalogLayer(nn.Module):
    """A convolution or linear layer whose products happen in an array of pairs.

    DAC, sum of currents (in units of g_max), ADC; then, digitally, the drift factor, the column's scale and the bias.
    """

    def __init__(self, layer: nn.Module, inputs: torch.Tensor, crossbar: Crossbar):
        super().__init__()
        weight, used, groups = layer.weight.detach(), torch.ones_like(layer.weight, dtype=torch.bool), getattr(layer, "groups", 1)
        if not torch.isfinite(weight).all():
            raise ValueError("a weight is NaN or infinite; train the network again before you program it")
        if groups > 1 and crossbar.empty_cells:
            weight, used, groups = block_diagonal(weight, groups), block_diagonal(used, groups), 1
        self.shape, self.pcm, self.g_max_us, self.sums = weight.shape, crossbar.pcm, crossbar.pcm.g_max_us, _sums(layer, groups)
        plus, minus, largest = to_pairs(weight.flatten(1).double().numpy(), self.g_max_us, crossbar.scale)
        self.targets_us, self.used = (plus, minus), used.flatten(1).numpy()
        self.axes = (-1,) + (1,) * (weight.dim() - 2)  # one number a channel, broadcast over positions
        self.register_buffer("scale", torch.from_numpy(largest).float().reshape(self.axes))
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone().reshape(self.axes))
        self.register_buffer("conductance", torch.from_numpy(plus - minus).float().reshape(self.shape) / self.g_max_us)
        self.register_buffer("factor", torch.ones(()))
        self.dac = fitted(inputs, crossbar.dac_bits)
        self.adc = fitted(self.sums(self.dac(inputs), self.conductance), crossbar.adc_bits)

    def program(self, rng: np.random.Generator) -> None:
        """Writes the weights into devices."""
        self.array = PairArray.of(*self.targets_us, self.used, self.pcm, rng)

    def read(self, seconds: float, compensation: Compensation | None) -> dict[str, torch.Tensor]:
        """The tensors that change with time."""
        now = self.array.read(seconds)
        return {
            "conductance": torch.from_numpy(now / self.g_max_us).float().reshape(self.shape),
            "factor": torch.tensor(self.array.factor(now, compensation), dtype=torch.float32),
        }

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.adc(self.sums(self.dac(x), self.conductance)) * (self.factor * self.scale)
        return y if self.bias is None else y + self.bias


class AnalogNetwork:
    """A programmed network. It forgets nothing between reads: the same devices are read at every time."""

    def __init__(self, module: nn.Module):
        self.module = module

    def layers(self) -> Iterator[tuple[str, AnalogLayer]]:
        """The programmed layers by name."""
        return ((name, module) for name, module in self.module.named_modules() if isinstance(module, AnalogLayer))

    def at(self, seconds: float, compensation: Compensation | None = global_drift_compensation) -> nn.Module:
        """The network as it computes `seconds` after programming: a module in eval mode.

        `compensation` is a function of what known inputs gave after programming and what they give now, arrays of µS, that returns
        the factor of a layer; None compensates nothing.
        """
        tensors = {}
        for name, layer in self.layers():
            prefix = f"{name}." if name else ""
            tensors |= {prefix + key: tensor for key, tensor in layer.read(seconds, compensation).items()}
        return Reading(self.module, tensors)

    def reprogrammed(self, seed: int) -> AnalogNetwork:
        """The same weights and converters with other devices, those of `seed`."""
        rng, made = np.random.default_rng(seed), AnalogNetwork(copy.deepcopy(self.module))
        for _, layer in made.layers():
            layer.program(rng)
        return made

    def reread(self, seed: int) -> AnalogNetwork:
        """The same devices with other read noise."""
        rng, made = np.random.default_rng(seed), AnalogNetwork(copy.deepcopy(self.module))
        for _, layer in made.layers():
            layer.array = PairArray(layer.array.plus.reread(rng), layer.array.minus.reread(rng), layer.used)
        return made


class Reading(nn.Module):
    """A programmed network with the conductances of one moment."""

    def __init__(self, module: nn.Module, tensors: dict[str, torch.Tensor]):
        super().__init__()
        self.module, self.tensors = module, tensors
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(self.module, self.tensors, (x,))


def block_diagonal(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The weights of a grouped convolution ``(outputs, inputs / groups, …)`` as those of a dense one, zeros in between.

    >>> block_diagonal(torch.ones(4, 1, 3), 4).count_nonzero(), block_diagonal(torch.ones(4, 1, 3), 4).shape
    (tensor(12), torch.Size([4, 4, 3]))
    """
    outputs, inputs = weight.shape[:2]
    dense = weight.new_zeros(outputs, inputs * groups, *weight.shape[2:])
    for output in range(outputs):
        first = output // (outputs // groups) * inputs
        dense[output, first : first + inputs] = weight[output]
    return dense


def _sums(layer: nn.Module, groups: int):
    """What a layer computes of inputs and conductances: `torch.nn.functional` with its geometry."""
    if isinstance(layer, nn.Linear):
        return F.linear
    if layer.padding_mode != "zeros":
        raise ValueError(f"padding mode {layer.padding_mode!r} cannot be programmed; use zeros")
    convolve = F.conv1d if isinstance(layer, nn.Conv1d) else F.conv2d
    return lambda x, weight: convolve(x, weight, None, layer.stride, layer.padding, layer.dilation, groups)


def _inputs(model: nn.Module, names: list[str], x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each layer reads while the network runs on `x`. Raises ValueError for a layer that it never calls."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda module, arguments: found.update({name: arguments[0].detach()})

    hooks = [model.get_submodule(name).register_forward_pre_hook(keep(name)) for name in names]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    unused = [name for name in names if name not in found]
    if unused:
        raise ValueError(f"layer {unused[0]!r} is never called; remove it, or program the network without it")
    return found
