"""The figures of the FPGA rows, and that the fitted constants are those that the fit gives."""

import numpy as np
import pytest

from labkit.hardware import fpga_fitting
from labkit.hardware.catalog import FOLDER
from labkit.hardware.fpga_designs import designs
from labkit.hardware.validation import fpga
from tests.shared import rows


@pytest.fixture(scope="module")
def validated():
    return {row.quantity: row for row in fpga.rows()}


def test_every_row_keeps_its_promise(validated):
    for row in validated.values():
        assert row.mape <= row.at_most
        assert row.coverage80 is None or 0.7 <= row.coverage80 <= 0.9


def test_latency_beats_the_aim_and_the_baselines(validated):
    latency = validated["latency"]
    assert latency.n == 17 and latency.mape <= 10 and latency.rank >= 0.99
    assert latency.baseline_mape > 100
    known = fpga_fitting.measured("latency_ms")
    sums = [fpga.sum_only([other for other in known if not fpga_fitting.same(other, one)], one) for one in known]
    assert np.mean([abs(s / one.latency_ms - 1) for s, one in zip(sums, known, strict=True)]) > 0.5


def test_the_ten_given_designs(validated):
    ten = [case for case in fpga.cases("latency_ms") if "fpgaconvnet" in case.name or "CNV" in case.name]
    assert len(ten) == 10 and np.mean([case.error for case in ten]) <= 10


def test_the_left_out_design_is_not_among_the_known():
    arty = next(one for one in designs() if one.name == "RN07" and one.board == "arty-a7-100t")
    known = [other for other in fpga_fitting.measured("latency_ms") if not fpga_fitting.same(other, arty)]
    assert {one.name for one in known}.isdisjoint({"RN07"}) and "RN08" in {one.name for one in known}


def test_the_catalog_holds_what_the_fit_gives():
    assert (FOLDER / "fpga_fitted.toml").read_text(encoding="utf-8") == fpga_fitting.fitted_toml()


def test_measurements_are_the_published_ones():
    published = {(row["board"], row["benchmark"], row["variant"]): row for row in rows("reference", "mlperf_tiny.csv")}
    names = {"pynq-z2": "Xilinx Pynq Z2", "arty-a7-100t": "Arty A7-100T"}
    tasks = {"cnv": "ic", "rn07": "ic", "kws-mlp": "kws", "ad08": "ad"}
    checked = 0
    for design in designs():
        if design.board in names:
            row = published[names[design.board], tasks[design.network], design.name]
            assert design.latency_ms == float(row["latency_ms"])
            assert design.energy_uj == float(row["energy_uJ"])
            assert design.power_mw == pytest.approx(float(row["energy_mode_power_mW"]), abs=1e-3)
            checked += 1
    assert checked == 9


def test_resources_are_the_published_ones():
    published = {(r["board"], r["benchmark"]): r for r in rows("reference", "fpga_dataflow.csv") if "fpgaConvNet" in r["flow"]}
    for design in designs():
        if design.flow == "fpgaconvnet":
            row = published[design.board, design.network]
            assert (design.lut, design.dsp) == (1000 * float(row["LUT_k"]), float(row["DSP"]))
            assert np.isnan(design.bram36) or design.bram36 == float(row["BRAM"])
