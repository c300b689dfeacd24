"""The drift explorer: its numbers are those of the analog network, its picture shows them, and it drives the student's code."""

import json

import numpy as np
import pytest
import torch

from labkit import analog
from labkit.explorers import DriftExplorer, drift
from labkit.explorers.drift import OFF, ON, TIMES
from labkit.explorers.drift_picture import CELLS, REACH, density, squares
from labkit.explorers.view import View
from labkit.hardware.analog_memory import PCMComputeInMemory

DAY = 86_400.0


@pytest.fixture
def table(tmp_path):
    setting = {"task": "activities", "trained": "as it was", "bits": 8, "empty_cells": True, "seed": 0}
    rows = [setting | {"accuracy": [a, a - 0.1], "uncompensated": [a, 0.2]} for a in (0.8, 0.9)]
    rows += [rows[0] | {"task": "keywords", "accuracy": [0.0, 0.0]}, rows[0] | {"seed": 1, "accuracy": [0.0, 0.0]}]
    path = tmp_path / "analog.json"
    path.write_text(json.dumps({"times_s": [25.0, DAY], "rows": rows}))
    return path


def test_accuracy_is_that_of_the_programmed_network():
    explorer = DriftExplorer(seconds=DAY, array=2, bits=6)
    calibration, x, y, _ = drift.examples()
    made = analog.program(drift.network("as it was"), calibration, analog.Crossbar(dac_bits=6, adc_bits=6), seed=2)
    for way, compensation in ((ON, analog.global_drift_compensation), (OFF, None)):
        explorer.compensate = way
        with torch.no_grad():
            said = made.at(DAY, compensation)(x).argmax(1).numpy()
        assert explorer.result.report.accuracy == pytest.approx(np.mean(said == y))
        assert f"{np.mean(said == y):.1%}" in explorer.status


def test_weights_are_those_that_the_network_computes_with():
    explorer = DriftExplorer(seconds=DAY)
    made = drift.programmed("as it was", 8, 0)
    first = next(layer for _, layer in made.layers())
    now = first.array.read(DAY) / 25.0
    factor = analog.global_drift_compensation(first.array.programmed_us, first.array.read(DAY))
    np.testing.assert_allclose(explorer.result.now[: now.size], (factor * now).ravel(), rtol=1e-4, atol=1e-6)
    assert np.abs(explorer.result.target).max() == 1.0
    assert explorer.result.noise == pytest.approx(np.sqrt(np.mean((explorer.result.now - explorer.result.target) ** 2)))


def test_time_takes_conductance_and_without_compensation_accuracy():
    explorer = DriftExplorer(seconds=0.0, compensate=OFF)
    kept, accuracy = [], []
    for seconds in TIMES:
        explorer.seconds = seconds
        kept.append(explorer.result.kept)
        accuracy.append(explorer.result.report.accuracy)
    assert kept == sorted(kept, reverse=True) and 0.95 < kept[0] < 1.05 and kept[-1] < 0.6
    assert accuracy[0] > explorer.result.digital - 0.06 and accuracy[-1] < 0.3
    explorer.compensate = ON
    assert explorer.result.report.accuracy > explorer.result.digital - 0.1
    assert explorer.result.kept == kept[-1]  # compensation multiplies numbers, it heals no device


def test_the_students_compensation_drives_it():
    explorer = DriftExplorer(compensation=lambda before, now: 1.0, seconds=DAY)
    assert set(explorer.result.factors.values()) == {1.0}
    assert explorer.result.report.accuracy == DriftExplorer(seconds=DAY, compensate=OFF).result.report.accuracy


def test_what_goes_wrong_in_a_students_function_is_a_sentence():
    def mine(before, now):
        raise NotImplementedError("exercise 3")

    explorer = DriftExplorer(compensation=mine, seconds=DAY)
    assert not explorer.fits and explorer.status == "mine is not written yet (exercise 3)."
    explorer.compensate = OFF
    assert explorer.fits
    assert "return one factor" in DriftExplorer(compensation=lambda before, now: before - now).status
    assert "stopped with ZeroDivisionError" in DriftExplorer(compensation=lambda before, now: 1 / 0).status
    View(explorer)


def test_the_band_is_mean_and_spread_over_arrays(table):
    explorer = DriftExplorer(table=table, seconds=DAY)
    np.testing.assert_allclose(explorer.result.band, [[25.0, 0.85, 0.0707107], [DAY, 0.75, 0.0707107]], rtol=1e-5)
    assert dict(explorer.rows(explorer.result))["four arrays"] == "75.0% ± 7.1%"
    explorer.compensate = OFF
    np.testing.assert_allclose(explorer.result.band[1], [DAY, 0.2, 0.0])
    explorer.bits = 4  # without compensation, only 8 bits were measured
    assert len(explorer.result.band) == 0
    assert dict(explorer.rows(explorer.result))["four arrays"] == "–"
    explorer.picture().show(explorer.result, None)


def test_without_a_table_there_is_no_band(tmp_path):
    assert len(DriftExplorer(table=tmp_path / "none.json").result.band) == 0


def test_energy_is_that_of_the_device():
    explorer = DriftExplorer(bits=4)
    estimate = PCMComputeInMemory(4).estimate(drift.families.har_cnn())
    assert explorer.result.estimate == estimate
    assert set(estimate.provenance) <= set(explorer.sources())


def test_every_setting_is_drawn_and_the_ghost_is_the_setting_before():
    explorer = DriftExplorer()
    picture = explorer.picture()
    explorer.seconds = 3600.0
    explorer.seconds = DAY
    picture.show(explorer.result, explorer.ghost)
    assert picture.now.get_xdata()[0] == DAY and picture.before.get_xdata()[0] == 25.0
    assert picture.now.get_ydata()[0] == explorer.result.report.accuracy
    before = picture.pixels()
    explorer.compensate = OFF
    picture.show(explorer.result, explorer.ghost)
    assert (picture.pixels() != before).any()


def test_a_perfect_memory_is_a_diagonal():
    x = np.linspace(-1, 1, 5001)
    picture = density(x, x)
    filled = (picture[..., :3] != 255).any(axis=-1)
    assert filled[np.eye(CELLS, dtype=bool)].sum() == pytest.approx(CELLS / REACH, abs=2)
    assert not filled[~np.eye(CELLS, dtype=bool)].any()


def test_the_first_class_stands_on_top_and_right_is_blue():
    picture = squares(np.array([[3, 0], [1, 1]]))
    assert picture[1, 0, :3].tolist() == [0, 114, 178]  # rows count from the bottom
    assert picture[1, 1, :3].tolist() == [255, 255, 255]
    assert picture[0, 0, 0] > picture[0, 0, 2]  # half of the second class is taken for the first: vermillion


def test_both_networks_and_all_converters_are_drawn():
    view, pictures = View(DriftExplorer(seconds=DAY)), set()
    for trained in drift.NETWORKS:
        for bits in drift.BITS:
            view.explorer.trained, view.explorer.bits = trained, bits
            assert view.explorer.fits and len(view.explorer.result.band) == 5
            assert f"{view.explorer.result.report.accuracy:.1%}" in view.status.value
            pictures.add(bytes(view.image.value))
    assert len(pictures) == 6
    assert len(view.explorer.rows(view.explorer.result)) == 14
