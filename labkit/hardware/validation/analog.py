"""Analog memory: no measurement of ours or of others is at hand, so the sampler is held to the closed form of its equations.

That the equations are those of aihwkit's fitted model is tested against aihwkit itself (`tests/hardware/test_pcm.py`). What nobody
can promise from here is how a chip behaves; a paper's figure stands beside ours in lab 11.
"""

from __future__ import annotations

import numpy as np

from labkit.hardware.pcm import PCM
from labkit.hardware.pcm_moments import read_moments
from labkit.hardware.validation.row import Case, Row, summarise

TARGETS_US = (0.0, 0.5, 2.0, 6.0, 12.5, 25.0)
TIMES_S = {"25 s": 25.0, "1 h": 3600.0, "24 h": 86_400.0, "1 month": 2_592_000.0}
DEVICES = 40_000  # sampled for each conductance; their error is at most 1 %, because a weak device spreads as wide as its mean


def rows() -> list[Row]:
    means, spreads = read_cases()
    protocol = f"closed form, {DEVICES:,} sampled devices"
    return [
        summarise("analog PCM", "conductance", protocol, means, at_most=1.0),
        summarise("analog PCM", "spread", protocol, spreads, at_most=1.0),
    ]


def read_cases() -> tuple[list[Case], list[Case]]:
    """Mean and standard deviation of what a read returns, µS: sampled against closed form, fresh devices for each time."""
    pcm, rng = PCM(), np.random.default_rng(0)
    means, spreads = [], []
    for target in TARGETS_US:
        for name, seconds in TIMES_S.items():
            read = pcm.program(np.full(DEVICES, target), rng).read(seconds)
            mean, spread = (float(moment) for moment in read_moments(pcm, np.array(target), seconds))
            means.append(Case(f"{target:g} µS after {name}", mean, float(read.mean())))
            spreads.append(Case(f"{target:g} µS after {name}", spread, float(read.std())))
    return means, spreads
