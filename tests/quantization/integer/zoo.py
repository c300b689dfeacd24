"""Prepared networks to test with: those of the model zoo, with batch norms as if trained, calibrated on random inputs."""

import functools

import torch

from labkit.models.zoo import build
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.prepare import Scheme, calibrate, prepare

NAMES = ("ds-cnn", "har-cnn", "tc-resnet8", "resnet8", "autoencoder")


def model(name: str, seed: int = 0) -> tuple[torch.nn.Module, torch.Tensor]:
    """A network and 32 inputs."""
    network, example = build(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            if hasattr(module, "running_mean"):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2.0)
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.2)
        return network, torch.randn(32, *example.shape[1:])


@functools.cache
def quantized(name: str, scheme: Scheme = Scheme()) -> tuple[torch.nn.Module, IntegerNetwork, torch.Tensor]:  # noqa: B008
    """(prepared and calibrated, the same in integers, inputs)"""
    network, x = model(name)
    prepared = prepare(network, scheme)
    calibrate(prepared, x)
    return prepared, IntegerNetwork.of(prepared, x), x
