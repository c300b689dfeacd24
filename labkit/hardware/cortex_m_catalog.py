"""The records behind the Cortex-M model: boards, software stacks, coefficients fitted to measurements, widths of intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from labkit.hardware.catalog import Quantity, load, record


@dataclass(frozen=True)
class Board:
    title: str
    core: str
    regulator: str  # "ldo": the current is the same at every supply voltage; "smps": the power is
    default_stack: str
    clock_mhz: Quantity
    flash_bytes: Quantity
    ram_bytes: Quantity
    supply_v: Quantity
    current_ma: Quantity | None = None  # where nobody measured the board
    power_mw: Quantity | None = None
    same_chip_as: str = ""  # a board whose measured cycles hold here too


@dataclass(frozen=True)
class Stack:
    title: str
    author: str  # who wrote it; others may have measured it again
    folds_dead_channels: Quantity
    runtime_flash_bytes: Quantity
    layer_flash_bytes: Quantity
    runtime_ram_bytes: Quantity


@dataclass(frozen=True)
class Fit:
    """The coefficients of one board and stack, and its mean current (LDO) or power (SMPS) where measured."""

    board: str
    stack: str
    c_conv: Quantity
    c_fc: Quantity
    c_out: Quantity
    current_ma: Quantity | None = None
    power_mw: Quantity | None = None

    @property
    def cycles(self) -> np.ndarray:
        return np.array([self.c_conv.value, self.c_fc.value, self.c_out.value])


@dataclass(frozen=True)
class Spread:
    """A prediction is right within these factors eight times out of ten: what held-out measurements of the core say."""

    core: str
    latency: Quantity  # a board and stack that were measured
    energy: Quantity
    one_latency: Quantity  # one network was measured
    one_energy: Quantity
    board: Quantity  # the stack was measured on other boards


@cache
def boards() -> dict[str, Board]:
    return {name: record(Board, data, f"cortex_m.toml boards.{name}") for name, data in load("cortex_m")["boards"].items()}


@cache
def stacks() -> dict[str, Stack]:
    return {name: record(Stack, data, f"cortex_m.toml stacks.{name}") for name, data in load("cortex_m")["stacks"].items()}


@cache
def fits() -> dict[tuple[str, str], Fit]:
    entries = [record(Fit, data, "cortex_m_fitted.toml fits") for data in load("cortex_m_fitted")["fits"]]
    return {(fit.board, fit.stack): fit for fit in entries}


@cache
def spreads() -> dict[str, Spread]:
    return {data["core"]: record(Spread, data, "cortex_m_fitted.toml spreads") for data in load("cortex_m_fitted")["spreads"]}
