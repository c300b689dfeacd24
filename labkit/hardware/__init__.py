"""Devices that price a workload. `device(name)` makes one, `devices()` lists them."""

from __future__ import annotations

import inspect

from labkit.hardware import analog_memory, cortex_m, diana, fpga, gap, max78000, mpic, ultratrail
from labkit.hardware.device import Device
from labkit.hardware.estimate import Estimate, Interval, LayerCost
from labkit.naming import did_you_mean

__all__ = ["Device", "Estimate", "Interval", "LayerCost", "device", "devices"]

# Each family says what its devices are called and what makes one.
FAMILIES = (cortex_m, max78000, mpic, gap, diana, ultratrail, fpga, analog_memory)
DEVICES = {name: make for family in FAMILIES for name, make in family.DEVICES.items()}


def devices() -> tuple[str, ...]:
    """The names that `device` knows."""
    return tuple(DEVICES)


def device(name: str, **options) -> Device:
    """The device called `name`. Cortex-M boards take ``stack=`` (the software) and ``supply_v=``; most others have no options.

    >>> device("nucleo-l4r5zi", stack="tflm").stack_name
    'tflm'
    """
    if name not in DEVICES:
        raise ValueError(f"no device {name!r}; {did_you_mean(name, DEVICES)}")
    known = inspect.signature(DEVICES[name]).parameters
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known) if known else "it takes none"
            raise ValueError(f"{name} has no option {option!r}; {hint}")
    return DEVICES[name](**options)
