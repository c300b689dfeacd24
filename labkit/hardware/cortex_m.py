"""Cortex-M microcontrollers: three coefficients for the cycles, one current for the energy.

    cycles = c_conv · MACs of convolutions + c_fc · MACs of linear layers + c_out · output elements
    energy = supply voltage · current · time

A dense layer costs more per MAC than a convolution because each weight is read from flash for one product only. The output term
carries requantization and stores; it is why a depthwise network is slower than its MACs say.
"""

from __future__ import annotations

import copy
from functools import partial

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.cortex_m_catalog import boards, fits, spreads, stacks
from labkit.hardware.device import Device, Prices, within
from labkit.hardware.layer_table import LayerTable
from labkit.naming import did_you_mean
from labkit.workload import FRONT_END, OPS, PLAIN, WEIGHTED, Workload

POOLS = ("avgpool", "maxpool")


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


def plain_cycles(table: LayerTable, core: str = "M4") -> np.ndarray:
    """Low, mid and high cycles of what has no weights, ``(layers, 3)``; other families have such a core beside their arrays."""
    costs = load("cortex_m")
    plain = elementwise_cycles(table, core)[:, None] * within(costs["elementwise"]["uncertainty_factor"].value)
    return plain + front_end_cycles(table, core)[:, None] * within(costs["front_end"]["uncertainty_factor"].value)


