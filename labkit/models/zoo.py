"""The zoo: `build(name)` gives a fresh network and an example input; `names()` lists them."""

from __future__ import annotations

import torch
from torch import nn

from labkit.models.binary_networks import BinaryKWS
from labkit.models.networks import DSCNN, HARCNN, Autoencoder, ResNet8, TCResNet8
from labkit.naming import did_you_mean

ZOO = {
    "ds-cnn": (DSCNN, (1, 49, 10)),
    "tc-resnet8": (TCResNet8, (40, 98)),
    "har-cnn": (HARCNN, (6, 128)),
    "resnet8": (ResNet8, (3, 32, 32)),
    "autoencoder": (Autoencoder, (640,)),
    "binary-kws": (BinaryKWS, (2, 50, 32)),
}


def names() -> list[str]:
    """The names that `build` knows."""
    return list(ZOO)


def build(name: str, *, seed: int = 0, **options) -> tuple[nn.Module, torch.Tensor]:
    """A network with random weights, in eval mode, and an example input of batch 1. `options` go to its constructor.

    >>> model, example = build("ds-cnn")
    >>> model(example).shape
    torch.Size([1, 12])
    """
    if name not in ZOO:
        raise ValueError(f"unknown network {name!r}; {did_you_mean(name, ZOO)}")
    network, shape = ZOO[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(**options).eval()
    return model, torch.zeros(1, *shape)
