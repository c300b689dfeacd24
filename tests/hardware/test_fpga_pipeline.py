"""The pipeline: against a plain event loop, cycles against published ones, latency between slowest stage and sum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.hardware.fpga_designs import designs
from labkit.hardware.fpga_pipeline import timing
from labkit.hardware.fpga_resources import flow
from labkit.hardware.fpga_stage import last_needed, stage, stages
from labkit.models import build
from labkit.workload import Layer, Workload
from tests.shared import rows

STREAM, ROWS = flow("hls4ml"), flow("finn")


def convolution(name, source, shape, out, kernel=3, stride=1, padding=1):
    size = tuple((n + 2 * padding - kernel) // stride + 1 for n in shape[1:])
    axes = len(size)
    return Layer(name, "conv", (source,), shape, (out, *size), (kernel,) * axes, (stride,) * axes, (padding,) * axes)


@st.composite
def chains(draw):
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(4, 7), min_size=1, max_size=2)))
    layers, source = [], "input"
    first = shape
    for i in range(draw(st.integers(1, 4))):
        kernel = draw(st.sampled_from([1, 2, 3]))
        if min(shape[1:]) < kernel:
            break
        stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, kernel // 2))
        layers.append(convolution(f"c{i}", source, shape, draw(st.integers(1, 3)), kernel, stride, padding))
        source, shape = layers[-1].name, layers[-1].out_shape
    if draw(st.booleans()):
        layers.append(Layer("fc", "linear", (source,), (math.prod(shape),), (3,)))
    return Workload("chain", first, tuple(layers))


def event_loop(workload, cycles, tool):
    """Position after position, window by window, with loops and without anything clever."""
    width = workload.input_shape[-1]
    done = {"input": {}}
    clock = 0.0
    for place in np.ndindex(*workload.input_shape[1:]):
        clock += workload.input_shape[0] / tool.elements_per_cycle
        done["input"][place] = clock
    for layer, each in zip(workload.layers, cycles, strict=True):
        arrived, free, mine = done[layer.inputs[0]], 0.0, {}
        for place in np.ndindex(*layer.out_shape[1:]):
            if layer.op == "linear":
                ready = max(arrived.values())
            else:
                windows = [
                    [q for q in range(p * s - pad, p * s - pad + k) if 0 <= q < n]
                    for p, s, pad, k, n in zip(place, layer.stride, layer.padding, layer.kernel, layer.in_shape[1:], strict=True)
                ]
                inside = [arrived[q] for q in arrived if all(c in w for c, w in zip(q, windows, strict=True))]
                if tool.whole_rows and len(windows) == 2:
                    width = layer.in_shape[-1]
                    inside += [arrived[row, width - 1] for row in windows[0]]
                ready = max(inside, default=0.0)
            free = max(free, ready) + each
            mine[place] = free
        done[layer.name] = mine
    return [max(done[layer.name].values()) for layer in workload.layers]


@given(chains(), st.data(), st.sampled_from([STREAM, ROWS]))
@settings(max_examples=120, deadline=None)
def test_against_an_event_loop(workload, data, tool):
    cycles = data.draw(st.lists(st.integers(1, 30), min_size=len(workload), max_size=len(workload)))
    result = timing(workload, stages(workload), np.array(cycles, float), tool)
    np.testing.assert_allclose(result.end, event_loop(workload, cycles, tool))


@given(chains(), st.data())
@settings(max_examples=60, deadline=None)
def test_latency_lies_between_the_slowest_stage_and_the_sum(workload, data):
    cycles = np.array(data.draw(st.lists(st.integers(1, 30), min_size=len(workload), max_size=len(workload))), float)
    result = timing(workload, stages(workload), cycles, STREAM)
    assert result.busy.max() <= result.latency <= result.reading + result.busy.sum() + 1e-9
    assert result.interval == max(result.busy.max(), result.reading)
    assert np.all(result.start <= result.first) and np.all(result.first <= result.end)


def test_a_residual_waits_for_both_branches():
    shape = (1, 8, 8)
    slow = convolution("slow", "input", shape, 1)
    add = Layer("add", "add", ("input", "slow"), shape, shape)
    net = Workload("net", shape, (slow, add))
    result = timing(net, stages(net), np.array([5.0, 0.0]), STREAM)
    assert result.end[1] == result.end[0]


def test_a_global_pool_and_a_flattened_picture_wait_for_everything():
    conv = convolution("conv", "input", (1, 4, 4), 2)
    pool = Layer("pool", "avgpool", ("conv",), (2, 4, 4), (2, 1, 1))
    flat = Layer("flat", "linear", ("conv",), (32,), (3,))
    for last in (pool, flat):
        net = Workload("net", (1, 4, 4), (conv, last))
        assert (
            timing(net, stages(net), np.array([3.0, 1.0]), STREAM).start[1]
            == timing(net, stages(net), np.array([3.0, 1.0]), STREAM).end[0]
        )


def test_what_a_window_waits_for():
    pool = Layer("pool", "maxpool", ("input",), (1, 4, 4), (1, 2, 2), (2, 2), (2, 2))
    assert last_needed(pool, False).tolist() == [5, 7, 13, 15]
    assert last_needed(pool, True).tolist() == [7, 7, 15, 15]
    same = Layer("same", "conv", ("input",), (1, 32, 32), (1, 16, 16), (3, 3), (2, 2))  # TensorFlow pads below and to the right
    assert last_needed(same, False)[0] == 2 * 32 + 2
    row = Layer("row", "conv", ("input",), (1, 5), (1, 5), (3,), (1,), (1,))
    assert last_needed(row, True).tolist() == [1, 2, 3, 4, 4]


def test_a_pruned_channel_is_not_built():
    layer = Layer("c", "conv", ("input",), (4, 3, 3), (3, 3, 3), (1, 1), (1, 1), weight_bits=(0, 2, 4))
    one = stage(layer, 8)
    assert (one.outputs, one.weight_bits, one.products) == (2, 4, 8)
    gone = stage(Layer("c", "conv", ("input",), (4, 3, 3), (3, 3, 3), (1, 1), (1, 1), weight_bits=0), 8)
    assert gone.products == 0


def test_cycles_of_the_published_cnv():
    """Research notes and FINN's equation: matrix / (PE · SIMD) · positions."""
    cnv = next(design for design in designs() if design.name == "CNV-W1A1")
    busy = [int(cycles) for one, cycles in zip(cnv.stages, cnv.timing(0).busy, strict=True) if one.dot]
    assert busy == [32400, 28224, 20736, 28800, 20736, 18432, 32768, 32768, 1024]


def test_slowest_stage_and_sum_of_every_given_design():
    given_rows = rows("reference", "fpga_dataflow.csv")
    ours = {(design.board, design.network.removesuffix("cnv") or "ic"): design for design in designs() if design.flow != "hls4ml"}
    assert len(given_rows) == 10
    for row in given_rows:
        design = ours[row["board"], row["benchmark"]]
        times = design.timing(0)
        assert times.busy.max() == float(row["max_layer_cycles(from folding)"])
        assert times.busy.sum() == float(row["sum_layer_cycles(from folding)"])
        assert design.latency_ms == float(row["measured_ms"]) and design.clock_mhz == float(row["MHz"])


@pytest.mark.parametrize("name", ["tc-resnet8", "ds-cnn", "har-cnn"])
def test_networks_of_the_zoo_go_through(name):
    workload = labkit.trace(*build(name))
    parts = stages(workload)
    result = timing(workload, parts, np.ones(len(parts)), STREAM)
    assert np.all(np.isfinite(result.end)) and np.all(result.end >= result.first)
