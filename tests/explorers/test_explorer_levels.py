"""The levels explorer: its SNR is that of the quantizers, its costs those of the inner loops, and it drives the student's code."""

import itertools

import numpy as np
import pytest
import torch

from labkit.explorers import LevelExplorer
from labkit.explorers.level_formats import CIRCUIT, FORMATS, POWER, TWO_STEPS, UNIFORM, density, format_of, mac, trained_layers
from labkit.explorers.levels import REACHES, SHARED
from labkit.explorers.view import View
from labkit.hardware.inner_loops import CORES, cycles_per_mac, energy_pj
from labkit.quantization.formats import AdditivePowerOfTwo, Int, PowerOfTwo, TwoStep
from labkit.quantization.granularity import PerChannel, PerTensor
from labkit.quantization.weights import WeightQuantizer

BITS = LevelExplorer.settings()["bits"].values


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    return {"bell": rng.normal(size=(8, 30)), "flat": rng.uniform(-1, 1, (8, 30)), "one channel is silent": np.eye(3)[:, :2]}


@pytest.mark.parametrize("shared, granularity", zip(SHARED, (PerTensor(), PerChannel()), strict=True))
@pytest.mark.parametrize("format", FORMATS)
def test_snr_is_that_of_the_weight_quantizer(layers, shared, granularity, format):
    explorer = LevelExplorer(layers=layers, layer="bell", shared=shared, format=format, bits=4)
    w = torch.from_numpy(layers["bell"])
    error = WeightQuantizer(format_of(format, 4), granularity)(w) - w
    expected = 10 * np.log10((w.square().sum() / error.square().sum()).item())
    assert explorer.result.snr_db[format] == pytest.approx(expected, rel=1e-9)


def test_a_shorter_reach_saturates(layers):
    explorer = LevelExplorer(layers=layers, layer="flat", format=UNIFORM, bits=3, reach=0.5)
    w = layers["flat"] / np.abs(layers["flat"]).max()
    q = np.clip(np.round(w / (0.5 / 3)), -3, 3) * 0.5 / 3
    assert explorer.result.snr_db[UNIFORM] == pytest.approx(10 * np.log10(np.sum(w**2) / np.sum((w - q) ** 2)))
    assert explorer.result.levels[UNIFORM].tolist() == pytest.approx([-0.5, -1 / 3, -1 / 6, 0, 1 / 6, 1 / 3, 0.5])
    assert dict(explorer.rows(explorer.result))["best reach"] == f"{REACHES[explorer.result.curves[UNIFORM].argmax()]:.0%}"


def test_one_more_bit_gains_six_decibels_of_a_uniform_grid_and_none_of_powers_of_two():
    """What the lab makes students predict, on real trained weights."""
    for layer in trained_layers():
        results = {bits: LevelExplorer(layer=layer, bits=bits).result.curves for bits in (4, 5)}
        best = [max(results[bits][name]) for name in (UNIFORM, POWER) for bits in (4, 5)]
        assert 4.5 < best[1] - best[0] < 7.5, layer
        assert abs(best[3] - best[2]) < 0.2 and 13.5 < best[2] < 15.5, layer


@pytest.mark.parametrize(
    "format, loop",
    [
        (Int(3), ("int4", 1)),
        (Int(4), ("int4", 1)),
        (Int(5), ("int8", 1)),
        (Int(2), ("ternary", 1)),
        (TwoStep(2), ("ternary", 1)),
        (PowerOfTwo(5), ("power-of-two", 1)),
        (TwoStep(4), ("power-of-two", 1)),
        (AdditivePowerOfTwo(3), ("int4", 1)),
        (AdditivePowerOfTwo(5), ("power-of-two", 2)),
    ],
    ids=repr,
)
def test_which_inner_loop_runs_a_format(format, loop):
    assert mac(format.levels) == loop


