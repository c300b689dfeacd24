"""The MAX78000: a convolution engine beside a Cortex-M4. Cycles in closed form, energy between published anchors.

What the engine cannot do (front end, softmax, curves) runs on the Cortex-M4. Weights are loaded once after power-up and priced
apart, by `MAX78000.weight_loading`.
"""

from __future__ import annotations

import numpy as np

from labkit.hardware.catalog import load
from labkit.hardware.cortex_m import plain_cycles
from labkit.hardware.device import Device, Prices, within
from labkit.hardware.estimate import Interval
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.max78000_cycles import layer_cycles
from labkit.hardware.max78000_mapping import COLUMNS, LIMITS, Mapped, map_workload
from labkit.workload import FRONT_END, Workload

ON_CORE = (*FRONT_END, "softmax", "activation", "norm", "mul")


class MAX78000(Device):
    """The accelerator with its weights already loaded; `weight_loading` prices the loading, paid once after power-up.

    >>> from labkit.hardware.reference import reference
    >>> MAX78000().estimate(reference("kws")).fits
    True
    """

    name, family, title = "max78000", "MAX78000", "Analog Devices MAX78000"
    reads_neighbours = True

    def __init__(self):
        constants = load("max78000")
        memory = {name: quantity.value for name, quantity in constants["memory"].items()}
        self.capacity = {"flash_bytes": memory["weight_bytes"], "ram_bytes": memory["data_bytes"]}
        self.capacity |= {name: memory[name] for name in ("bias_bytes", "layers", "streaming_layers")}
        self.power_mw = Interval(*(constants["power"][f"{end}_mw"].value for end in ("low", "mid", "high")))

    def price(self, table: LayerTable) -> Prices:
        constants = load("max78000")
        self.refuse_wider(table, 8, "it computes in 8 bits or fewer")
        wide = ~table.op_is(*ON_CORE) & (table.input_bits > 8)
        self.refuse(table, wide, "its data memory holds 8 bits a number; quantize what this layer reads")
        maps = [mapped for workload in table.workloads for mapped in map_workload(workload)]
        self._refuse_sizes(table, maps)
        on_engine = np.array([mapped is not None for mapped in maps], dtype=bool)
        engine = [mapped for mapped in maps if mapped is not None]
        cycles = np.zeros((len(maps), 3))
        cycles[on_engine] = _engine_cycles(engine)
        cycles[table.starts] += 1  # the cycle that starts the network
        engine_ms = cycles / (constants["clock"]["cnn_mhz"].value * 1e3)
        core_ms = plain_cycles(table) * table.op_is(*ON_CORE)[:, None] / (constants["clock"]["core_mhz"].value * 1e3)
        core_mw = constants["power"]["core_mw"].value * within(constants["power"]["core_factor"].value)
        power = np.array([self.power_mw.low, self.power_mw.mid, self.power_mw.high])
        each = lambda value: table.total(np.array([value(mapped) if mapped else 0 for mapped in maps]))  # noqa: E731
        needs = {
            "flash_bytes": each(lambda mapped: mapped.weight_bytes),
            "bias_bytes": each(lambda mapped: mapped.bias_bytes),
            "ram_bytes": table.peak_activation_bytes,
            "layers": each(lambda mapped: 1),
            "streaming_layers": each(lambda mapped: mapped.streams),
        }
        return Prices(engine_ms + core_ms, engine_ms * power + core_ms * core_mw, needs)

    def _refuse_sizes(self, table: LayerTable, maps: list[Mapped | None]) -> None:
        """What no arrangement of the engine's own layers can do."""
        long = np.array([mapped is not None and mapped.side > LIMITS["side"] for mapped in maps], dtype=bool)
        most = f"the engine takes {LIMITS['side']:,} rows or columns at most"
        self.refuse(table, long, f"{most}; cut the input, or fold it into channels")
        wide = np.array([mapped is not None and mapped.flattened > LIMITS["flatten"] for mapped in maps], dtype=bool)
        self.refuse(table, wide, f"it flattens a map of more than {LIMITS['flatten']} positions; pool the map first")

    def weight_loading(self, workload: Workload) -> tuple[Interval, Interval]:
        """Milliseconds and microjoules to write the weights into the engine after power-up: assumed."""
        constants = load("max78000")
        words = sum(m.weight_bytes + m.bias_bytes for m in map_workload(workload) if m) / 4
        ms = words * constants["weight_loading"]["cycles_per_word"].value / (constants["clock"]["core_mhz"].value * 1e3)
        time = Interval.within(ms, constants["weight_loading"]["uncertainty_factor"].value)
        return time, time * Interval.within(constants["power"]["core_mw"].value, constants["power"]["core_factor"].value)

    def provenance(self, table: LayerTable) -> tuple[str, ...]:
        maps = [m for workload in table.workloads for m in map_workload(workload) if m]
        constants = load("max78000")
        cnn, core = (f"{constants['clock'][name].value} MHz" for name in ("cnn_mhz", "core_mhz"))
        sentences = [
            "Latency: the engine's closed-form cycles (exact on the vendor's test vectors; four networks on silicon took 0.3 to "
            f"2.1 % longer) at {cnn}, with weights and input already loaded.",
            f"Energy: time × {self.power_mw.mid:.0f} mW (a published survey), between {self.power_mw.low:.0f} mW (TinyissimoYOLO) "
            f"and {self.power_mw.high:.0f} mW (a keyword-spotting paper whose run time is assumed).",
            "Flash is the engine's weight memory, RAM its data memory; biases, layers and streaming layers have their own limits.",
        ]
        if not all(m.native for m in maps):
            sentences.append(
                "Estimated: strides, depthwise layers, large kernels and wide margins are built from native layers; weight memory "
                "counts the zeros."
            )
        if any(len(layer.in_shape) == 2 for w in table.workloads for layer in w.layers if layer.op in ("conv", "depthwise")):
            sentences.append(
                "Estimated: 1-D layers use the 2-D equation with one column; the one 1-D network on silicon took 2 % longer."
            )
        if any(m.streams for m in maps):
            sentences.append(
                f"Estimated: an input larger than a channel's memory streams, {constants['streaming']['mid'].value:g} times slower "
                "(two networks on silicon); the processor feeds it in as the engine runs."
            )
        if table.op_is(*ON_CORE).any():
            sentences.append(f"Assumed: front end, softmax and curves run on the Cortex-M4 at {core}.")
        if table.op_is("concat").any():
            sentences.append("Assumed: concatenation is free; layers write their channels side by side into data memory.")
        return tuple(sentences)


def _engine_cycles(maps: list[Mapped]) -> np.ndarray:
    """Low, mid and high cycles of mapped layers, ``(layers, 3)``."""
    if not maps:
        return np.zeros((0, 3))
    columns = np.array([mapped.columns for mapped in maps]).T
    cycles = layer_cycles(**dict(zip(COLUMNS, columns, strict=True))).astype(float)
    constants = load("max78000")
    native, built = constants["uncertainty"]["native"].value, constants["uncertainty"]["decomposed"].value
    is_native = np.array([mapped.native for mapped in maps])[:, None]
    factors = np.where(is_native, [[1.0, 1.0, native]], [[1 / built, 1.0, built]])
    streams = np.array([mapped.streams for mapped in maps])[:, None]
    streaming = [constants["streaming"][end].value for end in ("low", "mid", "high")]
    return cycles[:, None] * factors * np.where(streams, [streaming], [[1.0, 1.0, 1.0]])


DEVICES = {MAX78000.name: MAX78000}
