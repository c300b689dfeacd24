"""Prepared networks to test with: those of the model zoo, with batch norms as if trained, calibrated on random inputs."""

import functools

import numpy as np
import torch

from labkit.data.features import FeatureConfig, mfcc
from labkit.models.weights import pretrained
from labkit.models.zoo import build
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.prepare import Scheme, calibrate, prepare

NAMES = ("ds-cnn", "har-cnn", "tc-resnet8", "resnet8", "autoencoder", "ds-cnn shipped")


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


def shipped() -> tuple[torch.nn.Module, torch.Tensor]:
    """The trained DS-CNN that comes with the kit, and features of 32 noises that swell and fade."""
    network, _ = pretrained("ds-cnn", "synthetic")
    rng = np.random.default_rng(0)
    loudness = np.exp(rng.normal(-3, 1.5, (32, 20))).repeat(800, axis=1)
    audio = (rng.normal(size=(32, 16000)) * loudness).clip(-1, 1).astype(np.float32)
    return network.eval(), torch.as_tensor(np.asarray(mfcc(audio, FeatureConfig())), dtype=torch.float32)[:, None]


@functools.cache
def quantized(name: str, scheme: Scheme = Scheme()) -> tuple[torch.nn.Module, IntegerNetwork, torch.Tensor]:  # noqa: B008
    """(prepared and calibrated, the same in integers, inputs)"""
    network, x = shipped() if name == "ds-cnn shipped" else model(name)
    prepared = prepare(network, scheme)
    calibrate(prepared, x)
    return prepared, IntegerNetwork.of(prepared, x), x
