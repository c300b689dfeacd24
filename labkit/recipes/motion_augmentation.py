"""New bodies from old ones: what a window would have been with the sensor worn a little differently or the movement done faster.

Each function changes windows ``(n, channels, samples)`` with random numbers from `generator` alone. What it changes is what differs
between people and does not change the activity (Um et al., arXiv:1706.00527, for wrist-worn sensors).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def turn(x: torch.Tensor, degrees: float, generator: torch.Generator) -> torch.Tensor:
    """Windows ``(n, 3k, samples)`` as if the sensor sat turned, each about an axis of its own; `degrees` is a standard deviation.

    R = exp(θ [a]ₓ), where [a]ₓ is the cross product with the axis a (Rodrigues). All sensors of one case turn together.

    >>> x = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0))
    >>> turned = turn(x, 15, torch.Generator().manual_seed(1))
    >>> torch.allclose(turned[:, :3].norm(dim=1), x[:, :3].norm(dim=1), atol=1e-5)      # a rotation keeps lengths
    True
    """
    axis = F.normalize(torch.randn(len(x), 3, generator=generator), dim=1)
    angle = math.radians(degrees) * torch.randn(len(x), 1, generator=generator)
    rotation = torch.linalg.matrix_exp(torch.linalg.cross((angle * axis)[:, None], torch.eye(3).expand(len(x), 3, 3)).mT)
    vectors = x.unflatten(1, (-1, 3))  # (n, sensors, 3, samples)
    return (rotation[:, None] @ vectors).flatten(1, 2)


def stretch(x: torch.Tensor, factor: float, generator: torch.Generator) -> torch.Tensor:
    """The same movement faster or slower, by up to `factor`: the batch is resampled, then cut (or its last sample held) to length.

    >>> stretch(torch.arange(5.0).reshape(1, 1, 5), 1.0, torch.Generator()).tolist()
    [[[0.0, 1.0, 2.0, 3.0, 4.0]]]
    """
    samples = x.shape[2]
    change = factor ** (2 * torch.rand(1, generator=generator).item() - 1)
    resampled = F.interpolate(x, size=round(samples * change), mode="linear")[:, :, :samples]
    return F.pad(resampled, (0, samples - resampled.shape[2]), mode="replicate")


def jitter(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Normalised windows with each channel a little louder or softer (10 %) and each sample a little off (0.05).

    >>> jitter(torch.zeros(2, 3, 4), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 4])
    """
    gain = 1 + 0.1 * torch.randn(*x.shape[:2], 1, generator=generator)
    return gain * x + 0.05 * torch.randn(x.shape, generator=generator)
