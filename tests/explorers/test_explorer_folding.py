"""The folding explorer: its numbers are the device's, every setting draws, and it says when the chip is too small."""

import itertools

import pytest

from labkit.explorers import FoldingExplorer
from labkit.explorers.folding import BALANCED, INTERVALS, NETWORKS, REUSES, UNIFORM, workload
from labkit.explorers.folding_picture import duty
from labkit.explorers.view import View
from labkit.hardware.fpga import FPGA


def test_numbers_are_those_of_the_device():
    explorer = FoldingExplorer(board="arty-a7-100t", flow="hls4ml", cycles=65536, bits=4)
    r = explorer.result
    device = FPGA("arty-a7-100t", flow="hls4ml")
    assert r.pipeline == device.pipeline(workload(explorer.network, 4), target_cycles=65536)
    assert r.best == device.pipeline(workload(explorer.network, 4))
    best = device.estimate(workload(explorer.network, 4))
    assert best.latency_ms.mid * 1e3 == pytest.approx(r.best.latency_us)
    assert r.energy_uj.mid == pytest.approx(r.pipeline.latency_us * device.power_mw / 1e3)
    assert explorer.sources() == best.provenance


def test_the_table_and_the_sentence_say_the_same():
    explorer = FoldingExplorer()
    table = dict(explorer.rows(explorer.result))
    for name in ("latency", "interval", "energy (board)", "slowest"):
        assert table[name] in explorer.status
    assert table["DSP slices"] == f"{explorer.result.pipeline.needs['dsp']:,}" and "whole board" in explorer.status


def test_does_not_fit_is_red_and_says_what_lacks():
    explorer = FoldingExplorer(cycles=512)
    view = View(explorer)
    lacks = explorer.result.pipeline.missing
    assert not explorer.fits and set(lacks) == {"dsp", "lut"}
    assert f"lacks {lacks['dsp']:,} DSP slices and {lacks['lut']:,} LUTs" in explorer.status
    assert "the fastest that fits gives an answer every 160 µs" in explorer.status and "#D55E00" in view.status.value
    explorer.bits = 1
    assert explorer.fits and explorer.status.startswith("Fits")


def test_one_reuse_factor_for_all_leaves_layers_waiting():
    """Layers behind a stride have fewer positions, and a convolution's reuse is by position."""
    images = "images (ResNet-8)"
    uniform, balanced = FoldingExplorer(network=images, fold=UNIFORM, cycles=64), FoldingExplorer(network=images, cycles=65536)
    busy = [sorted(duty(one) for one in explorer.result.stages) for explorer in (uniform, balanced)]
    assert busy[0][0] < 0.1 < 0.4 < busy[1][0]
    assert all(0 < share <= 1 + 1e-9 for shares in busy for share in shares)
    assert all(one.reuse <= 64 for one in uniform.result.stages)


def test_another_way_of_folding_counts_other_cycles():
    explorer = FoldingExplorer()
    explorer.fold = UNIFORM
    assert explorer.cycles in REUSES and explorer.result.pipeline == FPGA("pynq-z2", folding=explorer.cycles).pipeline(
        workload(explorer.network, 8)
    )
    explorer.fold = BALANCED
    assert explorer.cycles in INTERVALS
    with pytest.raises(ValueError, match="cycles cannot be 100"):
        FoldingExplorer(cycles=100)


def test_the_pipeline_is_faster_than_one_after_the_other():
    for network in NETWORKS:
        r = FoldingExplorer(network=network, cycles=2**18).result
        assert r.pipeline.interval_us < r.pipeline.latency_us < r.sum_us * 1.2


def test_the_ghost_is_the_folding_before():
    view = View(FoldingExplorer())
    first = view.image.value
    view.explorer.cycles = 4096
    assert view.explorer.ghost.pipeline.interval_cycles == 16000 and view.image.value != first
    view.explorer.network = "motion (1-D CNN)"
    assert view.explorer.ghost.network != view.explorer.result.network


@pytest.mark.parametrize("network", NETWORKS)
def test_every_setting_draws(network):
    view = View(FoldingExplorer(network=network))
    explorer = view.explorer
    for explorer.flow, explorer.fold in itertools.product(("finn", "hls4ml"), (BALANCED, UNIFORM)):
        choices = explorer.settings()["cycles"].choices(explorer)
        for explorer.cycles, explorer.bits in ((choices[0], 1), (choices[7], 4), (choices[-1], 8)):
            r = explorer.result
            assert not explorer.problem and r.multipliers >= len(r.stages) > 0
            assert len(explorer.rows(r)) == 12 and "nan" not in explorer.status and "e+" not in explorer.status
