"""Phase-change memory as an analog weight: what is programmed, how it drifts, what a read returns.

A device is programmed to a conductance g (in µS) and misses it; from then on its amorphous part relaxes, and g falls with a power
of time; every read adds 1/f noise, which grows with the logarithm of time. With x = g / g_max, z standard normal, and t counted
from the end of programming (Nandakumar et al., ICECS 2019; constants as in aihwkit's PCMLikeNoiseModel, `catalog/pcm.toml`):

    programmed   g_P = max(0, g + σ(x) z)            σ(x) = 0.263 + 1.965 x − 1.173 x²  (µS)
    drifted      g_D = g_P · ((t + t_0) / t_0)^−ν     ν = |μ(x) + s(x) z|,  t_0 = 20 s
    read         g_R = max(0, g_D · (1 + q(x_P) √ln((t + t_0 + t_r) / 2 t_r) z))      t_r = 250 ns

ν is about 0.05 for a strongly conducting device and 0.1 for a weak one: after a day they keep 66 % and 46 % on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.hardware.catalog import load

LEAST_X = 1e-7  # a device that should not conduct at all: the logarithm needs a number


def constants(part: str) -> dict[str, float]:
    """The numbers of one table of `catalog/pcm.toml`."""
    return {name: quantity.value for name, quantity in load("pcm")[part].items()}


@dataclass(frozen=True)
class PCM:
    """One kind of device. The three factors scale programming noise, drift and read noise; 0 switches one off.

    >>> pcm = PCM(programming_noise=0, read_noise=0)
    >>> array = pcm.program([25.0, 2.0], np.random.default_rng(0))
    >>> array.programmed_us, array.read(86400).round(1)
    (array([25.,  2.]), array([15.9,  1.1]))
    """

    g_max_us: float = 25.0
    programming_noise: float = 1.0
    drift: float = 1.0
    read_noise: float = 1.0

    def __post_init__(self):
        if not 0 < self.g_max_us < np.inf:
            raise ValueError(f"g_max_us is {self.g_max_us}; give a conductance in µS greater than 0")
        for name in ("programming_noise", "drift", "read_noise"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; give a factor of 0 (off), 1 (as measured) or more")

    def programming_std_us(self, target_us) -> np.ndarray:
        """σ: how far programming misses, µS. The noise of a device with another g_max scales with it.

        >>> PCM().programming_std_us([0.0, 12.5, 25.0]).round(3).tolist()
        [0.263, 0.953, 1.055]
        """
        c, x = constants("programming"), np.asarray(target_us) / self.g_max_us
        polynomial = c["constant"] + c["linear"] * x + c["square"] * x**2
        return self.programming_noise * polynomial * self.g_max_us / constants("device")["g_max_us"]

    def drift_exponent(self, target_us) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of ν before its sign is dropped.

        >>> mean, std = PCM().drift_exponent(np.array([0.1, 2.0, 25.0]))
        >>> mean.round(4).tolist(), std.round(4).tolist()
        ([0.1, 0.0635, 0.049], [0.045, 0.0257, 0.008])
        """
        c = constants("drift")
        log_x = np.log(np.maximum(np.asarray(target_us) / self.g_max_us, LEAST_X))
        mean = np.clip(c["mean_slope"] * log_x + c["mean_constant"], c["mean_least"], c["mean_most"])
        std = np.clip(c["std_slope"] * log_x + c["std_constant"], c["std_least"], c["std_most"])
        return self.drift * mean, self.drift * std

    def read_std(self, programmed_us, seconds: float) -> np.ndarray:
        """Standard deviation of a read, relative to the drifted conductance.

        >>> PCM().read_std([2.5, 25.0], 86400).round(3).tolist()
        [0.2, 0.045]
        """
        c, device = constants("read"), constants("device")
        x = np.maximum(np.asarray(programmed_us) / self.g_max_us, LEAST_X)
        q = np.minimum(c["constant"] / x ** c["power"], c["most"])
        log_time = np.log((elapsed(seconds) + device["read_time_s"]) / (2 * device["read_time_s"]))
        return self.read_noise * q * np.sqrt(log_time)

    def program(self, target_us, rng: np.random.Generator) -> ProgrammedArray:
        """Writes an array of conductances (µS, any shape). Raises ValueError for one that no device has."""
        target_us = np.asarray(target_us, dtype=float)
        if not np.all((target_us >= 0) & (target_us <= self.g_max_us)):
            raise ValueError(f"a device holds 0 to {self.g_max_us:g} µS; scale or clip the conductances first")
        noise = self.programming_std_us(target_us) * rng.standard_normal(target_us.shape)
        mean, std = self.drift_exponent(target_us)
        exponent = np.abs(mean + std * rng.standard_normal(target_us.shape))
        return ProgrammedArray(self, np.maximum(target_us + noise, 0), exponent, rng.standard_normal(target_us.shape))


@dataclass(frozen=True, eq=False)
class ProgrammedArray:
    """Devices as they came out of programming: each has its conductance and its own drift exponent for good.

    `noise` is the standard normal z of the read noise. 1/f noise hardly changes between two reads, so it is drawn once: a later
    read of the same array moves smoothly. `reread` draws it anew.
    """

    pcm: PCM
    programmed_us: np.ndarray
    exponent: np.ndarray
    noise: np.ndarray

    def drifted(self, seconds: float) -> np.ndarray:
        """Conductances without read noise, µS, `seconds` after programming."""
        first = constants("device")["first_read_s"]
        return self.programmed_us * (elapsed(seconds) / first) ** -self.exponent

    def read(self, seconds: float) -> np.ndarray:
        """What a read returns, µS."""
        return np.maximum(self.drifted(seconds) * (1 + self.pcm.read_std(self.programmed_us, seconds) * self.noise), 0)

    def reread(self, rng: np.random.Generator) -> ProgrammedArray:
        """The same devices with other read noise."""
        return ProgrammedArray(self.pcm, self.programmed_us, self.exponent, rng.standard_normal(self.noise.shape))


def elapsed(seconds: float) -> float:
    """Time on the clock of the drift law, which starts `first_read_s` before the end of programming."""
    if not 0 <= seconds < np.inf:
        raise ValueError(f"{seconds} seconds after programming: give a time of 0 or more")
    return seconds + constants("device")["first_read_s"]
