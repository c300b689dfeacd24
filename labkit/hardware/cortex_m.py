"""Cortex-M microcontrollers: three coefficients for the cycles, one current for the energy.

    cycles = c_conv · MACs of convolutions + c_fc · MACs of linear layers + c_out · output elements
    energy = supply voltage · current · time

A dense layer costs more per MAC than a convolution because each weight is read from flash for one product only. The output term
carries requantization and stores; it is why a depthwise network is slower than its MACs say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from labkit.hardware.catalog import Quantity, load, record
from labkit.hardware.device import Device, Prices, within
from labkit.hardware.layer_table import LayerTable
from labkit.naming import did_you_mean
from labkit.workload import FRONT_END, OPS, PLAIN, WEIGHTED

POOLS = ("avgpool", "maxpool")


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
    """Ends of the 80 % interval as factors on the most likely value: quantiles of measured / predicted on held-out measurements."""

    core: str
    latency_low: Quantity
    latency_high: Quantity
    energy_low: Quantity
    energy_high: Quantity
    board_low: Quantity
    board_high: Quantity


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


def features(table: LayerTable, folds_dead_channels: bool) -> np.ndarray:
    """What the three coefficients multiply: MACs of convolutions, MACs of linear layers, output elements; ``(layers, 3)``.

    A channel of 0 bits is pruned: it is not compiled, whatever the stack.
    """
    macs = table["live_macs"] if folds_dead_channels else table["macs"] * table["kept"]
    outputs = table["live_out_elements"] if folds_dead_channels else table["out_elements"] * table["kept"]
    return np.column_stack(
        [macs * table.op_is("conv", "depthwise"), macs * table.op_is("linear"), outputs * table.op_is(*WEIGHTED)]
    )


def elementwise_cycles(table: LayerTable, core: str) -> np.ndarray:
    """Cycles of pooling, additions and the like, ``(layers,)``: assumed, and small beside the weighted layers."""
    costs = np.array([load("cortex_m")["elementwise"][op].value if op in PLAIN else 0.0 for op in OPS])[table["op"].astype(int)]
    elements = np.where(table.op_is(*POOLS), table["in_elements"], table["out_elements"])
    return costs * elements * load("cortex_m")["cores"][core]["elementwise_scale"].value


def front_end_cycles(table: LayerTable, core: str) -> np.ndarray:
    """Cycles of the feature front end in float32, ``(layers,)``: assumed."""
    costs = load("cortex_m")["front_end"]
    linear = costs["cycles_per_mac"].value * table["macs"] * table.op_is(*FRONT_END)
    logs = costs["cycles_per_log"].value * table["out_elements"] * table.op_is("log")
    return (linear + logs) * load("cortex_m")["cores"][core]["front_end_scale"].value


class CortexM(Device):
    """One board with one software stack. `supply_v` overrides the board's usual supply (it matters behind a linear regulator).

    >>> from labkit.hardware.reference import reference
    >>> board = CortexM("nucleo-l4r5zi")
    >>> round(board.estimate(reference("kws")).latency_ms.mid)  # MLPerf Tiny v1.2 measured 43
    46
    """

    def __init__(self, name: str, stack: str | None = None, supply_v: float | None = None):
        if name not in boards():
            raise ValueError(f"no Cortex-M board {name!r}; {did_you_mean(name, boards())}")
        self.name, self.board = name, boards()[name]
        self.core, self.title = self.board.core, self.board.title
        self.family = f"Cortex-{self.core}"
        self.stack_name = stack or self.board.default_stack
        if self.stack_name not in self.stacks():
            raise ValueError(f"no stack {stack!r} known for a {self.family}; {did_you_mean(stack, self.stacks())}")
        self.stack = stacks()[self.stack_name]
        self.clock_mhz = float(self.board.clock_mhz.value)
        self.capacity = {memory: int(getattr(self.board, memory).value) for memory in ("flash_bytes", "ram_bytes")}
        self.supply_v = self.board.supply_v.value if supply_v is None else float(supply_v)
        if self.supply_v <= 0:
            raise ValueError(f"a supply of {supply_v} V runs nothing; give volts above 0")
        self._find_coefficients()
        self._find_power()

    def stacks(self) -> tuple[str, ...]:
        """The stacks that some board with this core was measured with, or that the catalog makes a guess about."""
        measured = [stack for board, stack in fits() if boards()[board].core == self.core]
        guessed = [guess["stack"] for guess in load("cortex_m")["guesses"] if guess["core"] == self.core]
        return tuple(dict.fromkeys(measured + guessed))

    def _find_coefficients(self) -> None:
        """This board's own fit, else the mean over boards with this core and stack, else a guess."""
        fit = fits().get((self.name, self.stack_name)) or fits().get((self.board.same_chip_as, self.stack_name))
        peers = [f for f in fits().values() if f.stack == self.stack_name and boards()[f.board].core == self.core]
        spread = spreads()[self.core]
        if fit:
            self.coefficients = fit.cycles
            self.factors = np.array([spread.latency_low.value, 1.0, spread.latency_high.value])
            self.interval_from = (
                f"80 % of the errors on held-out measurements of {self.family} systems fall inside (labkit validate)"
            )
            self.coefficients_from = f"three coefficients fitted to measurements of {fit.board} ({fit.c_conv.source})"
        elif peers:
            self.coefficients = np.mean([peer.cycles for peer in peers], axis=0)
            self.factors = np.array([spread.board_low.value, 1.0, spread.board_high.value])
            self.interval_from = "as wide as the largest errors of boards predicted from other boards (labkit validate)"
            names = ", ".join(peer.board for peer in peers)
            self.coefficients_from = (
                f"nobody measured {self.stack_name} on this board; cycles are those of {names}, same core and stack"
            )
        else:
            guess = next(g for g in load("cortex_m")["guesses"] if (g["core"], g["stack"]) == (self.core, self.stack_name))
            self.coefficients = np.array([guess[c].value for c in ("c_conv", "c_fc", "c_out")])
            factor = guess["uncertainty_factor"].value
            self.factors = within(factor)
            self.interval_from = f"assumed, a factor of {factor:g}"
            self.coefficients_from = f"assumed coefficients ({guess['c_conv'].source})"

    def _find_power(self) -> None:
        """Milliwatts while computing: measured with this stack, else the mean of other stacks on this board, else assumed."""
        own = [f for f in fits().values() if f.board == self.name and (f.current_ma or f.power_mw)]
        source = [f for f in own if f.stack == self.stack_name] or own
        spread = spreads()[self.core]
        if source:
            ldo = self.board.regulator == "ldo"
            values = [(f.current_ma if ldo else f.power_mw).value for f in source]
            amount = float(np.mean(values))
            low = spread.energy_low.value / spread.latency_low.value  # what energy adds to the uncertainty of latency
            high = spread.energy_high.value / spread.latency_high.value
            self.power_factors = np.array([min(low, 1.0), 1.0, max(high, 1.0)])
            kind = "measured" + ("" if source[0].stack == self.stack_name else " with other stacks")
        else:
            guess = self.board.current_ma or self.board.power_mw
            amount = guess.value
            ldo = self.board.current_ma is not None
            factor = load("cortex_m")["power"]["unmeasured_factor"].value
            self.power_factors = within(factor)
            kind = f"{guess.kind} ({guess.source})"
        self.power_mw = amount * self.supply_v if ldo else amount
        if ldo:
            self.power_from = (
                f"{self.supply_v:g} V × {amount:.3g} mA {kind} × time; the linear regulator makes the current the constant"
            )
        else:
            self.power_from = f"{amount:.3g} mW {kind} × time; the switching regulator makes the power the constant"

    def price(self, table: LayerTable) -> Prices:
        cycles = self._cycles(table)
        latency_ms = cycles / (self.clock_mhz * 1e3)
        energy_uj = latency_ms * self.power_mw * self.power_factors
        weighted = table.op_is(*WEIGHTED)
        flash = table.total(table["weight_bytes"]) + self.stack.runtime_flash_bytes.value
        flash = flash + table.total(weighted * self.stack.layer_flash_bytes.value)
        scratch = table.largest(table["dot_length"] * (table["sub_byte"] > 0))  # one filter, unpacked to int8
        ram = table.peak_activation_bytes + scratch + self.stack.runtime_ram_bytes.value
        return Prices(latency_ms, energy_uj, {"flash_bytes": flash, "ram_bytes": ram})

    def _cycles(self, table: LayerTable) -> np.ndarray:
        """Low, mid and high cycles of each layer, ``(layers, 3)``."""
        network = features(table, self.stack.folds_dead_channels.value) @ self.coefficients
        cycles = network[:, None] * self._network_factors(table)
        constants = load("cortex_m")
        cycles += _guessed(elementwise_cycles(table, self.core), constants["elementwise"])
        cycles += _guessed(front_end_cycles(table, self.core), constants["front_end"])
        packed = table["weights"] * table["sub_byte"] * constants["cores"][self.core]["elementwise_scale"].value
        cycles += _guessed(packed * constants["sub_byte"]["cycles_per_weight"].value, constants["sub_byte"])
        return cycles

    def _network_factors(self, table: LayerTable) -> np.ndarray:
        """Interval ends of weighted layers; a layer wider than 8 bits runs as float32 on the floating-point unit."""
        factors = np.tile(self.factors, (len(table.layers), 1))
        wide = self._wide(table)
        if wide.any():
            core = load("cortex_m")["cores"][self.core]
            if "float_factor" not in core:
                raise ValueError(f"{self.name} has no floating-point unit; quantize the network to 8 bits (Workload.with_bits(8))")
            spread = load("cortex_m")["float"]["uncertainty_factor"].value
            factors[wide] *= core["float_factor"].value * within(spread)
        return factors

    def _wide(self, table: LayerTable) -> np.ndarray:
        return table.op_is(*WEIGHTED) & ((table["weight_bits"] > 8) | (table["activation_bits"] > 8))

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        guesses = {
            "the front end": table.op_is(*FRONT_END).any(),
            "pooling, additions and other plain layers": table.op_is(*PLAIN).any(),
            "unpacking weights under 8 bits": table["sub_byte"].any(),
        }
        sentences = [
            f"Latency: {self.coefficients_from}, {self.stack.title}, {self.clock_mhz:g} MHz.",
            f"Interval: {self.interval_from}.",
            f"Energy: {self.power_from}.",
            f"Memory: weights, biases and peak activations are counted; {self.stack.runtime_flash_bytes.value:,} bytes of runtime "
            f"flash, {self.stack.layer_flash_bytes.value:g} a layer and {self.stack.runtime_ram_bytes.value:,} of RAM are assumed.",
        ]
        if self.stack.folds_dead_channels.value:
            sentences.append("This stack folds channels whose weights are all zero: only live MACs are paid.")
        if any(guesses.values()):
            sentences.append(f"Assumed cycles (no published table): {', '.join(name for name, used in guesses.items() if used)}.")
        if (table["activation_bits"] < 8).any():
            sentences.append("Activations under 8 bits are counted as packed; no stack here packs them by itself.")
        if self._wide(table).any():
            sentences.append(
                "Layers wider than 8 bits run as float32: the int8 cycles times a measured ratio (HALE, MLPerf Tiny v1.2)."
            )
        return tuple(sentences)


def _guessed(cycles: np.ndarray, costs: dict) -> np.ndarray:
    return cycles[:, None] * within(costs["uncertainty_factor"].value)


DEVICES = {name: partial(CortexM, name) for name in boards()}
