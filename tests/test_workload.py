import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.workload import INPUT, Layer, Workload

sizes = st.integers(1, 12)


@st.composite
def convs(draw):
    channels_in, channels_out = draw(sizes), draw(sizes)
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    out = (channels_out, draw(sizes), draw(sizes))
    return Layer("c", "conv", (INPUT,), (channels_in, 9, 9), out, kernel=kernel, stride=(1, 1), bias=draw(st.booleans()))


@given(convs())
def test_a_convolution_costs_its_six_nested_loops(layer):
    loops = 0
    for _ in range(layer.out_shape[0] * layer.out_shape[1] * layer.out_shape[2]):
        loops += layer.in_channels * layer.kernel[0] * layer.kernel[1]
    assert layer.macs == loops
    assert layer.params == layer.macs // (layer.out_shape[1] * layer.out_shape[2]) + layer.out_channels * layer.bias


@given(convs(), st.integers(0, 8))
def test_weight_bytes_follow_the_bits_of_each_channel(layer, bits):
    mixed = dataclasses.replace(layer, weight_bits=(bits,) * layer.out_channels)
    assert mixed.weight_bytes == dataclasses.replace(layer, weight_bits=bits).weight_bytes
    if bits == 0:
        assert mixed.weight_bytes == 0
    first_pruned = dataclasses.replace(layer, weight_bits=(0,) + (8,) * (layer.out_channels - 1))
    assert layer.weight_bytes - first_pruned.weight_bytes == layer.weights_per_channel + 4 * layer.bias


@given(convs(), st.data())
def test_live_macs_count_what_touches_no_dead_channel(layer, data):
    live_in = data.draw(st.integers(0, layer.in_channels))
    live_out = data.draw(st.integers(0, layer.out_channels))
    live = dataclasses.replace(layer, live_inputs=live_in, live_outputs=live_out)
    assert live.live_macs == live.macs * live_in * live_out // (layer.in_channels * layer.out_channels)


def test_depthwise_dead_channels_count_once():
    layer = Layer("d", "depthwise", (INPUT,), (8, 10), (8, 10), kernel=(3,), live_inputs=4, live_outputs=4)
    assert (layer.macs, layer.live_macs) == (240, 120)
    pruned = dataclasses.replace(layer, weight_bits=(0,) * 6 + (8,) * 2)
    assert pruned.live_macs == 60  # six channels of no bits, four of them without weights anyway


def test_grouped_convolution_divides_the_inputs():
    layer = Layer("g", "conv", (INPUT,), (8, 10), (16, 10), kernel=(3,), groups=4)
    assert (layer.macs, layer.params) == (3 * 2 * 16 * 10, 3 * 2 * 16)


