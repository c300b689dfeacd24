"""Devices that price a workload. `device(name)` makes one, `devices()` lists them."""

from __future__ import annotations

from labkit.hardware import cortex_m
from labkit.hardware.device import Device
from labkit.hardware.estimate import Estimate, Interval, LayerCost
from labkit.hardware.max78000 import MAX78000
from labkit.hardware.mpic import MPIC
from labkit.naming import did_you_mean

__all__ = ["Device", "Estimate", "Interval", "LayerCost", "device", "devices"]

CHIPS = {cls.name: cls for cls in (MAX78000, MPIC)}  # one chip, one compiler: nothing to choose


def devices() -> tuple[str, ...]:
    """The names that `device` knows."""
    return (*cortex_m.boards(), *CHIPS)


def device(name: str, **options) -> Device:
    """The device called `name`. Cortex-M boards take ``stack=`` (the software) and ``supply_v=``.

    >>> device("nucleo-l4r5zi", stack="tflm").stack_name
    'tflm'
    """
    if name in cortex_m.boards():
        return cortex_m.CortexM(name, **options)
    if name in CHIPS:
        if options:
            raise ValueError(f"{name} has one compiler and one supply; leave out {', '.join(options)}")
        return CHIPS[name]()
    raise ValueError(f"no device {name!r}; {did_you_mean(name, devices())}")
