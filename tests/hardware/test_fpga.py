"""The FPGA as a device: what fits, what is refused, options, and the estimate in step with the pipeline."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.hardware.fpga import DEVICES, FPGA
from labkit.hardware.reference import reference
from labkit.models import build
from labkit.workload import Layer, Workload
from tests.shared import rows

PYNQ, ARTY = FPGA("pynq-z2"), FPGA("arty-a7-100t")
KWS = reference("kws").with_bits(4)


def test_both_boards_have_what_their_data_sheets_say():
    assert set(DEVICES) == {"pynq-z2", "arty-a7-100t"}
    assert PYNQ.chip == {"dsp": 220, "lut": 53200, "bram36": 140}
    assert ARTY.chip == {"dsp": 240, "lut": 63400, "bram36": 135}
    assert PYNQ.flash_bytes == PYNQ.ram_bytes == 140 * 4608


def test_power_is_the_boards_and_is_said_loudly():
    figures = [r for r in rows("reference", "published_figures.csv") if r["metric"] == "board power"]
    for device in (PYNQ, ARTY):
        measured = [float(row["value"]) for row in figures if row["device"] == device.name]
        assert device.power_mw == pytest.approx(np.mean(measured), rel=1e-3)
    said = " ".join(PYNQ.estimate(KWS).provenance)
    assert "whole BOARD" in said and "NOT the FPGA chip" in said and "USB" in said


@pytest.mark.parametrize("flow", ["finn", "hls4ml"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8, 16])
def test_keyword_spotting_fits_at_every_width(flow, bits):
    device = FPGA("pynq-z2", flow=flow)
    pipeline = device.pipeline(reference("kws").with_bits(bits))
    assert pipeline.fits and pipeline.interval_cycles <= pipeline.latency_cycles
    assert pipeline.bottleneck.busy == max(one.busy for one in pipeline.stages)
    assert (pipeline.needs["dsp"] > 0) == (bits >= {"finn": 5, "hls4ml": 10}[flow])


def test_fewer_bits_are_faster_because_more_multipliers_fit():
    latency = [PYNQ.estimate(reference("kws").with_bits(bits)).latency_ms.mid for bits in (1, 2, 4, 8)]
    assert latency == sorted(latency) and latency[-1] > 4 * latency[0]


def test_the_search_beats_every_uniform_reuse_factor_that_fits():
    best = PYNQ.pipeline(KWS)
    for reuse in (2, 8, 32, 128, 512):
        other = FPGA("pynq-z2", folding=reuse).pipeline(KWS)
        assert not other.fits or best.interval_cycles <= other.interval_cycles


def test_the_estimate_is_the_pipeline():
    estimate, pipeline = PYNQ.estimate(KWS), PYNQ.pipeline(KWS)
    assert estimate.latency_ms.mid * 1e3 == pytest.approx(pipeline.latency_us)
    assert estimate.energy_uj.mid == pytest.approx(pipeline.latency_us * PYNQ.power_mw / 1e3)
    assert estimate.fits and estimate.flash_bytes == KWS.weight_bytes
    assert sum(layer.latency_ms for layer in estimate.layers) == pytest.approx(estimate.latency_ms.mid)
    assert all(layer.latency_ms >= 0 for layer in estimate.layers)
    many = PYNQ.estimate_many([KWS, reference("kws").with_bits(8), KWS])
    assert many["latency_ms"][0] == many["latency_ms"][2] == pytest.approx(estimate.latency_ms.mid)
    assert many["latency_ms"][1] > many["latency_ms"][0]


def test_what_does_not_fit_says_what_lacks_and_is_priced():
    wide = Layer("fc", "linear", ("input",), (4096,), (1024,))
    estimate = PYNQ.estimate(Workload("wide", (4096,), (wide,)))
    assert not estimate.fits and estimate.missing["bram36"] > 0 and estimate.latency_ms.mid > 0
    unfolded = FPGA("pynq-z2", folding=1)
    pipeline = unfolded.pipeline(reference("kws").with_bits(8))
    assert pipeline.missing == unfolded.estimate(reference("kws").with_bits(8)).missing
    assert pipeline.missing["dsp"] > 8000 and pipeline.interval_cycles == 125  # one cycle for each of 125 positions


def test_reuse_factors_are_taken_as_asked():
    names = [layer.name for layer in KWS.layers if layer.macs]
    one_each = dict.fromkeys(names, 64) | {"conv0": 40}
    pipeline = FPGA("pynq-z2", folding=one_each).pipeline(KWS)
    reuse = {one.name: one.reuse for one in pipeline.stages if one.multipliers}
    assert reuse["conv0"] == 40 and reuse["conv2"] == 64 and reuse["depthwise1"] == 64
    assert reuse["linear11"] == 64
    clipped = FPGA("pynq-z2", flow="hls4ml", folding=16384).pipeline(KWS)  # as far as a layer allows
    assert all(one.multipliers == 1 for one in clipped.stages if one.op != "avgpool" and one.op != "softmax")


def test_a_reuse_factor_that_does_not_divide_takes_the_next_smaller():
    fc = Workload("fc", (10,), (Layer("fc", "linear", ("input",), (10,), (6,)),))
    assert FPGA("pynq-z2", folding=59).pipeline(fc).stages[0].reuse == 30
    assert FPGA("pynq-z2", folding=60).pipeline(fc).stages[0].reuse == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flow": "fin"}, "did you mean finn"),
        ({"flow": "fpgaconvnet"}, "no flow 'fpgaconvnet'"),
        ({"clock_mhz": 0}, "give a number above 0"),
        ({"clock_mhz": float("nan")}, "give a number above 0"),
        ({"clock_mhz": "fast"}, "give a number above 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        FPGA("pynq-z2", **options)


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        (0, "give a whole number"),
        (2.5, "give a whole number"),
        ({"conv": 4}, "no layer 'conv' with weights to fold; did you mean conv"),
        ({"avgpool9": 4}, "no layer 'avgpool9' with weights"),
        ({"conv0": 4}, "leaves out layer 'depthwise1'"),
    ],
)
def test_bad_foldings(folding, message):
    with pytest.raises(ValueError, match=message):
        FPGA("pynq-z2", folding=folding).estimate(KWS)


def test_layers_that_cannot_be_built_are_named():
    window = Layer("window", "window", ("input",), (16, 8), (16, 8))
    fc = Layer("fc", "linear", ("window",), (16, 8), (4,))
    with pytest.raises(ValueError, match=r"pynq-z2 cannot run layer 'window' \(window\): .*compute them on a processor"):
        PYNQ.estimate(Workload("net", (16, 8), (window, fc)))
    with pytest.raises(ValueError, match=r"cannot run layer 'conv0' \(conv\): .*quantize the network first"):
        PYNQ.estimate(reference("kws").with_bits(32))


@given(st.lists(st.integers(0, 8), min_size=4, max_size=12), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_bits_per_channel(bits, activations):
    """The widest channel sets the multipliers' width, pruned channels are not built, and fewer channels never cost more time."""
    conv = Layer("c", "conv", ("input",), (4, 6, 6), (len(bits), 6, 6), (3, 3), (1, 1), (1, 1), weight_bits=tuple(bits))
    workload = Workload("net", (4, 6, 6), (conv,), input_bits=activations)
    device = FPGA("pynq-z2", folding=10**6)
    one = device.pipeline(workload).stages[0]
    kept = sum(width > 0 for width in bits)
    assert one.busy == 36 * kept * 36
    full = dataclasses.replace(conv, weight_bits=tuple(max(bits) for _ in bits))
    assert one.busy <= device.pipeline(dataclasses.replace(workload, layers=(full,))).stages[0].busy


