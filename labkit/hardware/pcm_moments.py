"""Mean and standard deviation of a PCM device in closed form: what thousands of sampled devices must agree with.

The published equations take the positive part of a Gaussian (conductances are not negative) and the magnitude of one (drift only
goes down). Both have known moments. What couples them, the read noise of the conductance that programming happened to give, is one
integral over the programmed conductance.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf, ndtr, ndtri

from labkit.hardware.pcm import PCM, constants, elapsed

NODES = 4001  # of the integral over the programmed conductance: midpoints of equal probability


def positive_part(mean, std) -> tuple[np.ndarray, np.ndarray]:
    """First and second moment of max(0, m + s z).

    >>> [round(float(moment), 4) for moment in positive_part(0.0, 1.0)]     # 1/√(2π) and 1/2
    [0.3989, 0.5]
    """
    mean, std = np.broadcast_arrays(np.asarray(mean, float), np.asarray(std, float))
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(std > 0, mean / std, np.sign(mean) * np.inf)
    density = np.exp(-np.minimum(a**2, 1e4) / 2) / np.sqrt(2 * np.pi)
    first = mean * ndtr(a) + std * density
    return first, (mean**2 + std**2) * ndtr(a) + mean * std * density


def decay(mean, std, log_time: float) -> np.ndarray:
    """E[exp(−L|m + s z|)]: the mean of t^−ν when L is the logarithm of time.

    >>> round(float(decay(0.06, 0.0, np.log(86420 / 20))), 3)       # one exponent for all devices
    0.605
    """
    left = np.exp(-log_time * mean + (log_time * std) ** 2 / 2) * ndtr(_ratio(mean, std) - log_time * std)
    right = np.exp(log_time * mean + (log_time * std) ** 2 / 2) * ndtr(-_ratio(mean, std) - log_time * std)
    return left + right


def exponent_moments(pcm: PCM, target_us) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of ν, a folded Gaussian (Leone, Nelson & Nottingham, Technometrics 1961).

    >>> [round(float(value), 4) for value in exponent_moments(PCM(), 25.0)]
    [0.049, 0.008]
    """
    mean, std = pcm.drift_exponent(target_us)
    ratio = _ratio(mean, std)
    folded = std * np.sqrt(2 / np.pi) * np.exp(-np.minimum(ratio**2, 1e4) / 2) + mean * erf(ratio / np.sqrt(2))
    return folded, np.sqrt(np.maximum(mean**2 + std**2 - folded**2, 0))


def programmed_moments(pcm: PCM, target_us) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the programmed conductance, µS.

    >>> [round(float(value), 3) for value in programmed_moments(PCM(), 0.0)]     # noise makes an empty device conduct
    [0.105, 0.154]
    """
    first, second = positive_part(target_us, pcm.programming_std_us(target_us))
    return first, _std(first, second)


def drifted_moments(pcm: PCM, target_us, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """The same without read noise, `seconds` after programming: ν is drawn apart from the programming noise, so means multiply."""
    first, second = positive_part(target_us, pcm.programming_std_us(target_us))
    log_time = np.log(elapsed(seconds) / constants("device")["first_read_s"])
    exponent = pcm.drift_exponent(target_us)
    first, second = first * decay(*exponent, log_time), second * decay(*exponent, 2 * log_time)
    return first, _std(first, second)


def read_moments(pcm: PCM, target_us, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of a read, µS: arrays of the shape of `target_us`.

    >>> mean, std = read_moments(PCM(), 25.0, 86400)
    >>> round(float(mean), 2), round(float(std), 2)
    (16.63, 1.51)
    """
    target_us = np.asarray(target_us, float)
    z = ndtri((np.arange(NODES) + 0.5) / NODES)  # each with the probability 1 / NODES
    programmed = np.maximum(target_us[..., None] + pcm.programming_std_us(target_us)[..., None] * z, 0)
    first, second = positive_part(1.0, pcm.read_std(programmed, seconds))
    log_time = np.log(elapsed(seconds) / constants("device")["first_read_s"])
    exponent = pcm.drift_exponent(target_us)
    first = np.mean(programmed * first, axis=-1) * decay(*exponent, log_time)
    second = np.mean(programmed**2 * second, axis=-1) * decay(*exponent, 2 * log_time)
    return first, _std(first, second)


def _std(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(second - first**2, 0))


def _ratio(mean, std) -> np.ndarray:
    """m/s, a large number where nothing is random."""
    return np.asarray(mean) / np.maximum(std, 1e-12)
