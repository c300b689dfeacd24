"""GAP8 and GAP9: the cluster's equation against its loops, NE16 against a walk over its blocks, GAP9 against MLPerf Tiny."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.hardware import gap, ne16
from labkit.hardware.catalog import load
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.reference import reference
from labkit.hardware.validation import gap as validation
from labkit.workload import Layer, Workload
from tests.hardware.test_max78000 import like_tinyissimo
from tests.shared import rows

GAP8, GAP9 = gap.GAP8(), gap.GAP9()


def conv(channels=16, out=32, size=(8, 8), kernel=(3, 3), stride=1, op="conv", **more) -> Layer:
    groups = channels if op == "depthwise" else more.pop("groups", 1)
    shape = (channels, *(n * stride for n in size))
    padding = tuple(k // 2 for k in kernel)
    return Layer("conv", op, ("input",), shape, (out, *size), kernel, (stride,) * len(size), padding, groups, **more)


def table(layer: Layer) -> LayerTable:
    return LayerTable.of([Workload("net", layer.in_shape, (layer,))])


def walk(channels, out, height, width, kernel, depthwise, stride, bits) -> int:
    """NE16 block by block, with the cycles that its performance model gives to each step."""
    side, cycles = (2 if stride == 2 else 3), 0
    for _ in range(0, height, side):
        for _ in range(0, width, side):
            for first in range(0, out, 16 if depthwise else 32):
                made = min(16 if depthwise else 32, out - first)
                for _ in range(0, 1 if depthwise else channels, 16):
                    cycles += 10 + 9 if kernel == 1 else 6 + 25  # load
                    cycles += 6 + (made if depthwise else 0)  # offset of the weights
                    cycles += 6 + made * (1 if kernel == 1 else bits)  # one bit of each weight a cycle
                    cycles += 2
                cycles += 9 + made + 8 + math.ceil(made / 8)  # scales, biases
                cycles += 3 + 9 + 1  # store
    return cycles


@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.integers(1, 9),
    st.sampled_from([("1x1", 1, False), ("3x3", 3, False), ("depthwise", 3, True)]), st.integers(1, 2), st.integers(2, 8),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_ne16_is_a_walk_over_its_blocks(channels, out, height, width, kind, stride, bits):
    _, kernel, depthwise = kind
    cycles = ne16.layer_cycles(
        in_channels=channels, out_channels=out, rows=height, cols=width, stride=stride, kernel=kernel, depthwise=depthwise,
        weight_bits=bits,
    )  # fmt: skip
    assert cycles == walk(channels, out, height, width, kernel, depthwise, stride, bits)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3, 5]))
@settings(max_examples=60, deadline=None)
def test_the_cluster_loop_by_loop(channels, out, height, width, side):
    """Eight columns at a time, two rows each; rearrange the input, then four channels and four products at a time."""
    layer = conv(channels, out, (height, width), (side, side))
    each = 2 * side * side * channels
    for _ in range(0, out, 4):
        each += 5 + 14 * math.ceil(side * side * channels / 4) + 10
    expected = sum(each for _ in range(0, width, 8) for _ in range(0, height, 2))
    assert gap.cluster_cycles(table(layer))[0] == expected
    depthwise = conv(channels, channels, (height, width), (side, side), op="depthwise")
    assert gap.cluster_cycles(table(depthwise))[0] == 4 * math.ceil(channels / 4) * height * width * side * side
    linear = Layer("fc", "linear", ("input",), (channels,), (out,))
    assert gap.cluster_cycles(table(linear))[0] == math.ceil(channels / 2) * math.ceil(out / 4)


def test_a_worked_example_of_gap8():
    """16 to 32 channels, 3x3, 8x8 positions: 4 steps of 288 + 8 (15 + 14 · 36) = 17 760 cycles, 0.197 ms at 90 MHz."""
    estimate = GAP8.estimate(Workload("net", (16, 8, 8), (conv(),)))
    assert estimate.latency_ms.mid == pytest.approx(17_760 / 90e3)
    assert estimate.energy_uj.mid == pytest.approx(17_760 / 90e3 * 50)
    assert estimate.energy_uj.high > 75 * estimate.latency_ms.mid  # the published worst case lies inside


def test_gap8_energy_of_a_face_network():
    """A survey (openreview hw6s-qry_qx, abstract) measured 0.52 mJ for a network of 8.2 M MACs; ours of that size is in reach."""
    ic = reference("ic")
    scaled = GAP8.estimate(ic).energy_uj * (8.2e6 / ic.macs)
    assert 520 in scaled


def test_the_engine_takes_what_it_knows():
    yes = [conv(), conv(kernel=(1, 1)), conv(stride=2), conv(16, 16, op="depthwise"), conv(size=(8,), kernel=(1,))]
    no = [conv(kernel=(5, 5)), conv(kernel=(3, 1)), conv(stride=4), conv(groups=2), conv(size=(8,), kernel=(3,))]
    no.append(conv(16, 16, kernel=(5, 5), op="depthwise"))
    assert all(gap.on_engine(table(layer))[0] for layer in yes)
    assert not any(gap.on_engine(table(layer))[0] for layer in no)
    assert gap.on_engine(table(Layer("fc", "linear", ("input",), (64,), (10,))))[0]


def test_gap9_is_its_parts():
    """Engine, weights at 8 bytes a cycle, base power and picojoules a MAC."""
    layer = conv(bias=True)
    estimate = GAP9.estimate(Workload("net", layer.in_shape, (layer,)))
    cycles = walk(16, 32, 8, 8, 3, False, 1, 8) + layer.weight_bytes / 8
    assert estimate.latency_ms.mid == pytest.approx(cycles / 370e3)
    assert estimate.energy_uj.mid == pytest.approx(cycles / 370e3 * 42.8 + layer.macs * 1.23e-6)
    outside = conv(kernel=(5, 5))
    other = GAP9.estimate(Workload("net", outside.in_shape, (outside,)))
    assert other.latency_ms.mid == pytest.approx(float(gap.cluster_cycles(table(outside))[0]) / 370e3)
    assert any("on the eight cores" in sentence for sentence in other.provenance)


def test_narrow_weights_and_pruned_channels_cost_less():
    ms = lambda **more: GAP9.estimate(Workload("net", (16, 8, 8), (conv(**more),))).latency_ms.mid  # noqa: E731
    assert ms(weight_bits=2) < ms(weight_bits=4) < ms(weight_bits=8)
    one, two = (gap.engine_cycles(table(conv(weight_bits=bits)))[0] for bits in (1, 2))
    assert one == two  # the engine has 2 to 8 bits
    assert ms(weight_bits=(8,) * 16 + (0,) * 16) < ms()
    assert ms(weight_bits=0) == 0


def test_mlperf_measurements_are_the_published_ones():
    published = [r for r in rows("reference", "mlperf_tiny.csv") if r["system"].startswith("gap9") and r["latency_ms"]]
    ours = {(m.benchmark, m.clock_mhz): m for m in validation.measurements()}
    assert len(published) == len(ours) == 8
    for row in published:
        measured = ours[row["benchmark"], float(row["clock_MHz"])]
        assert (measured.latency_ms, measured.energy_uj) == (float(row["latency_ms"]), float(row["energy_uJ"]))


def test_both_points_took_the_same_cycles():
    cycles = {(m.benchmark, m.clock_mhz): m.cycles for m in validation.measurements()}
    for (benchmark, clock), value in cycles.items():
        assert value == pytest.approx(cycles[benchmark, 240 if clock == 370 else 370], rel=0.002)


def test_the_energy_in_the_catalog_is_the_fit():
    for clock, point in load("gap")["gap9"]["points"].items():
        fit = validation.fit_energy([m for m in validation.measurements() if m.clock_mhz == float(clock)])
        assert fit == pytest.approx((point["base_mw"].value, point["pj_per_mac"].value), rel=0.005)


@pytest.mark.parametrize("measured", validation.measurements(), ids=lambda m: f"{m.benchmark}-{m.clock_mhz:g}")
def test_measurements_lie_inside_the_interval(measured):
    estimate = gap.GAP9(int(measured.clock_mhz)).estimate(reference(measured.benchmark))
    assert measured.latency_ms in estimate.latency_ms and measured.energy_uj in estimate.energy_uj


def test_a_detector_from_another_paper():
    """TinyissimoYOLO on GAP9 (arXiv 2307.05999, abstract): 2.12 ms and 150 µJ; a network of its size, our guess of layers."""
    estimate = GAP9.estimate(like_tinyissimo())
    assert 0.5 < estimate.latency_ms.mid / 2.12 < 1.5
    assert 0.5 < estimate.energy_uj.mid / 150 < 1.5


@pytest.mark.parametrize("device", [GAP8, GAP9], ids=lambda d: d.name)
def test_every_reference_network_has_a_price(device):
    networks = [reference(name) for name in ("ad", "ic", "kws", "vww", "sww")]
    many = device.estimate_many(networks)
    for i, workload in enumerate(networks):
        one = device.estimate(workload)
        assert many["latency_ms"][i] == pytest.approx(one.latency_ms.mid) and one.latency_ms.low < one.latency_ms.high
        assert all(sentence.endswith(".") for sentence in one.provenance)
        assert one.fits and one.energy_uj.low < one.energy_uj.mid < one.energy_uj.high


def test_what_does_not_fit_and_what_cannot_run():
    dense = Layer("fc", "linear", ("input",), (1000,), (2200,))
    assert GAP8.estimate(Workload("net", (1000,), (dense,))).missing.keys() == {"flash_bytes", "ram_bytes"}
    assert GAP9.estimate(Workload("net", (1000,), (dense,))).missing == {"flash_bytes": 2_200_000 + 60_000 - 2_097_152}
    wide = Layer("fc", "linear", ("input",), (10,), (10,), weight_bits=16)
    for device in (GAP8, GAP9):
        with pytest.raises(ValueError, match=rf"{device.name} cannot run layer 'fc' \(linear\).*quantize the network first"):
            device.estimate(Workload("net", (10,), (wide,)))
    with pytest.raises(ValueError, match="gap9 was not measured at 300 MHz; did you mean"):
        gap.GAP9(300)
