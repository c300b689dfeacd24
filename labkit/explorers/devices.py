"""One network on all kinds of hardware: what an inference takes on each, and who cannot run it at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

import labkit
from labkit.course.style import GHOST, RIGHT, WRONG
from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting
from labkit.explorers.picture import Picture
from labkit.explorers.units import lacks, quantity, what
from labkit.hardware.reference import reference
from labkit.workload import Workload

DEVICES = {  # one of each kind, from the plainest to the strangest
    "raspberry-pi-pico": "Cortex-M0+ (Pico)",
    "nucleo-l4r5zi": "Cortex-M4",
    "nucleo-h7a3zi": "Cortex-M7",
    "mpic": "MPIC",
    "gap9": "GAP9",
    "max78000": "MAX78000",
    "ultratrail": "UltraTrail",
    "pynq-z2": "FPGA board",
    "pcm-cim": "analog memory",
}
TC_RESNET, DS_CNN, MOTION = "keywords (TC-ResNet8)", "keywords (DS-CNN)", "motion (1-D CNN)"
NETWORKS = {
    TC_RESNET: families.tc_resnet8,
    DS_CNN: lambda width: families.ds_cnn(round(64 * width)),
    MOTION: lambda width: families.har_cnn(round(16 * width)),
    "images (ResNet-8)": lambda width: reference("ic"),
    "machine sounds (autoencoder)": lambda width: reference("ad"),
}
FIXED = ("images (ResNet-8)", "machine sounds (autoencoder)")  # as MLPerf Tiny measures them: no other widths


@cache
def device(name: str) -> labkit.Device:
    return labkit.device(name)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A network, its estimate on each device that runs it, and what the others say."""

    workload: Workload
    estimates: dict[str, labkit.Estimate]
    refusals: dict[str, str]

    @property
    def fitting(self) -> list[str]:
        return [name for name, estimate in self.estimates.items() if estimate.fits]

    def verdict(self, name: str) -> str:
        if name in self.refusals:
            return "cannot run it"
        return "fits" if name in self.fitting else f"lacks {lacks(self.estimates[name].missing)}"


class DeviceExplorer(Explorer):
    """Latency and energy of one inference on nine kinds of hardware, as 80 % intervals on logarithmic scales.

    >>> explorer = DeviceExplorer()
    >>> explorer.result.workload.macs
    1522560
    """

    network = Setting(TC_RESNET, "network", NETWORKS, control="menu")
    width = Setting(1.0, "width", lambda e: (1.0,) if e.network in FIXED else (0.25, 0.5, 1.0, 2.0, 4.0), show="{:g} ×".format)
    bits = Setting(8, "bits", (8, 4, 2))

    def follow(self, name: str) -> None:
        if name == "network" and self.network in FIXED:
            self.width = 1.0

    def compute(self) -> Comparison:
        workload = NETWORKS[self.network](self.width).with_bits(self.bits)
        estimates, refusals = {}, {}
        for name in DEVICES:
            try:
                estimates[name] = device(name).estimate(workload)
            except ValueError as error:  # the device says which layer it cannot run
                refusals[name] = str(error)
        return Comparison(workload, estimates, refusals)

    def say(self) -> str:
        r = self.result
        refused = f" {', '.join(DEVICES[name] for name in r.refusals)} cannot run it." if r.refusals else ""
        if not r.fitting:
            return f"It fits on none of the {len(DEVICES)} devices.{refused}"
        fastest = min(r.fitting, key=lambda name: r.estimates[name].latency_ms.mid)
        frugal = min(r.fitting, key=lambda name: r.estimates[name].energy_uj.mid)
        hungry = max(r.fitting, key=lambda name: r.estimates[name].energy_uj.mid)
        factor = r.estimates[hungry].energy_uj.mid / r.estimates[frugal].energy_uj.mid
        return (
            f"Fits on {len(r.fitting)} of {len(DEVICES)}. Fastest: {DEVICES[fastest]}, "
            f"{quantity(r.estimates[fastest].latency_ms.mid / 1e3, 's')}. Least energy: {DEVICES[frugal]}, "
            f"{quantity(r.estimates[frugal].energy_uj.mid / 1e6, 'J')}, a factor of {factor:,.0f} below {DEVICES[hungry]}.{refused}"
        )

    def rows(self, r: Comparison) -> list[tuple[str, str]]:
        rows = [("work", quantity(r.workload.macs, "MAC"))]
        for name, title in DEVICES.items():
            estimate = r.estimates.get(name)
            if estimate is None:
                rows.append((title, "–"))
            else:
                time, energy = quantity(estimate.latency_ms.mid / 1e3, "s"), quantity(estimate.energy_uj.mid / 1e6, "J")
                rows.append((title, f"{time}, {energy}"))
        return rows

    def sources(self) -> tuple[str, ...]:
        r = self.result
        told = [f"{DEVICES[name]}: {' '.join(estimate.provenance)}" for name, estimate in r.estimates.items()]
        lacking = [f"{DEVICES[name]} {r.verdict(name)}." for name in r.estimates if name not in r.fitting]
        return (*lacking, *r.refusals.values(), *told)

    def picture(self) -> DevicePicture:
        return DevicePicture()