def test_front_end_layers_count_their_arithmetic():
    frames = 49
    window = Layer("window", "window", (INPUT,), (1, 16000), (480, frames))
    fft = Layer("fft", "fft", ("window",), (480, frames), (257, frames), kernel=(512,))
    power = Layer("power", "power", ("fft",), (257, frames), (257, frames))
    mel = Layer("mel", "mel", ("power",), (257, frames), (40, frames))
    dct = Layer("dct", "dct", ("mel",), (40, frames), (10, frames))
    assert [x.macs // frames for x in (window, fft, power, mel, dct)] == [480, 512 * 9, 514, 514, 400]


def test_a_front_end_holds_one_frame_at_a_time_and_all_of_its_result():
    frames = 49
    window = Layer("window", "window", (INPUT,), (1, 16000), (480, frames), activation_bits=16)
    mel = Layer("mel", "mel", ("window",), (480, frames), (40, frames), activation_bits=16)
    log = Layer("log", "log", ("mel",), (40, frames), (40, frames))
    features = Workload("f", (1, 16000), (window, mel, log), input_bits=16)
    assert features.memory_profile.tolist() == [480 * 2 + 480 * 2, 480 * 2 + 40 * 2, 40 * 2 + 40 * frames]
    net = Workload("n", (frames, 40), (Layer("fc", "linear", (INPUT,), (frames, 40), (12,)),))
    assert features.then(net).memory_profile.tolist()[-1] == 40 * frames + 12


def test_memory_profile_keeps_a_shortcut_alive():
    layers = (
        Layer("a", "conv", (INPUT,), (4, 10), (4, 10), kernel=(3,)),
        Layer("b", "conv", ("a",), (4, 10), (8, 10), kernel=(3,)),
        Layer("c", "conv", ("b",), (8, 10), (4, 10), kernel=(3,)),
        Layer("sum", "add", ("c", "a"), (4, 10), (4, 10)),
    )
    workload = Workload("skip", (4, 10), layers)
    assert workload.memory_profile.tolist() == [80, 120, 160, 120]
    assert workload.peak_activation_bytes == 160


def brute_force_peak(workload):
    """Independent oracle: simulate the run, freeing a tensor when nobody reads it later."""
    size = {INPUT: math.prod(workload.input_shape)} | {x.name: x.out_elements for x in workload.layers}
    held, peak = {INPUT}, 0
    for step, layer in enumerate(workload.layers):
        held.add(layer.name)
        peak = max(peak, sum(size[t] for t in held))
        held = {t for t in held if any(t in later.inputs for later in workload.layers[step + 1 :])}
    return peak


@given(st.lists(st.tuples(sizes, st.integers(0, 5)), min_size=1, max_size=8))
def test_peak_memory_equals_a_simulated_run(spec):
    names, layers = [INPUT], []
    channels = {INPUT: 3}
    for i, (out, back) in enumerate(spec):
        source = names[max(0, len(names) - 1 - back)]
        extra = () if source == names[-1] else (names[-1],)
        layers.append(Layer(f"l{i}", "conv", (source, *extra), (channels[source], 7), (out, 7), kernel=(1,)))
        names.append(f"l{i}")
        channels[f"l{i}"] = out
    workload = Workload("random", (3, 7), tuple(layers))
    assert workload.peak_activation_bytes == brute_force_peak(workload)


@given(convs(), st.integers(1, 8))
def test_json_round_trip(layer, bits):
    workload = Workload("w", (layer.in_channels, 9, 9), (dataclasses.replace(layer, weight_bits=(bits,) * layer.out_channels),))
    assert Workload.from_dict(json.loads(json.dumps(workload.to_dict()))) == workload


def test_json_file_round_trip(tmp_path):
    workload = Workload("w", (3, 8), (Layer("c", "conv", (INPUT,), (3, 8), (4, 8), kernel=(3,), weight_bits=(8, 4, 2, 0)),))
    workload.to_json(tmp_path / "w.json")
    assert Workload.from_json(tmp_path / "w.json") == workload


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(nmae=1), "Workload has no 'nmae'; did you mean name"),
        (lambda d: d["layers"][0].update(kernal=[3]), "Layer has no 'kernal'; did you mean kernel"),
        (lambda d: d["layers"][0].pop("op"), "Layer lacks op"),
        (lambda d: d["layers"][0].update(op="convv"), "unknown operation 'convv'; did you mean conv"),
        (lambda d: d["layers"][0].update(inputs=["later"]), "reads 'later', which does not run before it"),
        (lambda d: d["layers"][0].update(weight_bits=[8, 8]), "2 bit widths for 4 output channels"),
        (lambda d: d["layers"][0].update(density=1.5), "density 1.5 is not a share"),
        (lambda d: d["layers"].append(d["layers"][0]), "two layers are called 'c'"),
        (lambda d: d["layers"][0].update(in_shape=[-3, 8]), "in_shape is [-3, 8]; give whole numbers, 1 or more"),
        (lambda d: d["layers"][0].update(in_shape=[]), "must not be empty"),
        (lambda d: d["layers"][0].update(inputs=[]), "must not be empty"),
        (lambda d: d["layers"][0].update(in_shape=5), "not iterable"),
        (lambda d: d["layers"][0].update(kernel=[]), "one size for each axis"),
        (lambda d: d["layers"][0].update(groups=0), "groups is 0"),
        (lambda d: d["layers"][0].update(weight_bits=-8), "weight_bits is -8"),
        (lambda d: d["layers"][0].update(live_inputs="3"), "live_inputs is '3'"),
        (lambda d: d.update(layers=None), "write one with Workload.to_json"),
        (lambda d: d.update(layers=[1]), "write one with Workload.to_json"),
    ],
)
def test_a_wrong_record_is_refused_with_one_sentence(change, sentence):
    data = Workload("w", (3, 8), (Layer("c", "conv", (INPUT,), (3, 8), (4, 8), kernel=(3,)),)).to_dict()
    data = json.loads(json.dumps(data))
    change(data)
    with pytest.raises(ValueError) as error:
        Workload.from_dict(data)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_hold_no_workload(tmp_path):
    for content in (b"{", b"[1]", b"\xff\xfe"):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.json.*Workload\.to_json"):
            Workload.from_json(tmp_path / "x.json")
    with pytest.raises(ValueError, match=r"none\.json cannot be read .*Workload\.to_json"):
        Workload.from_json(tmp_path / "none.json")


def test_layers_are_found_by_name():
    workload = Workload("w", (3, 8), (Layer("conv", "conv", (INPUT,), (3, 8), (4, 8), kernel=(3,)),))
    assert workload["conv"].op == "conv"
    with pytest.raises(KeyError, match="did you mean conv"):
        workload["cnv"]


def test_then_refuses_sizes_that_do_not_fit():
    a = Workload("a", (4,), (Layer("x", "linear", (INPUT,), (4,), (8,)),))
    with pytest.raises(ValueError, match="gives"):
        a.then(Workload("b", (9,), (Layer("y", "linear", (INPUT,), (9,), (2,)),)))


def test_with_bits_changes_memory_in_proportion():
    workload = Workload("w", (4,), (Layer("x", "linear", (INPUT,), (4,), (8,)),))
    assert workload.with_bits(32).peak_activation_bytes == 4 * workload.peak_activation_bytes
    assert workload.with_bits(4).weight_bytes * 2 == workload.weight_bytes


def test_the_waist_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; import labkit; labkit.Workload; print('torch' in sys.modules and 1)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "1"


def test_channel_bits_has_one_entry_per_channel():
    layer = Layer("c", "conv", (INPUT,), (3, 8), (4, 8), kernel=(3,))
    np.testing.assert_array_equal(layer.channel_bits, [8, 8, 8, 8])