class CortexM(Device):
    """One board with one software stack. `supply_v` overrides the board's usual supply (it matters behind a linear regulator).

    >>> from labkit.hardware.reference import reference
    >>> board = CortexM("nucleo-l4r5zi")
    >>> round(board.estimate(reference("kws")).latency_ms.mid)  # MLPerf Tiny v1.2 measured 43
    47
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
        if not 0 < self.supply_v < float("inf"):
            raise ValueError(f"a supply of {supply_v} V runs nothing; give volts above 0")
        self._find_coefficients()
        self._find_power()

    def stacks(self) -> tuple[str, ...]:
        """The stacks that some board with this core was measured with, or that the catalog makes a guess about."""
        measured = [stack for board, stack in fits() if boards()[board].core == self.core]
        guessed = [guess["stack"] for guess in load("cortex_m")["guesses"] if guess["core"] == self.core]
        return tuple(dict.fromkeys(measured + guessed))

    def _find_coefficients(self) -> None:
        """This board's own fit, else the geometric mean over boards with this core and stack, else a guess."""
        fit = fits().get((self.name, self.stack_name)) or fits().get((self.board.same_chip_as, self.stack_name))
        peers = [f for f in fits().values() if f.stack == self.stack_name and boards()[f.board].core == self.core]
        self.time_scale = 1.0
        if fit:
            self.coefficients = fit.cycles
            self.factor = spreads()[self.core].latency.value
            self.interval_from = (
                f"eight of ten held-out measurements of {self.family} systems lie within a factor of {self.factor:.2f}"
            )
            self.coefficients_from = (
                f"three coefficients fitted to measurements of {fit.board} ({fit.c_conv.source}), "
                "drawn towards what other software needs"
            )
        elif peers:
            self.coefficients = np.exp(np.mean([np.log(peer.cycles) for peer in peers], axis=0))
            self.factor = spreads()[self.core].board.value
            self.interval_from = f"eight of ten measurements of held-out boards lie within a factor of {self.factor:.2f}"
            names = ", ".join(peer.board for peer in peers)
            self.coefficients_from = (
                f"nobody measured {self.stack_name} on this board; cycles are those of {names}, same core and stack"
            )
        else:
            guess = next(g for g in load("cortex_m")["guesses"] if (g["core"], g["stack"]) == (self.core, self.stack_name))
            self.coefficients = np.array([guess[c].value for c in ("c_conv", "c_fc", "c_out")])
            self.factor = guess["uncertainty_factor"].value
            self.interval_from = f"assumed, a factor of {self.factor:g}"
            self.coefficients_from = f"assumed coefficients ({guess['c_conv'].source})"

    def _find_power(self) -> None:
        """Milliwatts while computing: measured with this stack, else the mean of other stacks on this board, else assumed."""
        own = [f for f in fits().values() if f.board == self.name and (f.current_ma or f.power_mw)]
        source = [f for f in own if f.stack == self.stack_name] or own
        if source:
            ldo = self.board.regulator == "ldo"
            amount = float(np.mean([(f.current_ma if ldo else f.power_mw).value for f in source]))
            spread = spreads()[self.core]
            self.power_factor = spread.energy.value / spread.latency.value  # what energy adds to the uncertainty of latency
            kind = "measured" + ("" if source[0].stack == self.stack_name else " with other stacks")
        else:
            guess = self.board.current_ma or self.board.power_mw
            amount = guess.value
            ldo = self.board.current_ma is not None
            self.power_factor = load("cortex_m")["power"]["unmeasured_factor"].value
            kind = f"{guess.kind} ({guess.source})"
        self.power_mw = amount * self.supply_v if ldo else amount
        if ldo:
            self.power_from = (
                f"{self.supply_v:g} V × {amount:.3g} mA {kind} × time; the linear regulator makes the current the constant"
            )
        else:
            self.power_from = f"{amount:.3g} mW {kind} × time; the switching regulator makes the power the constant"

    def calibrated(self, workload: Workload, latency_ms: float, energy_uj: float | None = None) -> CortexM:
        """This board as you measured it: times scaled so that `workload` takes `latency_ms`, power so that it takes `energy_uj`.

        One measurement tells the speed of a board, its compiler and its clock; how a dense layer compares with a convolution
        stays as it was. The 80 % interval becomes that of networks predicted from one other (``labkit validate``), where that is
        narrower. Raises ValueError for a measurement that is not above 0.

        >>> from labkit.hardware.reference import reference
        >>> mine = CortexM("arduino-nano-33-ble").calibrated(reference("kws"), latency_ms=350)
        >>> round(mine.estimate(reference("kws")).latency_ms.mid)
        350
        """
        for amount, unit in ((latency_ms, "ms"), (energy_uj, "µJ")):
            if amount is not None and not 0 < amount < float("inf"):
                raise ValueError(f"a measurement of {amount} {unit} is none; give what one inference takes, above 0")
        mine, spread = copy.copy(self), spreads()[self.core]
        ratio = latency_ms / self.estimate(workload).latency_ms.mid
        mine.time_scale = self.time_scale * ratio
        mine.factor = min(self.factor, spread.one_latency.value)
        mine.coefficients_from = (
            f"{self.coefficients_from}; times {ratio:.3g}, so that {workload.name} takes the {latency_ms:g} ms measured"
        )
        if mine.factor < self.factor:
            mine.interval_from = (
                f"eight of ten networks predicted from one measured network lie within a factor of {mine.factor:.2f}"
            )
        if energy_uj is not None:
            mine.power_mw = energy_uj / latency_ms
            mine.power_factor = min(self.power_factor, spread.one_energy.value / spread.one_latency.value)
            mine.power_from = f"{mine.power_mw:.3g} mW, from the {energy_uj:g} µJ measured for {workload.name}, × time"
        return mine

    def price(self, table: LayerTable) -> Prices:
        cycles = self._cycles(table)
        latency_ms = cycles / (self.clock_mhz * 1e3)
        energy_uj = latency_ms * self.power_mw * within(self.power_factor)
        weighted = table.op_is(*WEIGHTED)
        flash = table.total(table["weight_bytes"]) + self.stack.runtime_flash_bytes.value
        flash = flash + table.total(weighted * self.stack.layer_flash_bytes.value)
        scratch = table.largest(table["dot_length"] * (table["sub_byte"] > 0))  # one filter, unpacked to int8
        ram = table.peak_activation_bytes + scratch + self.stack.runtime_ram_bytes.value
        return Prices(latency_ms, energy_uj, {"flash_bytes": flash, "ram_bytes": ram})

    def _cycles(self, table: LayerTable) -> np.ndarray:
        """Low, mid and high cycles of each layer, ``(layers, 3)``."""
        network = features(table, self.stack.folds_dead_channels.value) @ self.coefficients
        unpacking, core = load("cortex_m")["sub_byte"], load("cortex_m")["cores"][self.core]
        packed = table["weights"] * table["sub_byte"] * unpacking["cycles_per_weight"].value * core["elementwise_scale"].value
        cycles = network[:, None] * self._network_factors(table) + plain_cycles(table, self.core)
        cycles += packed[:, None] * within(unpacking["uncertainty_factor"].value)
        return cycles * self.time_scale

    def _network_factors(self, table: LayerTable) -> np.ndarray:
        """Interval ends of weighted layers; a layer wider than 8 bits runs as float32 on the floating-point unit."""
        factors = np.tile(within(self.factor), (len(table.layers), 1))
        wide = self._wide(table)
        if wide.any():
            core = load("cortex_m")["cores"][self.core]
            if "float_factor" not in core:
                self.refuse(table, wide, "no floating-point unit; quantize the network to 8 bits (Workload.with_bits(8))")
            spread = load("cortex_m")["float"]["uncertainty_factor"].value
            factors[wide] *= core["float_factor"].value * within(spread)
        return factors

    def _wide(self, table: LayerTable) -> np.ndarray:
        return table.wider_than(8)

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


DEVICES = {name: partial(CortexM, name) for name in boards()}
