"""Computing in phase-change memory: cells and products counted by hand, energy from the published figures, what it refuses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.hardware.analog_memory import PCMComputeInMemory, adc_bits, utilisation
from labkit.hardware.reference import reference
from labkit.workload import Layer, Workload
from tests.shared import rows

DEVICE = PCMComputeInMemory()
PUBLISHED = {8: (8.55, 4.34), 6: (26.55, 12.64), 4: (56.67, 25.2)}  # TOPS/W: keywords, people


def conv(channels=16, out=32, size=8, groups=1, bits=8, name="conv") -> Layer:
    op = "depthwise" if groups == channels > 1 else "conv"
    return Layer(name, op, ("input",), (channels, size, size), (out, size, size), (3, 3), (1, 1), (1, 1), groups, True, bits)


def network(*layers: Layer, bits=8) -> Workload:
    return Workload("net", layers[0].in_shape, layers, input_bits=bits)


@pytest.mark.parametrize("bits", (8, 6, 4))
def test_energy_is_two_operations_a_mac(bits):
    layer, (best, worst) = conv(), PUBLISHED[bits]
    energy = PCMComputeInMemory(bits).estimate(network(layer)).energy_uj
    assert energy.low == pytest.approx(2e-6 * layer.macs / best / 1.5)
    assert energy.mid == pytest.approx(2e-6 * layer.macs / math.sqrt(best * worst))
    assert energy.high == pytest.approx(2e-6 * layer.macs / worst * 1.5)


def test_the_figures_are_the_published_ones():
    published = [r for r in rows("reference", "published_figures.csv") if "IEEE Micro" in r["source"]]
    assert len(published) == 2
    for row in published:
        which = 0 if row["metric"].startswith("KWS") else 1
        assert [PUBLISHED[bits][which] for bits in adc_bits()] == [float(value) for value in row["value"].split("/")]


def test_cells_and_products_of_a_dense_layer_by_hand():
    """16 channels × 3×3 are 144 rows, 32 columns; 64 positions take one product of 130 ns each."""
    workload = network(conv())
    assert needs(workload)["crossbar_cells"] == 144 * 32
    assert DEVICE.estimate(workload).latency_ms.mid == pytest.approx(64 * 130e-6)


def test_a_layer_larger_than_the_array_takes_turns():
    """1,100 inputs need two blocks of rows; 300 columns need three turns of 128 converters."""
    layer = Layer("fc", "linear", ("input",), (1100,), (300,))
    assert DEVICE.estimate(network(layer)).latency_ms.mid == pytest.approx(2 * 3 * 130e-6)


def test_a_depthwise_layer_takes_and_drives_its_whole_block():
    dense, depthwise = conv(16, 16), conv(16, 16, groups=16)
    assert depthwise.macs * 16 == dense.macs
    one, other = DEVICE.estimate(network(dense)), DEVICE.estimate(network(depthwise))
    assert needs(network(depthwise)) == needs(network(dense))
    assert other.energy_uj.mid == pytest.approx(one.energy_uj.mid)
    assert other.energy_uj.low == pytest.approx(one.energy_uj.low / 16)  # if its empty cells cost nothing
    assert other.latency_ms == one.latency_ms
    assert utilisation(depthwise) == 1 / 16 and utilisation(dense) == 1
    assert any("6% of the cells hold a weight" in sentence for sentence in other.provenance)
    assert not any("Depthwise" in sentence for sentence in one.provenance)


def needs(workload: Workload) -> dict[str, float]:
    from labkit.hardware.layer_table import LayerTable

    return {name: float(need[0]) for name, need in DEVICE.price(LayerTable.of([workload])).needs.items()}


def test_cells_of_the_reference_keyword_network():
    """40·64 + 4·(576·64 + 64·64) + 64·12: depthwise blocks are nine tenths of it. (Whole network: 21,952 weights.)"""
    assert needs(reference("kws"))["crossbar_cells"] == 40 * 64 + 4 * (576 * 64 + 64 * 64) + 64 * 12
    assert DEVICE.estimate(reference("kws")).fits


def test_what_does_not_fit_is_counted_in_cells():
    estimate = DEVICE.estimate(reference("vww"))
    assert estimate.missing["crossbar_cells"] == needs(reference("vww"))["crossbar_cells"] - 1024 * 512 > 0
    assert estimate.energy_uj.mid > 0
    assert "crossbar cells missing" in str(estimate)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_a_pruned_channel_has_no_column(channel_bits):
    workload = network(conv(out=len(channel_bits), bits=tuple(channel_bits)))
    kept = sum(bits > 0 for bits in channel_bits)
    found = needs(workload)
    assert found["crossbar_cells"] == pytest.approx(144 * kept)
    assert found["flash_bytes"] == pytest.approx(8 * kept)
    useful = 144 * kept * 64
    assert DEVICE.estimate(workload).energy_uj.mid == pytest.approx(2e-6 * useful / math.sqrt(8.55 * 4.34))


def test_fewer_bits_in_the_converters_cost_less_energy_and_time():
    estimates = [PCMComputeInMemory(bits).estimate(reference("kws")) for bits in adc_bits()]
    assert [e.energy_uj.mid for e in estimates] == sorted((e.energy_uj.mid for e in estimates), reverse=True)
    assert [e.latency_ms.mid for e in estimates] == sorted((e.latency_ms.mid for e in estimates), reverse=True)
    assert not any("rounded by the converters" in s for s in estimates[0].provenance)
    assert any("more than 4 bits are rounded by the converters" in s for s in estimates[-1].provenance)


def test_the_peak_that_the_paper_is_remembered_for():
    """A full array in four turns: 2.0, 7.7 and 26 TOPS. Recalled, like the times it follows from; they agree with each other."""
    peak = {bits: 2 * 1024 * 512 / (4 * PCMComputeInMemory(bits).product_ms * 1e9) for bits in adc_bits()}
    assert {bits: round(tops, 1) for bits, tops in peak.items()} == {8: 2.0, 6: 7.7, 4: 26.2}


def test_plain_layers_run_on_the_core_and_say_so():
    layer = conv()
    pool = Layer("pool", "avgpool", ("conv",), layer.out_shape, (32, 1, 1), (8, 8), (8, 8))
    estimate = DEVICE.estimate(network(layer, pool))
    assert estimate.layers[1].latency_ms == pytest.approx(32 * 64 * 2 / 200e3)  # two cycles an input, 200 MHz
    assert estimate.layers[1].energy_uj == pytest.approx(32 * 64 * 2 * 6e-6)
    assert any("core of 200 MHz" in sentence for sentence in estimate.provenance)


def test_a_layer_that_it_cannot_run_is_named():
    with pytest.raises(ValueError, match=r"pcm-cim cannot run layer 'conv' \(conv\): its converters end at 8 bits; quantize"):
        DEVICE.estimate(network(conv(), bits=16))


def test_the_width_of_the_weights_does_not_matter():
    """A cell holds one conductance, whatever number it came from."""
    assert DEVICE.estimate(network(conv(bits=4))).energy_uj == DEVICE.estimate(network(conv(bits=8))).energy_uj


@pytest.mark.parametrize("bits", (5, 16, None))
def test_converters_without_figures(bits):
    with pytest.raises(ValueError, match=r"no figures for converters of .*; known: 8, 6, 4"):
        PCMComputeInMemory(bits)


def test_many_are_priced_as_one_by_one():
    workloads = [reference(name) for name in ("kws", "ic", "ad", "vww")]
    many = DEVICE.estimate_many(workloads)
    for i, workload in enumerate(workloads):
        one = DEVICE.estimate(workload)
        np.testing.assert_allclose(
            [many[key][i] for key in ("latency_ms", "energy_uj")], [one.latency_ms.mid, one.energy_uj.mid], rtol=1e-12
        )
        assert many["fits"][i] == one.fits
