"""How long a battery lasts when a device wakes up, infers and sleeps again.

    mean power = rate · energy of one inference + sensor + sleep · share of time asleep
    life       = capacity · voltage · efficiency / (mean power + self-discharge)

Inference energy comes with its own interval; sensor, sleep and battery are typical values (assumed), given or taken by a factor.
The small functions take numpy arrays, so that a slider can redraw a whole curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from labkit.hardware.catalog import Quantity, load, record
from labkit.hardware.estimate import Estimate, Interval
from labkit.naming import did_you_mean

HOURS_PER_YEAR = 24 * 365.25
UW_PER_MW = 1000.0


@dataclass(frozen=True)
class Battery:
    title: str
    capacity_mah: Quantity
    voltage_v: Quantity
    self_discharge_per_year: Quantity

    @property
    def energy_mwh(self) -> float:
        return self.capacity_mah.value * self.voltage_v.value

    @property
    def self_discharge_uw(self) -> float:
        """The power that the shelf takes: a year's loss spread over the year."""
        return UW_PER_MW * self.energy_mwh * self.self_discharge_per_year.value / HOURS_PER_YEAR


@dataclass(frozen=True)
class DutyCycle:
    """What the device does: `rate_hz` inferences a second, a sensor that is on for `sensor_duty` of the time, sleep in between."""

    rate_hz: float
    sensor: str = "none"
    sensor_duty: float = 1.0

    def __post_init__(self):
        sensor(self.sensor)
        if not 0 <= self.rate_hz < math.inf:  # NaN is not either
            raise ValueError(f"{self.rate_hz} inferences a second; give a rate of 0 or more")
        if not 0.0 <= self.sensor_duty <= 1.0:
            raise ValueError(f"a sensor cannot be on for {self.sensor_duty} of the time; give a share from 0 to 1")


@dataclass(frozen=True)
class Life:
    """Days on one battery, and where the power goes (microwatts, most likely values)."""

    days: Interval
    power_uw: dict[str, float]
    provenance: tuple[str, ...]


@cache
def batteries() -> dict[str, Battery]:
    """The batteries of the catalog by name."""
    return {name: record(Battery, data, f"battery.toml batteries.{name}") for name, data in load("battery")["batteries"].items()}


def battery(name: str) -> Battery:
    if name not in batteries():
        raise ValueError(f"no battery {name!r}; {did_you_mean(name, batteries())}")
    return batteries()[name]


def sensor(name: str) -> Quantity:
    """Power of a sensor in microwatts."""
    sensors = load("battery")["sensors"]
    if name not in sensors:
        raise ValueError(f"no sensor {name!r}; {did_you_mean(name, sensors)}")
    return sensors[name]["power_uw"]


def mean_power_uw(energy_uj, latency_ms, rate_hz, sensor_uw=0.0, sleep_uw=0.0):
    """Mean power in microwatts of a duty cycle; numbers or arrays.

    >>> mean_power_uw(energy_uj=2000.0, latency_ms=50.0, rate_hz=1.0, sleep_uw=10.0)
    2009.5
    """
    return energy_uj * rate_hz + sensor_uw + sleep_uw * (1 - rate_hz * latency_ms / 1000)


def life_days(power_uw, cell: Battery, efficiency: float = 1.0):
    """Days that `cell` delivers `power_uw` (a number or an array) behind a converter, its self-discharge included.

    >>> round(life_days(0.0, battery("cr2032")) / 365.25)  # the shelf alone: 1 % a year
    100
    """
    return UW_PER_MW * cell.energy_mwh / (power_uw / efficiency + cell.self_discharge_uw) / 24


def life(estimate: Estimate, duty: DutyCycle, cell: str = "cr2032", front_end: Estimate | None = None) -> Life:
    """Days of battery life of `estimate` (and a feature front end, if given) under a duty cycle, as an interval.

    Raises ValueError when the device cannot keep up with the rate.
    """
    system, chosen = load("battery")["system"], battery(cell)
    parts = [estimate] if front_end is None else [estimate, front_end]
    energy = sum((part.energy_uj for part in parts), Interval.exactly(0.0))
    latency = sum((part.latency_ms for part in parts), Interval.exactly(0.0))
    busy = duty.rate_hz * latency.mid / 1000
    if busy > 1:
        raise ValueError(
            f"{estimate.device} needs {latency.mid:.3g} ms for {estimate.model}: it cannot infer {duty.rate_hz:g} times a second; "
            f"ask for {1000 / latency.mid:.3g} or fewer"
        )
    factor, efficiency = system["uncertainty_factor"].value, system["converter_efficiency"].value
    power = {
        "inference": duty.rate_hz * energy,
        "sensor": Interval.within(sensor(duty.sensor).value * duty.sensor_duty, factor),
        "sleep": Interval.within(system["sleep_uw"].value * (1 - busy), factor),
    }
    total = sum(power.values(), Interval.exactly(0.0))
    days = Interval(*(life_days(watts, chosen, efficiency) for watts in (total.high, total.mid, total.low)))
    provenance = (
        *estimate.provenance,
        f"Battery: {chosen.title}, {chosen.capacity_mah}.",
        f"Sensor: {duty.sensor}, {sensor(duty.sensor)}. Sleep: {system['sleep_uw']}. Converter: {system['converter_efficiency']}.",
    )
    return Life(days, {name: value.mid for name, value in power.items()}, provenance)
