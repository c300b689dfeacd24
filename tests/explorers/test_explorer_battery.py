"""The battery explorer: its days are the hardware room's, its parts add up, and a device that cannot keep up says so."""

import itertools

import pytest

import labkit
from labkit.data import features
from labkit.explorers import BatteryExplorer, families
from labkit.explorers.battery import KEYWORDS, MOTION, PARTS, PER_HOUR, whole_systems
from labkit.explorers.view import View
from labkit.hardware import battery


def test_days_are_those_of_the_hardware_room():
    explorer = BatteryExplorer(per_hour=240, sensor="microphone-low-power", sensor_on=0.5, cell="two-aaa")
    board = labkit.device("nucleo-l4r5zi")
    duty = battery.DutyCycle(240 / 3600, "microphone-low-power", 0.5)
    expected = battery.life(board.estimate(families.ds_cnn()), duty, "two-aaa", board.estimate(features.workload()))
    assert explorer.result.life == expected
    assert explorer.result.curve[240] == expected.days
    assert sum(explorer.result.power_uw.values()) == pytest.approx(sum(expected.power_uw.values()))
    assert sum(explorer.result.shares.values()) == pytest.approx(1)
    assert explorer.sources() == expected.provenance


def test_a_task_brings_its_sensor_and_motion_needs_no_front_end():
    explorer = BatteryExplorer(network=MOTION)
    assert explorer.sensor == "imu" and explorer.result.power_uw["features"] == 0
    explorer.network = KEYWORDS
    assert explorer.sensor == "microphone" and explorer.result.power_uw["features"] > 0


def test_more_decisions_never_last_longer_and_the_curve_ends_where_the_device_is_too_slow():
    days = [interval.mid for interval in BatteryExplorer().result.curve.values()]
    assert days == sorted(days, reverse=True)
    explorer = BatteryExplorer(device="raspberry-pi-pico")
    assert max(explorer.result.curve) < max(PER_HOUR)
    view = View(explorer)
    explorer.per_hour = max(PER_HOUR)
    assert explorer.result is None and "cannot infer 20 times a second" in explorer.status and "#D55E00" in view.status.value


def test_every_microcontroller_can_be_chosen():
    """And nothing on which one of the networks does not fit, so that a battery life never belongs to what cannot be built."""
    for device in map(labkit.device, labkit.devices()):
        if device.family.startswith("Cortex"):
            assert device.name in whole_systems()
        elif device.name in whole_systems():
            assert all(device.estimate(network).fits for network in (families.ds_cnn(), families.har_cnn()))


def test_every_setting_gives_numbers_or_a_reason():
    settings = BatteryExplorer.settings()
    explorer = BatteryExplorer()
    names = ("network", "device", "sensor", "cell", "sensor_on", "per_hour")
    grid = itertools.product(*(settings[name].choices(explorer)[:: 3 if name == "device" else 1] for name in names))
    for number, values in enumerate(grid):
        if number % 7:
            continue  # 7 shares no factor with the sizes of the axes, so every value of every setting comes up
        explorer = BatteryExplorer(**dict(zip(names, values, strict=True)))
        if explorer.result is None:
            assert "cannot infer" in explorer.problem
            continue
        days = explorer.result.life.days
        assert 0 < days.low <= days.mid <= days.high and set(explorer.result.power_uw) == set(PARTS)
        assert "estimated" in explorer.status
