"""How often, with which sensor, on which battery: days of life, and who empties the battery."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

import labkit
from labkit.course.style import GHOST, MORE, OURS
from labkit.data import features
from labkit.explorers import families
from labkit.explorers.base import Explorer, Setting
from labkit.explorers.picture import Picture
from labkit.explorers.units import duration, quantity
from labkit.hardware import battery
from labkit.hardware.catalog import load

KEYWORDS, MOTION = "keywords: MFCC, DS-CNN", "motion: 1-D CNN"
PER_HOUR = {
    1: "1/h", 4: "4/h", 12: "12/h", 60: "1/min", 240: "4/min", 720: "12/min",
    3600: "1/s", 7200: "2/s", 18_000: "5/s", 36_000: "10/s", 72_000: "20/s",
}  # fmt: skip
PARTS = {"inference": OURS, "features": MORE[0], "sensor": MORE[1], "sleep": MORE[2]}


@cache
def prices(network: str, device: str) -> tuple[labkit.Estimate, labkit.Estimate | None]:
    """One inference, and the feature front end before it where the network needs one."""
    board = labkit.device(device)
    if network == MOTION:
        return board.estimate(families.har_cnn()), None
    return board.estimate(families.ds_cnn()), board.estimate(features.workload())


@cache
def whole_systems() -> tuple[str, ...]:
    """Devices that do all of it: front end and both networks. An accelerator for one thing has no battery life of its own."""

    def able(device: str) -> bool:
        try:
            return all(part is None or part.fits for network in (KEYWORDS, MOTION) for part in prices(network, device))
        except ValueError:  # a layer that it cannot run
            return False

    return tuple(device for device in labkit.devices() if able(device))


@dataclass(frozen=True, eq=False)
class BatteryResult:
    """Battery life at the chosen rate, mean power of each part in microwatts, and the life at every other rate it can keep."""

    per_hour: int
    life: battery.Life
    power_uw: dict[str, float]
    curve: dict[int, labkit.Interval]  # decisions an hour -> days

    @property
    def shares(self) -> dict[str, float]:
        total = sum(self.power_uw.values())
        return {part: self.power_uw[part] / total for part in PARTS}


class BatteryExplorer(Explorer):
    """A device that wakes up, senses, decides and sleeps again; all of it estimated, with an interval.

    >>> explorer = BatteryExplorer(per_hour=3600, sensor="microphone", cell="cr2032")
    >>> explorer.result.power_uw["sensor"]
    1100.0
    """

    network = Setting(KEYWORDS, "task", (KEYWORDS, MOTION), control="menu")
    per_hour = Setting(3600, "decisions", PER_HOUR, show=PER_HOUR.get)
    sensor = Setting("microphone", "sensor", lambda explorer: load("battery")["sensors"], control="menu")
    sensor_on = Setting(1.0, "sensor on", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0), show="{:.0%}".format)
    cell = Setting("cr2032", "battery", lambda explorer: battery.batteries(), control="menu")
    device = Setting("nucleo-l4r5zi", "device", lambda explorer: whole_systems(), control="menu")

    def follow(self, name: str) -> None:
        """Each task has its usual sensor."""
        if name == "network":
            self.sensor = "microphone" if self.network == KEYWORDS else "imu"

    def life(self, per_hour: int) -> battery.Life:
        inference, front_end = prices(self.network, self.device)
        duty = battery.DutyCycle(per_hour / 3600, self.sensor, self.sensor_on)
        return battery.life(inference, duty, self.cell, front_end)

    def compute(self) -> BatteryResult:
        life = self.life(self.per_hour)
        inference, front_end = prices(self.network, self.device)
        rate_hz = self.per_hour / 3600
        features_uw = rate_hz * front_end.energy_uj.mid if front_end else 0.0
        power = life.power_uw | {"inference": rate_hz * inference.energy_uj.mid, "features": features_uw}
        work_ms = inference.latency_ms.mid + (front_end.latency_ms.mid if front_end else 0.0)
        possible = [rate for rate in PER_HOUR if rate / 3600 * work_ms <= 1000]
        return BatteryResult(self.per_hour, life, power, {rate: self.life(rate).days for rate in possible})

    def say(self) -> str:
        days, shares = self.result.life.days, self.result.shares
        largest = max(shares, key=shares.get)
        return (
            f"An estimated {duration(days.mid)} ({duration(days.low)} to {duration(days.high)}) on {self.cell} at a "
            f"rate of {PER_HOUR[self.per_hour]}. The largest part of the energy: {largest}, {shares[largest]:.0%}."
        )

    def rows(self, r: BatteryResult) -> list[tuple[str, str]]:
        return [
            ("battery life", duration(r.life.days.mid)),
            ("at least", duration(r.life.days.low)),
            ("at most", duration(r.life.days.high)),
            *((part, quantity(r.power_uw[part] / 1e6, "W")) for part in PARTS),
            ("together", quantity(sum(r.power_uw.values()) / 1e6, "W")),
        ]

    def sources(self) -> tuple[str, ...]:
        return self.result.life.provenance

    def picture(self) -> BatteryPicture:
        return BatteryPicture()


class BatteryPicture(Picture):
    """Left: battery life over the rate of decisions. Right: shares of the energy."""

    size = (7.2, 4.4)
    alt = "Battery life falls with the number of decisions an hour; a stacked bar shows who uses the energy."

    def build(self, figure):
        axes = figure.add_axes((0.125, 0.13, 0.49, 0.76), xscale="log", yscale="log", xlim=(0.7, 1e5), ylim=(0.1, 1e5))
        axes.set_xticks([1, 60, 3600, 36_000], ["1 an\nhour", "1 a\nminute", "1 a\nsecond", "10 a\nsecond"])
        days = {0.1: "2.4 h", 1: "1 day", 10: "10 days", 100: "100 days", 365.25: "1 year", 3652.5: "10 years", 36525: "100 years"}
        axes.set_yticks(list(days), days.values())
        axes.minorticks_off()
        axes.tick_params(labelsize=9)
        axes.grid(True)
        axes.set_title("battery life", fontsize=10)
        (self.band,) = axes.fill([1], [1], color=OURS, alpha=0.2, lw=0)
        (self.line,) = axes.plot([], [], "-", color=OURS, lw=2)
        (self.old_line,) = axes.plot([], [], "--", color=GHOST, lw=1.5)
        (self.old,) = axes.plot([], [], "o", ms=10, mfc="none", mec=GHOST, mew=2)
        (self.whisker,) = axes.plot([], [], "-", color=OURS, lw=2.5, marker="_", ms=9, mew=2)
        (self.dot,) = axes.plot([], [], "o", ms=9, color=OURS)
        self.days = axes.set_title("", loc="right", fontsize=10, weight="bold")
        bars = figure.add_axes((0.72, 0.675, 0.25, 0.215), xlim=(0, 1), ylim=(-0.35, 1.6))
        bars.set_xticks([0, 1], ["0", "100%"])
        bars.set_yticks([1, 0], ["now", "before"])
        bars.tick_params(labelsize=9, length=0)
        bars.spines[["left", "bottom"]].set_visible(False)
        bars.set_title("who uses the energy", fontsize=10)
        self.parts = [bars.barh(1, 0, height=0.9, color=colour)[0] for colour in PARTS.values()]
        self.old_parts = [bars.barh(0, 0, height=0.35, color=colour)[0] for colour in PARTS.values()]
        words = figure.add_axes((0.68, 0.13, 0.29, 0.43), xlim=(0, 1), ylim=(len(PARTS) - 0.5, -0.5))
        words.axis("off")
        self.shares, self.powers = [], []
        for row, (part, colour) in enumerate(PARTS.items()):
            words.plot([0.03], [row], "s", ms=11, color=colour)
            words.text(0.11, row, part, va="center", fontsize=10)
            self.shares.append(words.text(0.62, row, "", ha="right", va="center", fontsize=10, weight="bold"))
            self.powers.append(words.text(1, row, "", ha="right", va="center", fontsize=10))
        return [
            self.band, self.old_line, self.line, self.old, self.whisker, self.dot, self.days,
            *self.parts, *self.old_parts, *self.shares, *self.powers,
        ]  # fmt: skip

    def update(self, result: BatteryResult, ghost: BatteryResult | None) -> None:
        rates, days = list(result.curve), list(result.curve.values())
        self.line.set_data(rates, [d.mid for d in days])
        outline = [d.low for d in days] + [d.high for d in days[::-1]]
        self.band.set_xy(np.column_stack([rates + rates[::-1], outline]))
        chosen = result.life.days
        self.whisker.set_data([result.per_hour] * 2, [chosen.low, chosen.high])
        self.dot.set_data([result.per_hour], [chosen.mid])
        self.days.set_text(duration(chosen.mid))
        before = ghost.curve if ghost else {}
        self.old_line.set_data(list(before), [d.mid for d in before.values()])
        self.old.set_data(([ghost.per_hour], [ghost.life.days.mid]) if ghost else ([], []))
        _stack(self.parts, result.shares)
        _stack(self.old_parts, ghost.shares if ghost else dict.fromkeys(PARTS, 0.0))
        for part, share, power in zip(PARTS, self.shares, self.powers, strict=True):
            share.set_text(f"{result.shares[part]:.0%}")
            power.set_text(quantity(result.power_uw[part] / 1e6, "W"))


def _stack(bars: list, shares: dict[str, float]) -> None:
    """Sets bars side by side."""
    left = 0.0
    for bar, share in zip(bars, shares.values(), strict=True):
        bar.set_x(left)
        bar.set_width(share)
        left += share
