"""Fits what the FPGA equations leave open to published designs: least squares of relative errors, nothing below zero.

``python -m labkit.hardware.fpga_fitting`` refits and rewrites `catalog/fpga_fitted.toml`; with ``--print`` it only shows it.

Latency has one number for each host (what the processor beside the circuit does for an inference) and one for hls4ml, whose
circuits finish a position before they start the next. Everything else about latency follows from folding and shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from labkit.hardware.catalog import line, load, rewrite
from labkit.hardware.fitting import relative_nnls
from labkit.hardware.fpga_designs import Design, designs
from labkit.hardware.intervals import asymmetric_factors

DRAINS = np.arange(0.0, 201.0, 5.0)  # cycles a position of hls4ml, tried one by one
SOURCE = "fpga_designs.csv"


def measured(quantity: str) -> list[Design]:
    """The designs for which a quantity ("latency_ms", "lut", …) was published."""
    return [design for design in designs() if not np.isnan(getattr(design, quantity))]


def host(design: Design) -> str:
    return "fpgaconvnet" if design.flow == "fpgaconvnet" else design.board


@cache
def circuit_us(design: Design) -> np.ndarray:
    """Microseconds of the circuit alone for each of DRAINS, ``(len(DRAINS),)``; the same number for a flow without drain."""
    drains = DRAINS if design.flow == "hls4ml" else DRAINS[:1]
    return np.broadcast_to([design.timing(drain).latency / design.clock_mhz for drain in drains], DRAINS.shape)


def fit_latency(known: Sequence[Design]) -> tuple[dict[str, float], float]:
    """Microseconds of each host, and hls4ml's cycles on top of every position.

    At each drain the best time of a host is a weighted mean of what the circuit leaves unexplained.
    """
    hosts, total = {}, np.zeros(len(DRAINS))
    for name in sorted({host(design) for design in known}):
        group = [design for design in known if host(design) == name]
        target = np.array([[design.latency_ms * 1e3] for design in group])
        rest = target - [circuit_us(design) for design in group]
        hosts[name] = np.maximum((rest / target**2).sum(0) / (1 / target**2).sum(0), 0.0)
        total += (((rest - hosts[name]) / target) ** 2).sum(0)
    best = int(total.argmin())
    return {name: float(values[best]) for name, values in hosts.items()}, float(DRAINS[best])


def predict_latency(known: Sequence[Design], design: Design) -> float:
    """Milliseconds of a design from the others."""
    hosts, drain = fit_latency(known)
    return (float(circuit_us(design)[np.searchsorted(DRAINS, drain)]) + hosts[host(design)]) / 1e3


def mean_power(known: Sequence[Design], board: str) -> float:
    """Milliwatts of a board: they hardly depend on what the FPGA computes."""
    return float(np.mean([design.power_mw for design in known if design.board == board and not np.isnan(design.power_mw)]))


def predict_energy(known: Sequence[Design], design: Design) -> float:
    """Microjoules: power of the board × latency."""
    return predict_latency(known, design) * mean_power(known, design.board)


def fit_luts(known: Sequence[Design]) -> np.ndarray:
    """LUTs of a bit of a sum, a scaling, a stage and the shell, ``(4,)``; a bit product is published."""
    terms, target = np.array([design.lut_terms() for design in known]), np.array([design.lut for design in known])
    fixed = terms[:, :2] @ [1.0, load("fpga")["cost"]["lut_per_bit_product"].value]
    return relative_nnls(terms[:, 2:], target, fixed)


def predict_luts(known: Sequence[Design], design: Design) -> float:
    return float(design.lut_terms() @ [1.0, load("fpga")["cost"]["lut_per_bit_product"].value, *fit_luts(known)])


def fit_blocks(known: Sequence[Design]) -> float:
    """Block RAMs for each that weights and line buffers need on paper, a geometric mean."""
    shell = load("fpga")["cost"]["bram_shell"].value
    ratios = [(design.bram36 - shell * design.shell) / design.memory_blocks() for design in known]
    return float(np.exp(np.mean(np.log(ratios))))


def predict_blocks(known: Sequence[Design], design: Design) -> float:
    return fit_blocks(known) * design.memory_blocks() + load("fpga")["cost"]["bram_shell"].value * design.shell


def same(one: Design, other: Design) -> bool:
    """The same network and folding, perhaps on another board."""
    return (one.network, one.folding) == (other.network, other.folding)


@cache
def held_out(quantity: str) -> tuple[tuple[Design, float], ...]:
    """Every design with its prediction from the designs that are not the same."""
    known = measured(quantity)
    return tuple((one, PREDICT[quantity]([other for other in known if not same(other, one)], one)) for one in known)


def factors(pairs: Sequence[tuple[Design, float]], quantity: str) -> tuple[float, float]:
    """The ends of the 80 % interval around a prediction, from these predictions and their measurements."""
    return asymmetric_factors([getattr(design, quantity) / predicted for design, predicted in pairs])


PREDICT: dict[str, Callable] = {
    "latency_ms": predict_latency,
    "energy_uj": predict_energy,
    "lut": predict_luts,
    "bram36": predict_blocks,
}


def fitted_toml() -> str:
    """The text of `catalog/fpga_fitted.toml`."""
    hosts, drain = fit_latency(measured("latency_ms"))
    per_bit, scaling, per_stage, shell = fit_luts(measured("lut"))
    lines = ["# Written by `python -m labkit.hardware.fpga_fitting` from fpga_designs.csv. Do not edit.", "", "[host_us]"]
    lines += [_line(name, value, "us", "latency beyond the circuit's") for name, value in hosts.items()]
    lines += ["", "[drain]", _line("hls4ml", drain, "cycles a position", "AD08, RN07, RN08")]
    lines += ["", "[power_mw]"]
    for board in ("pynq-z2", "arty-a7-100t"):
        lines.append(_line(board, mean_power(designs(), board), "mW", "mean over its designs, the board through USB", "measured"))
    lines += ["", "[cost]", _line("lut_per_sum_bit", per_bit, "LUT", "Vivado reports of 14 designs")]
    lines.append(_line("lut_per_scaling", scaling, "LUT", "Vivado reports of 14 designs"))
    lines.append(_line("lut_per_stage", per_stage, "LUT", "Vivado reports of 14 designs"))
    lines.append(_line("lut_shell", shell, "LUT", "Vivado reports of 14 designs"))
    lines.append(_line("bram_factor", fit_blocks(measured("bram36")), "x", "Vivado reports of 13 designs"))
    lines += ["", "[interval]"]
    for quantity in PREDICT:
        for end, value in zip(("low", "high"), factors(held_out(quantity), quantity), strict=True):
            lines.append(_line(f"{quantity.split('_')[0]}_{end}", value, "x", "held-out designs"))
    return "\n".join(lines) + "\n"


def _line(name: str, value: float, unit: str, source: str, kind: str = "fitted") -> str:
    return line(name, value, unit, f"{SOURCE}: {source}", kind)


if __name__ == "__main__":
    rewrite("fpga_fitted", fitted_toml())