class DevicePicture(Picture):
    """Two logarithmic scales, one row a device: dots with whiskers; a cross where the network does not fit."""

    size = (7.6, 4.0)
    alt = "Latency (left) and energy (right) of one inference on nine devices, logarithmic, with 80 % intervals."

    def build(self, figure):
        seconds = {1e-6: "1 µs", 1e-5: "10", 1e-4: "100", 1e-3: "1 ms", 1e-2: "10", 1e-1: "100", 1: "1 s", 10: "10"}
        joules = {1e-8: "10 nJ", 1e-7: "", 1e-6: "1 µJ", 1e-5: "10", 1e-4: "", 1e-3: "1 mJ", 1e-2: "10", 1e-1: "", 1: "1 J"}
        self.panels = [
            Panel(figure, (0.185, 0.1, 0.285, 0.8), "latency of one inference", seconds, names=list(DEVICES.values())),
            Panel(figure, (0.53, 0.1, 0.285, 0.8), "energy of one inference", joules, names=[]),
        ]
        axes = self.panels[1].axes
        beside = {"transform": axes.get_yaxis_transform(), "fontsize": 9, "va": "center"}
        self.verdicts = [axes.text(1.06, row, "", **beside) for row in range(len(DEVICES))]
        return [*self.panels[0].moving, *self.panels[1].moving, *self.verdicts]

    def update(self, r: Comparison, ghost: Comparison | None) -> None:
        for panel, name, scale in zip(self.panels, ("latency_ms", "energy_uj"), (1e-3, 1e-6), strict=True):
            panel.set(*(self.ends(result, name, scale) for result in (r, ghost)), [device in r.fitting for device in DEVICES])
        for text, device in zip(self.verdicts, DEVICES, strict=True):
            verdict = r.verdict(device)
            lacking = device in r.estimates and not r.estimates[device].fits  # here what, in the sources how much
            text.set_text(
                "lacks " + ", ".join(map(what, r.estimates[device].missing)).replace(", ", ",\n", 1) if lacking else verdict
            )
            text.set_color(RIGHT if verdict == "fits" else GHOST if device in r.refusals else WRONG)

    @staticmethod
    def ends(r: Comparison | None, name: str, scale: float) -> np.ndarray:
        """Low, mid and high of every device, ``(devices, 3)``; nan where there is no estimate."""
        ends = np.full((len(DEVICES), 3), np.nan)
        for row, device in enumerate(DEVICES):
            if r is not None and device in r.estimates:
                interval = getattr(r.estimates[device], name)
                ends[row] = scale * np.array([interval.low, interval.mid, interval.high])
        return ends


class Panel:
    """One logarithmic scale with a row for each device."""

    def __init__(self, figure, place, title: str, ticks: dict[float, str], names: list[str]):
        axes = self.axes = figure.add_axes(place, xscale="log", xlim=(min(ticks), max(ticks)), ylim=(len(DEVICES) - 0.5, -0.5))
        axes.set_xticks(list(ticks), ticks.values())
        axes.set_xticks([], minor=True)
        axes.set_yticks(range(len(DEVICES)), names or [""] * len(DEVICES))
        axes.tick_params(labelsize=9, length=0)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_title(title, loc="left", fontsize=10)
        (self.ghosts,) = axes.plot([], [], "o", ms=9, mfc="none", mec=GHOST, mew=1.5)
        self.series = {
            fits: (axes.plot([], [], "-", color=colour, lw=2)[0], axes.plot([], [], marker, color=colour, ms=6, mew=2)[0])
            for fits, colour, marker in ((True, RIGHT, "o"), (False, WRONG, "x"))
        }
        self.moving = [self.ghosts, *(artist for pair in self.series.values() for artist in pair)]

    def set(self, now: np.ndarray, before: np.ndarray, fits: list[bool]) -> None:
        """Low, mid and high of each device, and of the ghost."""
        rows, low, high = np.arange(len(now), dtype=float), *self.axes.get_xlim()
        now, before = np.clip(now, low, high), np.clip(before, low, high)
        self.ghosts.set_data(before[:, 1], rows)
        for kind, (whiskers, dots) in self.series.items():
            chosen = np.array(fits) == kind
            ends, at = now[chosen], rows[chosen]
            gap = np.full(len(at), np.nan)  # lifts the pen between two whiskers
            whiskers.set_data(np.column_stack([ends[:, 0], ends[:, 2], gap]).ravel(), np.column_stack([at, at, gap]).ravel())
            dots.set_data(ends[:, 1], at)
