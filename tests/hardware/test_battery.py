"""Battery life: by hand, monotone, and honest about what is assumed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.hardware import battery
from labkit.hardware.battery import DutyCycle, life, life_days, mean_power_uw
from labkit.hardware.reference import reference

ESTIMATE = labkit.device("nucleo-l4r5zi").estimate(reference("kws"))


def test_a_coin_cell_by_hand():
    """675 mWh at 1 mW is 675 h, less the 0.77 uW of self-discharge."""
    cell = battery.battery("cr2032")
    assert cell.energy_mwh == 675
    assert life_days(1000.0, cell) == pytest.approx(675 / (1 + cell.self_discharge_uw / 1000) / 24)
    assert life_days(1000.0, cell, efficiency=0.5) == pytest.approx(life_days(2000.0, cell))


def test_life_is_the_sum_of_its_parts():
    result = life(ESTIMATE, DutyCycle(rate_hz=1, sensor="microphone", sensor_duty=0.5))
    parts = result.power_uw
    assert parts["inference"] == pytest.approx(ESTIMATE.energy_uj.mid)
    assert parts["sensor"] == pytest.approx(0.5 * battery.sensor("microphone").value)
    assert parts["sleep"] == pytest.approx(10 * (1 - ESTIMATE.latency_ms.mid / 1000))
    assert result.days.mid == pytest.approx(life_days(sum(parts.values()), battery.battery("cr2032"), 0.85))
    assert any("assumed" in sentence for sentence in result.provenance)


@given(st.floats(0, 10), st.floats(0, 10))
def test_more_inferences_never_last_longer(a, b):
    slow, fast = sorted((a, b))
    assert life(ESTIMATE, DutyCycle(fast)).days.mid <= life(ESTIMATE, DutyCycle(slow)).days.mid
    days = life(ESTIMATE, DutyCycle(slow)).days
    assert days.low <= days.mid <= days.high


def test_nothing_outlasts_the_shelf():
    days = life(ESTIMATE, DutyCycle(0)).days.high
    assert days < life_days(0.0, battery.battery("cr2032"))


def test_a_front_end_costs_battery():
    assert life(ESTIMATE, DutyCycle(1), front_end=ESTIMATE).days.mid < life(ESTIMATE, DutyCycle(1)).days.mid


def test_arrays_for_sliders():
    rates = np.linspace(0, 10, 1000)
    days = life_days(mean_power_uw(2000.0, 50.0, rates, sleep_uw=10.0), battery.battery("lipo-100"))
    assert days.shape == (1000,) and np.all(np.diff(days) < 0)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="cannot infer 1000 times a second"):
        life(ESTIMATE, DutyCycle(1000))
    with pytest.raises(ValueError, match="did you mean cr2032"):
        life(ESTIMATE, DutyCycle(1), "cr2023")
    with pytest.raises(ValueError, match="did you mean microphone"):
        DutyCycle(1, sensor="microfone")
    with pytest.raises(ValueError, match="share from 0 to 1"):
        DutyCycle(1, sensor_duty=2)
    with pytest.raises(ValueError, match="rate of 0 or more"):
        DutyCycle(float("nan"))