def test_costs_are_those_of_the_inner_loops_and_the_m4_is_slower_with_shifts():
    explorer = LevelExplorer(format=POWER, bits=4)
    assert {core: explorer.result.costs[core] for core in CORES} == {core: cycles_per_mac(core, "power-of-two") for core in CORES}
    assert explorer.result.costs[CIRCUIT] == energy_pj("power-of-two")
    cheaper = {name: cost.mid < 1 for name, cost in explorer.result.relative.items()}
    assert cheaper == {"M4": False, "M0+": False, "M0+ slow": True, CIRCUIT: True}
    assert f"{explorer.result.relative['M4'].mid:.2g} times on an M4" in explorer.status
    assert dict(explorer.rows(explorer.result))["circuit, fJ"] == "124 (83–345)"
    once = explorer.result.costs
    explorer.format = "additive"
    assert explorer.result.costs["M4"] == 2 * once["M4"] and "Counted 2 times" in " ".join(explorer.sources())


@pytest.mark.parametrize("format", [Int(4), PowerOfTwo(4), AdditivePowerOfTwo(4), TwoStep(4)], ids=repr)
def test_the_density_of_levels_has_area_one_and_is_highest_where_they_are_close(format):
    x, y = density(format.levels / format.high)
    assert np.trapezoid(y, x) == pytest.approx(1)
    gaps = np.diff(format.levels)
    assert gaps[len(gaps) // 2] == gaps.min() and y.max() == pytest.approx(y[np.searchsorted(x, 0.0) - 1])


def test_the_students_function_is_driven(layers):
    asked = []

    def only_signs(x, bits):
        asked.append((np.ndim(x), bits))
        return np.sign(x) * 2 ** (2 ** (bits - 1) - 2)

    explorer = LevelExplorer(only_signs, layers=layers, layer="bell")
    own = LevelExplorer(layers=layers, layer="bell")
    assert set(asked) == {(1, 4)}
    assert explorer.result.levels[POWER].tolist() == [-1, 0, 1] and explorer.result.snr_db[POWER] < own.result.snr_db[POWER]
    assert explorer.result.snr_db[TWO_STEPS] == own.result.snr_db[TWO_STEPS]
    calls = len(asked)
    explorer.reach = 0.5
    assert len(asked) == calls + 1, "a move along the curve asks for the levels, not for the curve again"


def test_the_default_is_labkits_own_rounding():
    for bits in BITS:
        result = LevelExplorer(bits=bits).result
        assert result.levels[POWER].tolist() == (PowerOfTwo(bits).levels / PowerOfTwo(bits).high).tolist()


def test_mistakes_become_sentences(layers):
    def unfinished(x, bits):
        raise NotImplementedError("exercise 1")

    assert LevelExplorer(unfinished, layers=layers).status == "unfinished is not written yet (exercise 1)."
    assert "return one finite code for each" in LevelExplorer(lambda x, bits: x[:3], layers=layers).status
    infinite = LevelExplorer(lambda x, bits: np.full(len(x), np.inf), layers=layers)
    assert "return one finite code for each" in infinite.status and not infinite.fits
    View(infinite)
    for broken in (np.zeros((2, 3)), np.array([[1.0, np.nan]])):
        explorer = LevelExplorer(layers={"broken": broken})
        assert explorer.status == "the weights of 'broken' are all zero, or not finite; choose another layer"


def test_every_setting_draws(layers):
    view = View(LevelExplorer(layers=layers))
    explorer = view.explorer
    pictures = set()
    for explorer.layer, explorer.shared, explorer.bits, explorer.format in itertools.product(layers, SHARED, BITS, FORMATS):
        assert explorer.fits and len(explorer.rows(explorer.result)) == 11
        assert all(np.isfinite(value) for value in explorer.result.snr_db.values())
        if explorer.layer != "one channel is silent":  # its channels and the layer have the same largest weight
            pictures.add(bytes(view.image.value))
    assert len(pictures) == 2 * len(SHARED) * len(BITS) * len(FORMATS), "every setting is a picture of its own"


def test_the_shipped_layers_are_drawn():
    names = list(trained_layers())
    assert len(names) == 14 and trained_layers()["motion 4: linear"].shape == (7, 64)
    view = View(LevelExplorer())
    for view.explorer.layer in names:
        assert view.explorer.fits and "dB" in view.status.value
