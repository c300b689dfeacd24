"""Intervals, estimates, and what holds for every device."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.candidates import Candidates
from labkit.explorers import families
from labkit.hardware import Interval
from labkit.hardware.layer_table import LayerTable
from labkit.hardware.reference import NAMES, reference
from labkit.workload import Layer, Workload

positive = st.floats(0, 1e6, allow_nan=False)
intervals = st.tuples(positive, positive, positive).map(lambda ends: Interval(*sorted(ends)))
DEVICES = [labkit.device(name) for name in labkit.devices()]
EVERYTHING = [*map(reference, NAMES), families.tc_resnet8(), families.har_cnn()]


def network(channels=8, outputs=12, length=32, kernel=3, bits=8, stride=1, depthwise=False, pool=False) -> Workload:
    """A small 1-D network: convolution, maybe depthwise, maybe pooling, a dense layer at the end."""
    half = -(-length // stride)
    conv = Layer("conv", "conv", ("input",), (4, length), (channels, half), (kernel,), (stride,), (kernel // 2,), 1, True, bits)
    layers, shape, last = [conv], (channels, half), "conv"
    if depthwise:
        layers.append(Layer("dw", "depthwise", (last,), shape, shape, (3,), (1,), (1,), channels, True, bits))
        last = "dw"
    if pool and half > 1:
        pooled = (channels, half // 2)
        layers.append(Layer("pool", "maxpool", (last,), shape, pooled, (2,), (2,)))
        shape, last = pooled, "pool"
    layers.append(Layer("fc", "linear", (last,), (math.prod(shape),), (outputs,), bias=True, weight_bits=bits))
    return Workload("net", (4, length), tuple(layers))


networks = st.builds(
    network, st.integers(1, 130), st.integers(1, 40), st.integers(2, 64), st.sampled_from([1, 3, 5, 9, 11]),
    st.sampled_from([1, 2, 4, 8]), st.integers(1, 2), st.booleans(), st.booleans(),
)  # fmt: skip


@given(intervals, intervals, positive)
def test_interval_arithmetic_keeps_the_ends_in_order(a, b, factor):
    for result in (a + b, a + factor, factor * a, a * b, sum([a, b])):
        assert result.low <= result.mid <= result.high
    assert (a + b).mid == pytest.approx(a.mid + b.mid)


def test_interval_refuses_crossed_ends():
    with pytest.raises(ValueError, match="low <= mid <= high"):
        Interval(2.0, 1.0, 3.0)


@given(st.lists(networks, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_many_are_priced_as_one_by_one(workloads):
    for device in (labkit.device("nucleo-l4r5zi"), labkit.device("nucleo-g0b1re"), labkit.device("max78000")):
        many = device.estimate_many(workloads)
        for i, workload in enumerate(workloads):
            one = device.estimate(workload)
            assert many["latency_ms"][i] == pytest.approx(one.latency_ms.mid, rel=1e-12)
            assert many["energy_uj"][i] == pytest.approx(one.energy_uj.mid, rel=1e-12)
            assert (many["flash_bytes"][i], many["ram_bytes"][i]) == (one.flash_bytes, one.ram_bytes)
            assert many["fits"][i] == one.fits


@given(st.lists(networks, min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_peak_activations_of_a_table_are_those_of_each_workload(workloads):
    assert LayerTable.of(workloads).peak_activation_bytes.tolist() == [w.peak_activation_bytes for w in workloads]


@pytest.mark.parametrize("name", NAMES)
def test_peak_activations_with_skip_connections(name):
    assert LayerTable.of([reference(name)]).peak_activation_bytes[0] == reference(name).peak_activation_bytes


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.name)
@pytest.mark.parametrize("network", EVERYTHING, ids=lambda network: network.name)
def test_an_estimate_is_whole_or_a_layer_is_refused_by_name(device, network):
    try:
        estimate = device.estimate(network)
    except ValueError as error:
        assert network.name != "tc-resnet8", "the one network that every device can run"
        assert any(f"{device.name} cannot run layer {layer.name!r} ({layer.op}): " in str(error) for layer in network.layers)
        return
    assert 0 < estimate.latency_ms.low <= estimate.latency_ms.mid <= estimate.latency_ms.high
    assert 0 < estimate.energy_uj.low <= estimate.energy_uj.mid <= estimate.energy_uj.high
    assert sum(layer.latency_ms for layer in estimate.layers) == pytest.approx(estimate.latency_ms.mid)
    assert sum(layer.energy_uj for layer in estimate.layers) == pytest.approx(estimate.energy_uj.mid)
    assert [layer.name for layer in estimate.layers] == [layer.name for layer in network.layers]
    assert all(layer.latency_ms >= 0 for layer in estimate.layers) and estimate.missing.keys() <= device.capacity.keys()
    assert estimate.flash_bytes + estimate.ram_bytes > 0 <= min(estimate.flash_bytes, estimate.ram_bytes)
    assert all(sentence.endswith(".") for sentence in estimate.provenance)


def test_json_has_the_fixed_shape():
    data = json.loads(json.dumps(labkit.device("nucleo-l4r5zi").estimate(reference("kws")).as_dict()))
    keys = ["model", "device", "latency_ms", "energy_uj", "flash_bytes", "ram_bytes", "fits", "missing", "layers", "provenance"]
    assert list(data) == keys
    assert list(data["latency_ms"]) == list(data["energy_uj"]) == ["low", "mid", "high"]
    assert list(data["layers"][0]) == ["name", "op", "macs", "latency_ms", "energy_uj"]


@given(networks, st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_more_outputs_are_never_faster(workload, more):
    last = workload.layers[-1]
    wider = Layer("fc", "linear", last.inputs, last.in_shape, (last.out_shape[0] + more,), bias=True, weight_bits=last.weight_bits)
    larger = Workload("wider", workload.input_shape, (*workload.layers[:-1], wider))
    for device in (labkit.device("nucleo-l4r5zi"), labkit.device("nucleo-h7a3zi"), labkit.device("max78000")):
        assert device.estimate(larger).latency_ms.mid >= device.estimate(workload).latency_ms.mid


@given(st.integers(1, 140), st.integers(1, 40), st.sampled_from([1, 3, 5, 7, 9]), st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_more_channels_or_a_larger_kernel_are_never_faster(channels, more, kernel, wider):
    small = network(channels, kernel=kernel)
    large = network(channels + more, kernel=kernel + 2 * wider)
    for device in (labkit.device("nucleo-u575zi"), labkit.device("max78000")):
        assert device.estimate(large).latency_ms.mid >= device.estimate(small).latency_ms.mid


def test_a_network_that_does_not_fit_is_priced_and_says_what_lacks():
    board = labkit.device("nucleo-g0b1re")
    estimate = board.estimate(network(channels=300, outputs=400, length=600))
    assert not estimate.fits and estimate.latency_ms.mid > 0
    needs = {"flash_bytes": estimate.flash_bytes, "ram_bytes": estimate.ram_bytes}
    assert estimate.missing == {name: n - board.capacity[name] for name, n in needs.items() if n > board.capacity[name]}
    assert all(f"{amount:,} {name.replace('_', ' ')}" in str(estimate) for name, amount in estimate.missing.items())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_candidates_are_priced_as_the_networks_they_stand_for(seed):
    rng = np.random.default_rng(seed)
    half = (4, 32), (8, 32)
    convs = [Layer("a", "conv", ("input",), *half, (k,), (1,), (k // 2,), 1, True, bits, act)
             for k in (1, 3, 5) for bits in (2, 8) for act in (4, 8)]  # fmt: skip
    middle = [Layer("b", "depthwise", ("a",), (8, 32), (8, 32), (k,), (1,), (k // 2,), 8, True) for k in (3, 5)]
    middle.append(Layer("b", "conv", ("a",), (8, 32), (8, 32), (1,), (1,), (0,), 1, True, 4, 4))
    adds = [Layer("c", "add", ("a", "b"), (8, 32), (8, 32))]
    heads = [Layer("d", "linear", ("c",), (256,), (classes,), bias=True) for classes in (2, 12)]
    places = [convs, middle, adds, heads]
    choice = np.column_stack([rng.integers(0, len(layers), 7) for layers in places])
    candidates = Candidates("net", (4, 32), places, choice)
    assert candidates.peak_activation_bytes.tolist() == [network.peak_activation_bytes for network in candidates]
    for name in ("nucleo-l4r5zi", "mpic", "max78000"):
        one, many = labkit.device(name).estimate_many(list(candidates)), labkit.device(name).estimate_many(candidates)
        for key in one:
            assert np.allclose(one[key], many[key], rtol=1e-12), (name, key)


def test_candidates_refuse_what_is_no_place_or_no_choice():
    fc = Layer("fc", "linear", ("input",), (64,), (4,), bias=True)
    with pytest.raises(ValueError, match="differ in name"):
        Candidates("x", (64,), [[fc, Layer("other", "linear", ("input",), (64,), (4,))]], [[0]])
    with pytest.raises(ValueError, match="a number from 0 to 0"):
        Candidates("x", (64,), [[fc]], [[1]])
    for choice in ([[0, 0, 0, 0]], [0, 0], [[0.5, 0.0]]):
        with pytest.raises(ValueError, match="a row a network and a column for each of the 2 places"):
            Candidates("x", (64,), [[fc], [Layer("end", "linear", ("fc",), (4,), (4,))]], choice)
    with pytest.raises(ValueError, match="reads 'nobody', which does not run before it"):
        Candidates("x", (64,), [[Layer("fc", "linear", ("nobody",), (64,), (4,))]], [[0]])
    for places in ([], [[]]):
        with pytest.raises(ValueError, match="a layer at least for every place"):
            Candidates("x", (64,), places, [])
    assert labkit.device("nucleo-l4r5zi").estimate_many(Candidates("x", (64,), [[fc]], [])).keys() == {
        "latency_ms", "energy_uj", "flash_bytes", "ram_bytes", "fits"
    }  # fmt: skip


def test_a_choice_that_no_network_makes_is_not_refused():
    """Nor is a layer at a width that it never reads: 'end' reads 16 bits only where `wide` stands before it."""
    narrow, wide = (Layer("fc", "linear", ("input",), (64,), (4,), activation_bits=bits) for bits in (8, 16))
    end = [Layer("end", "linear", ("fc",), (4,), (4,), weight_bits=bits) for bits in (8, 32)]
    device = labkit.device("mpic")
    unused = Candidates("x", (64,), [[wide, narrow], end], [[1, 0], [1, 0]])
    assert device.estimate_many(unused)["latency_ms"].tolist() == device.estimate_many(list(unused))["latency_ms"].tolist()
    with pytest.raises(ValueError, match=r"mpic cannot run layer 'end'"):
        device.estimate_many(Candidates("x", (64,), [[wide, narrow], end], [[1, 0], [0, 0]]))


def test_empty_inputs():
    device = labkit.device("max78000")
    assert device.estimate_many([])["latency_ms"].shape == (0,)
    with pytest.raises(ValueError, match=r"not str; make one with labkit\.trace"):
        DEVICES[0].estimate("ds-cnn")
    with pytest.raises(ValueError, match="wants a list"):
        DEVICES[0].estimate_many(network())
    with pytest.raises(ValueError, match="no layers"):
        device.estimate(Workload("empty", (3,), ()))


def test_unknown_devices_and_options_name_the_nearest():
    with pytest.raises(ValueError, match="did you mean nucleo-l4r5zi"):
        labkit.device("nucleo-l4r5z")
    with pytest.raises(ValueError, match="did you mean x-cube-ai-9"):
        labkit.device("nucleo-l4r5zi", stack="x-cube-ai-99")
    with pytest.raises(ValueError, match="has no option 'stack'; it takes none"):
        labkit.device("max78000", stack="tflm")


def test_ten_thousand_networks_in_seconds():
    workloads = [network(channels, outputs) for channels in range(1, 101) for outputs in range(1, 101)]
    many = labkit.device("nucleo-l4r5zi").estimate_many(workloads)
    assert many["latency_ms"].shape == (10_000,) and np.all(np.diff(many["latency_ms"][::100]) > 0)
