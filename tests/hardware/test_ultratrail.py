"""UltraTrail: cycles against a loop nest that multiplies, what the chip can run, what fits, and the one published chip."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import labkit
from labkit.candidates import Candidates
from labkit.hardware.catalog import load
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.ultratrail import UltraTrail
from labkit.hardware.ultratrail_area import memory_depth
from labkit.hardware.ultratrail_cycles import cycles_and_words, taps
from labkit.models import build
from labkit.workload import Layer, Workload

TC_RESNET8 = labkit.trace(*build("tc-resnet8"))


def conv(name="conv", channels=40, out=16, width=101, kernel=9, stride=2, padding=None, source="input") -> Layer:
    padding = kernel // 2 if padding is None else padding
    places = (width + 2 * padding - kernel) // stride + 1
    return Layer(name, "conv", (source,), (channels, width), (out, places), (kernel,), (stride,), (padding,), bias=True)


def network(*layers: Layer) -> Workload:
    return Workload("net", layers[0].in_shape, layers)


def cycles(*layers: Layer, array=8) -> list[int]:
    return cycles_and_words(LayerTable.of([network(*layers)]), array)[0].tolist()


def array_cycles(array, channels, out, kernel, stride, padding, width) -> tuple[int, np.ndarray]:
    """The array at work: one tap of one tile a cycle, none for a tap on padding. Cycles, and how often each weight was used."""
    spent, used = 1, np.zeros((out, channels, kernel), dtype=int)
    places = (width + 2 * padding - kernel) // stride + 1
    for k in range(0, out, array):
        for c in range(0, channels, array):
            for place in range(places):
                for tap in range(kernel):
                    if 0 <= place * stride + tap - padding < width:
                        spent += 1
                        used[k : k + array, c : c + array, tap] += 1
    return spent, used


shapes = st.fixed_dictionaries(
    {
        "array": st.integers(1, 9),
        "channels": st.integers(1, 20),
        "out": st.integers(1, 20),
        "kernel": st.integers(1, 11),
        "stride": st.sampled_from([1, 2, 3, 4, 16]),
        "width": st.integers(1, 40),
        "padding": st.integers(0, 6),
    }
)


@given(shapes)
@settings(max_examples=150, deadline=None)
def test_cycles_are_those_of_a_loop_nest(shape):
    """Also every multiply-accumulate is done: summed over the weights they are those of a convolution without its padding."""
    array, kernel, padding, width = (shape.pop(name) for name in ("array", "kernel", "padding", "width"))
    padding = min(padding, kernel - 1)
    assume(width + 2 * padding >= kernel)
    assume(width >= kernel // 2 or padding != kernel // 2)  # narrower than half a kernel has a test of its own
    layer = conv(**shape, kernel=kernel, padding=padding, width=width)
    spent, used = array_cycles(array, shape["channels"], shape["out"], kernel, shape["stride"], padding, width)
    assert cycles(layer, array=array) == [spent]
    once = np.convolve(np.pad(np.ones(width), padding), np.ones(kernel), "valid")[:: shape["stride"]].sum()
    assert used.sum() == shape["channels"] * shape["out"] * once


def test_a_worked_example():
    """40 to 16 channels on an 8 × 8 array are 5 · 2 tiles; 51 places of 9 taps lose 4 + 2 at either end."""
    assert cycles(conv(kernel=9, stride=2, width=101)) == [1 + 10 * (51 * 9 - 12)]
    assert cycles(Layer("fc", "linear", ("input",), (48,), (12,))) == [1 + 6 * 2]


@pytest.mark.parametrize(
    ("kernel", "stride", "width", "published", "counted"), [(9, 2, 2, -1, 2), (11, 1, 1, -19, 1), (7, 1, 1, -5, 1)]
)
def test_where_the_published_formula_falls_below_zero(kernel, stride, width, published, counted):
    """Layers of two published networks, whose totals are therefore too low (one is −94 cycles): here taps are counted."""
    half = kernel // 2
    places = (width + 2 * half - kernel) // stride + 1
    right = (places - 1) * stride + kernel - half - width
    assert places * kernel - sum(range(half, 0, -stride)) - sum(range(right, 0, -stride)) == published
    assert taps(kernel, stride, half, width) == counted


@given(st.integers(0, 5), st.sampled_from([1, 2, 4, 16]), st.integers(1, 130))
def test_a_layer_always_takes_time(half, stride, width):
    assert taps(2 * half + 1, stride, half, width) >= 1


def test_additions_and_pooling_are_free():
    skip = Layer("add", "add", ("conv", "input"), (40, 101), (40, 101))
    pool = Layer("pool", "avgpool", ("add",), (40, 101), (40, 1), (101,), (101,))
    first = conv(out=40, stride=1, kernel=1)
    assert cycles(first, skip, pool) == [1 + 25 * 101, 0, 0]


def test_a_larger_array_is_never_slower():
    spent = [UltraTrail(array=n).estimate(TC_RESNET8).latency_ms.mid for n in (1, 2, 4, 8, 16)]
    assert spent == sorted(spent, reverse=True)
    assert spent[0] > 3.5 * spent[1] > 12 * spent[2]


def test_latency_is_cycles_over_clock_and_exact():
    layers = [layer for layer in TC_RESNET8.layers if layer.op in ("conv", "linear")]
    spent = sum(
        array_cycles(8, layer.in_channels, layer.out_channels, *shape)[0]
        for layer in layers
        for shape in [(*layer.kernel, *layer.stride, *layer.padding, layer.in_shape[1]) if layer.op == "conv" else (1, 1, 0, 1)]
    )
    estimate = UltraTrail().estimate(TC_RESNET8)
    assert estimate.latency_ms.mid == pytest.approx(spent / 250, rel=1e-12)
    assert estimate.latency_ms.low == estimate.latency_ms.mid == estimate.latency_ms.high
    assert UltraTrail(clock_khz=500).estimate(TC_RESNET8).latency_ms.mid == pytest.approx(spent / 500, rel=1e-12)


def test_the_published_chip():
    """8.2 µW for TC-ResNet8, an inference in 100 ms. The model of the generator says 6 % more at 6 bits."""
    published = load("ultratrail")["silicon"]["power_uw"].value
    said = {}
    for bits in (6, 8):
        narrow = TC_RESNET8.with_bits(bits)
        chip = UltraTrail.sized_for(narrow, array=8, weight_bits=bits, activation_bits=bits)
        estimate = chip.estimate(narrow)
        said[bits] = chip.power_uw(narrow)
        assert estimate.fits and 80 < estimate.latency_ms.mid < 100
    assert said[6].mid / published == pytest.approx(1.06, abs=0.01) and published in said[6]
    assert said[8].mid / published == pytest.approx(1.34, abs=0.02) and published in said[8]
    sentence = next(s for s in estimate.provenance if "8.2 µW" in s)
    assert f"{said[6].mid:.1f} at 6 bits" in sentence and f"{said[8].mid:.0f} at 8" in sentence


def test_energy_is_power_times_period_and_standby_is_most_of_a_small_network():
    narrow = network(conv(out=4, stride=16, kernel=1)).with_bits(6)
    chip = UltraTrail(array=2, weight_bits=6, activation_bits=6)
    estimate = chip.estimate(narrow)
    assert chip.power_uw(narrow).mid == pytest.approx(estimate.energy_uj.mid / 0.1)
    twice = UltraTrail(array=2, weight_bits=6, activation_bits=6, period_ms=200).estimate(narrow)
    assert 1.9 < twice.energy_uj.mid / estimate.energy_uj.mid < 2


def test_energy_per_operation_is_plausible():
    """Switching of the whole chip in 22 nm: between a tenth and one picojoule for each of the 64 multipliers."""
    per_cycle_pj = 1e-3 * load("ultratrail_fitted")["power"]["fj_per_cycle_um2"].value * UltraTrail().area_um2.mid
    assert 0.1 < per_cycle_pj / 64 < 1


@pytest.mark.parametrize(
    ("option", "values"),
    [("weight_bits", (4, 6, 8)), ("activation_bits", (4, 6, 8)), ("weight_words", (256, 512, 4096)), ("array", (4, 6, 9))],
)
def test_more_of_anything_is_larger_and_thirstier(option, values):
    chips = [UltraTrail(**{"array": 4, "weight_bits": 4, "activation_bits": 4, option: value}) for value in values]
    tiny = network(conv(channels=4, out=4, kernel=3)).with_bits(4)  # one tile on all of them: no array is faster
    areas, powers = [chip.area_um2.mid for chip in chips], [chip.power_uw(tiny).mid for chip in chips]
    assert areas == sorted(set(areas)) and powers == sorted(set(powers))


@given(st.integers(1, 5000))
def test_memory_comes_in_steps(words):
    depth = memory_depth(words)
    assert depth >= max(words, 128) and depth % 32 == 0 and (depth < words + 32 or depth == 128)


def test_sized_for_holds_the_network_just_so():
    narrow = TC_RESNET8.with_bits(6)
    chip = UltraTrail.sized_for(narrow, array=4, weight_bits=6, activation_bits=6, clock_khz=1000)
    estimate = chip.estimate(narrow)
    assert estimate.fits and 0 <= chip.flash_bytes - estimate.flash_bytes < 32 * 16 * 6 / 8
    # weights without biases, tiles of 4 x 4 filled up: all channel counts divide by 4
    weights = sum(math.prod((layer.out_channels, layer.weights_per_channel)) for layer in TC_RESNET8.layers)
    assert estimate.flash_bytes == weights * 6 / 8


def test_what_does_not_fit_is_named_and_priced():
    estimate = UltraTrail(array=2, weight_words=1000).estimate(TC_RESNET8)
    assert not estimate.fits and set(estimate.missing) == {"flash_bytes", "cycles"}
    assert estimate.missing["flash_bytes"] == estimate.flash_bytes - 1024 * 4
    assert estimate.missing["cycles"] == round(estimate.latency_ms.mid * 250) - 25_000
    assert estimate.energy_uj.mid > 0


def test_wider_intervals_outside_of_the_fit():
    narrow = TC_RESNET8.with_bits(6)
    inside = UltraTrail(array=8, weight_bits=6, activation_bits=6).estimate(narrow)
    for options in ({"array": 16}, {"weight_bits": 8}, {"activation_bits": 8}, {"clock_khz": 500}):
        outside = UltraTrail(**({"array": 8, "weight_bits": 6, "activation_bits": 6} | options)).estimate(narrow)
        assert outside.energy_uj.high / outside.energy_uj.mid > inside.energy_uj.high / inside.energy_uj.mid
        assert any("outside those of the fit" in sentence for sentence in outside.provenance)
    assert not any("outside those of the fit" in sentence for sentence in inside.provenance)
    factors = [area.high / area.mid for area in (UltraTrail(array=n).area_um2 for n in (8, 16, 32, 64))]
    assert factors == sorted(set(factors))


CANNOT = [
    (Layer("x", "conv", ("input",), (1, 40, 98), (4, 38, 96), (3, 3), (1, 1), (0, 0)), "one axis"),
    (Layer("x", "depthwise", ("input",), (40, 98), (40, 98), (3,), (1,), (1,), groups=40), "dense"),
    (Layer("x", "conv", ("input",), (40, 98), (40, 98), (3,), (1,), (1,), groups=2), "one group"),
    (Layer("x", "maxpool", ("input",), (40, 98), (40, 49), (2,), (2,)), "strides"),
    (Layer("x", "avgpool", ("input",), (40, 98), (40, 49), (2,), (2,)), "all of time"),
    (Layer("x", "mul", ("input", "input"), (40, 98), (40, 98)), "adds"),
    (Layer("x", "concat", ("input", "input"), (40, 98), (80, 98)), "adds"),
    (Layer("x", "activation", ("input",), (40, 98), (40, 98)), "ReLU"),
    (Layer("x", "norm", ("input",), (40, 98), (40, 98)), "fold"),
    (Layer("x", "mel", ("input",), (257, 98), (40, 98)), "microcontroller"),
    (Layer("x", "linear", ("input",), (40,), (12,), weight_bits=9), "wider than the chip's 8 bits"),
]


@pytest.mark.parametrize(("layer", "why"), CANNOT, ids=lambda value: getattr(value, "op", ""))
def test_a_layer_that_it_cannot_run_is_named(layer, why):
    with pytest.raises(ValueError, match=rf"ultratrail cannot run layer 'x' \({layer.op}\).*{why}"):
        UltraTrail().estimate(network(layer))


def test_a_layer_without_stride_and_margin_has_those_of_its_shapes():
    said = Layer("x", "conv", ("input",), (40, 98), (16, 98), (9,), (1,), (4,))
    left_out = dataclasses.replace(said, stride=(), padding=())
    assert UltraTrail().estimate(network(left_out)).latency_ms == UltraTrail().estimate(network(said)).latency_ms


def test_pruned_channels_are_not_built():
    whole = Layer("x", "conv", ("input",), (8, 20), (16, 20), (3,), (1,), (1,))
    half, none = (dataclasses.replace(whole, weight_bits=bits) for bits in ((0, 8) * 8, 0))
    estimates = [UltraTrail().estimate(network(layer)) for layer in (whole, half, none)]
    assert [round(e.latency_ms.mid * 250) for e in estimates] == [1 + 2 * 58, 1 + 58, 0]
    assert [e.flash_bytes for e in estimates] == [16 * 8 * 3, 8 * 8 * 3, 0]


def test_features_wider_than_the_chip():
    with pytest.raises(ValueError, match=r"'features.0'.*features wider than the chip's 6 bits.*with_bits"):
        UltraTrail(activation_bits=6).estimate(TC_RESNET8)


def test_softmax_is_left_to_the_host():
    fc = Layer("fc", "linear", ("input",), (48,), (12,))
    soft = Layer("softmax", "softmax", ("fc",), (12,), (12,))
    estimate = UltraTrail().estimate(network(fc, soft))
    assert estimate.layers[1].latency_ms == 0 and any("Softmax" in sentence for sentence in estimate.provenance)


@pytest.mark.parametrize(
    ("option", "value"),
    [("array", 0), ("array", 2.5), ("array", 65), ("weight_bits", 0), ("activation_bits", 17), ("clock_khz", -1),
     ("clock_khz", math.nan), ("period_ms", math.inf), ("weight_words", 0), ("clock_khz", "fast")],
)  # fmt: skip
def test_options_that_make_no_chip(option, value):
    with pytest.raises(ValueError, match=rf"UltraTrail: {option} is .*give"):
        UltraTrail(**{option: value})


def candidates(count: int) -> Candidates:
    kernels, widths = (1, 3, 5, 7, 9), (16, 24, 32)
    places = [
        [conv("a", 40, 32, 98, k, s) for k in kernels for s in (2,)],
        [conv("b", 32, 32, 49, k, 1, source="a") for k in kernels],
        [conv("c", 32, w, 49, k, 7, source="b") for k in kernels for w in widths],
    ]
    draw = np.random.default_rng(0)
    return Candidates("many", (40, 98), places, np.column_stack([draw.integers(len(p), size=count) for p in places]))


def test_many_are_priced_as_one_by_one():
    chip, many = UltraTrail(array=4), candidates(40)
    together, listed = chip.estimate_many(many), chip.estimate_many(list(many))
    for i, workload in enumerate(many):
        one = chip.estimate(workload)
        for answer in (together, listed):
            assert answer["latency_ms"][i] == pytest.approx(one.latency_ms.mid, rel=1e-12)
            assert answer["energy_uj"][i] == pytest.approx(one.energy_uj.mid, rel=1e-12)
            assert (answer["flash_bytes"][i], answer["ram_bytes"][i]) == (one.flash_bytes, one.ram_bytes)
            assert answer["fits"][i] == one.fits
    assert all(len(values) == 0 for values in chip.estimate_many([]).values())