def test_a_faster_clock_helps_the_circuit_not_the_host():
    slow, fast = (FPGA("pynq-z2", clock_mhz=mhz).pipeline(KWS) for mhz in (50, 200))
    assert slow.latency_us - slow.host_us == pytest.approx(4 * (fast.latency_us - fast.host_us))


def test_a_target_is_met_with_the_fewest_multipliers():
    for target in (4000, 16000, 64000):
        pipeline = PYNQ.pipeline(KWS, target_cycles=target)
        assert pipeline.interval_cycles <= target
    counts = [sum(one.multipliers for one in PYNQ.pipeline(KWS, target_cycles=t).stages) for t in (4000, 16000, 64000)]
    assert counts == sorted(counts, reverse=True)
    for nothing in (0, -5, math.nan):
        with pytest.raises(ValueError, match="give a number above 0"):
            PYNQ.pipeline(KWS, target_cycles=nothing)


@pytest.mark.parametrize("network", ["tc-resnet8", "ds-cnn", "har-cnn"])
def test_the_zoo_runs_on_both_boards(network):
    workload = labkit.trace(*build(network)).with_bits(4)
    for device in (PYNQ, ARTY):
        estimate = device.estimate(workload)
        assert estimate.fits and 0 < estimate.latency_ms.low < estimate.latency_ms.high < math.inf
