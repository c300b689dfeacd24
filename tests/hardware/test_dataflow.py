"""Dataflows: closed forms against loops that run, Eyeriss' published figures, and what each dataflow is known for."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import labkit
from labkit import models
from labkit.hardware.catalog import KINDS, load
from labkit.hardware.dataflow import DATAFLOWS, LEVELS, Array, Costs, Loops, eyeriss, move, move_network
from labkit.hardware.dataflow_mappings import row_plan
from labkit.hardware.dataflow_occupancy import busy
from labkit.hardware.dataflow_tiles import outside, tile_bytes, tiling
from labkit.hardware.reference import reference
from labkit.workload import Layer
from tests.hardware.loop_nest import run

few = st.integers(1, 5)
LOOPS = st.builds(
    Loops,
    m=st.integers(1, 7),
    c=few,
    p=few,
    q=few,
    r=st.integers(1, 3),
    s=st.integers(1, 3),
    stride_y=st.integers(1, 3),
    stride_x=st.integers(1, 3),
    groups=st.integers(1, 2),
)
ARRAYS = st.builds(
    Array,
    rows=few,
    columns=few,
    buffer_bytes=st.one_of(st.integers(20, 300), st.just(4096)),
    register_bytes=st.integers(10, 60),
    word_bits=st.just(8),
    sum_bits=st.sampled_from([8, 32]),
    external_memory=st.booleans(),
)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@given(loops=LOOPS, array=ARRAYS)
@settings(max_examples=60, deadline=None)
def test_closed_forms_equal_loops_that_run(dataflow, loops, array):
    """Every word at every level, and every cycle."""
    try:
        result = move(loops, dataflow, array)
    except ValueError:
        assume(False)
    machine = run(loops, array, dataflow)
    assert set(machine.done.values()) == {loops.c * loops.r * loops.s} and len(machine.done) == loops.outputs
    assert result.words.tolist() == machine.words.tolist()
    assert (result.cycles, result.macs) == (machine.cycles, machine.macs)
    assert busy(loops, dataflow, array).tolist() == machine.work.tolist()
    assert machine.work.max() <= machine.cycles


def cost(loops, array, m, p, c, filters_outside) -> float:
    words = outside(loops, np.array([m]), np.array([p]), np.array([c]), filters_outside).sum()
    sums = loops.m * loops.p * loops.q * -(-loops.c // c)
    return 200 * words + 12 * array.sum_bytes * sums


@given(loops=LOOPS, array=ARRAYS)
@settings(max_examples=60, deadline=None)
def test_no_cut_that_fits_costs_less(loops, array):
    """Every tile size is tried, not only the even ones."""
    array = dataclasses.replace(array, external_memory=True)
    try:
        cut = tiling(loops, array)
    except ValueError:
        assert tile_bytes(loops, array, 1, 1, 1) > array.buffer_bytes
        return
    assert tile_bytes(loops, array, cut.m, cut.p, cut.c) <= array.buffer_bytes
    chosen = cost(loops, array, cut.m, cut.p, cut.c, cut.filters_outside)
    for m, p, c in itertools.product(*(range(1, bound + 1) for bound in (loops.m, loops.p, loops.c))):
        if tile_bytes(loops, array, m, p, c) <= array.buffer_bytes:
            assert all(chosen <= cost(loops, array, m, p, c, order) for order in (True, False))


def test_a_toy_by_hand():
    """2 × 2 weights on a 2 × 2 array, 3 positions: 12 MACs. Each weight is loaded once and used three times."""
    toy, array = Loops(m=2, c=2, p=1, q=3, r=1, s=1), Array(rows=2, columns=2)
    stationary = move(toy, "weight stationary", array)
    assert stationary.words.tolist() == [[12, 0, 0], [4, 12, 6], [4, 6, 6], [4, 6, 6]]
    assert (stationary.cycles, stationary.utilisation) == (3, 1.0)
    assert move(toy, "no local reuse", array).words.tolist() == [[0, 0, 0], [12, 12, 6], [12, 6, 6], [4, 6, 6]]
    output = move(toy, "output stationary", array)  # 3 positions on 2 rows: the second round is half empty
    assert output.words.tolist() == [[0, 0, 24], [12, 12, 0], [8, 6, 6], [4, 6, 6]]
    assert (output.cycles, output.utilisation) == (4, 0.75)


CHIP = Array(rows=12, columns=14, buffer_bytes=108 * 1024, register_bytes=522, word_bits=16, sum_bits=16)
PAPER = Array(rows=16, columns=16, buffer_bytes=128 * 1024, register_bytes=512, word_bits=16, sum_bits=16)


@pytest.mark.parametrize("name", eyeriss())
def test_active_elements_of_the_chip(name):
    """JSSC 2017, table V: 154, 135, 156, 156, 156 of 168 elements multiply. Conv3: our cut of 11 channels fills 4 sets badly."""
    loops, published = eyeriss()[name]
    result = move(loops, "row stationary", CHIP)
    assert result.macs / result.cycles == pytest.approx(published["active_pes"], rel=0.1 if name == "conv3" else 0.02)


@pytest.mark.parametrize("name", eyeriss())
def test_time_of_the_chip(name):
    """The chip is 4 to 16 % slower than one product a cycle and element: it also loads filters and waits for memory."""
    loops, published = eyeriss()[name]
    milliseconds = 4 * move(loops, "row stationary", CHIP).cycles / 200e3
    assert 0.8 < milliseconds / published["latency_ms"] < 1


@pytest.mark.parametrize("name", eyeriss())
def test_arithmetic_and_registers_of_the_paper(name):
    """ISCA 2016, figure 10 (16 images): four accesses of the registers for each multiplication."""
    loops, published = eyeriss()[name]
    result = move(loops, "row stationary", PAPER)
    assert 16 * result.macs / 1e9 == pytest.approx(published["alu"], abs=0.006)
    assert 16 * result.energy(Costs.eyeriss())[0].sum() / 1e9 == pytest.approx(published["registers"], abs=0.006)


def test_dram_of_the_paper():
    """16 images share their weights there, one image loads them alone here: the same order, more where weights dominate."""
    ratios = {}
    for name, (loops, published) in eyeriss().items():
        ratios[name] = 16 * move(loops, "row stationary", PAPER).energy(Costs.eyeriss())[3].sum() / 1e9 / published["dram"]
    assert all(0.7 < ratio < 1.8 for ratio in ratios.values())
    assert ratios["conv1"] < 1 < ratios["conv5"]


def test_row_stationary_saves_what_the_paper_says():
    """AlexNet's convolutions: 1.4 to 2.5 times less than the others. There: 16 images, equal area; here: one image, equal array."""
    total = dict.fromkeys(DATAFLOWS, 0.0)
    for loops, _ in eyeriss().values():
        for dataflow in DATAFLOWS:
            result = move(loops, dataflow, PAPER)
            total[dataflow] += result.macs * result.per_mac(Costs.eyeriss()).mid
    ratio = {name: energy / total["row stationary"] for name, energy in total.items()}
    assert ratio["weight stationary"] == pytest.approx(1.39, abs=0.01)
    assert ratio["output stationary"] == pytest.approx(1.44, abs=0.01)
    assert ratio["no local reuse"] == pytest.approx(2.46, abs=0.01)


def test_depthwise_layers_starve_an_array_that_wants_channels():
    layer = reference("kws").layers[1]
    assert layer.op == "depthwise"
    used = {dataflow: move(layer, dataflow).utilisation for dataflow in DATAFLOWS}
    assert used["weight stationary"] == used["no local reuse"] == 1 / 256
    assert used["output stationary"] == pytest.approx(125 / (8 * 16 * 16))  # 125 positions in 8 rounds; one filter, one column
    assert used["row stationary"] == pytest.approx(3 * 12.5 / 256)  # 3 rows of the kernel by 16, then by 9 rows of the output


def test_a_network_is_the_sum_of_its_layers():
    network = labkit.trace(*models.build("tc-resnet8"))
    layers = [layer for layer in network.layers if layer.op in ("conv", "depthwise", "linear")]
    for dataflow in DATAFLOWS:
        whole, parts = move_network(network, dataflow), [move(layer, dataflow) for layer in layers]
        assert whole.macs == network.macs == sum(part.macs for part in parts)
        assert whole.cycles == sum(part.cycles for part in parts)
        assert whole.words.tolist() == np.sum([part.words for part in parts], axis=0).tolist()


def test_what_fits_is_fetched_once():
    for layer in reference("kws").layers:
        if layer.op in ("conv", "linear"):
            loops = Loops.of(layer)
            for dataflow in DATAFLOWS:
                assert move(layer, dataflow).words[3].tolist() == [loops.weights, loops.inputs, loops.outputs]


def test_without_external_memory_nothing_leaves_the_chip():
    layer = reference("kws").layers[2]
    alone = Array(external_memory=False)
    assert move(layer, "weight stationary", alone).words[3].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"layer takes 44,096 bytes, the buffer has 16,384"):
        move(layer, "weight stationary", Array(external_memory=False, buffer_bytes=16384))


@given(loops=LOOPS)
@settings(max_examples=60, deadline=None)
def test_a_larger_buffer_never_makes_a_layer_dearer_to_feed(loops):
    costs = []
    for array in (Array(buffer_bytes=size) for size in (150, 300, 600, 5000)):
        try:
            cut = tiling(loops, array)
        except ValueError:
            assert not costs
        else:
            costs.append(cost(loops, array, cut.m, cut.p, cut.c, cut.filters_outside))
    assert costs == sorted(costs, reverse=True)
    assert cut.words == (loops.weights, loops.inputs, loops.outputs)  # 5,000 bytes hold any of these layers


def test_energy_by_hand():
    result = move(Loops(m=2, c=2, p=1, q=3, r=1, s=1), "weight stationary", Array(rows=2, columns=2, word_bits=16, sum_bits=16))
    energy = result.energy(Costs.eyeriss())
    assert energy.sum(axis=1).tolist() == [12, 2 * 22, 6 * 16, 200 * 16]
    assert result.per_mac(Costs.eyeriss()).mid == pytest.approx(1 + (12 + 44 + 96 + 3200) / 12)


def test_sums_are_wide_inside_and_narrow_outside():
    result = move(Loops(m=4, c=2, p=1, q=3, r=1, s=1), "output stationary", Array())
    assert (result.bytes[2:, 2] / result.words[2:, 2]).tolist() == [4.0, 1.0]


def test_constants_have_sources_and_the_published_ratios():
    table = load("dataflow")
    assert [table["eyeriss"][level].value for level in LEVELS] == [1, 2, 6, 200]
    assert all(q.kind in KINDS and q.source for part in table.values() for q in part.values())
    assert Costs.at_45nm(Array()).byte[2] < Costs.at_45nm(Array(buffer_bytes=2**20)).byte[2] == pytest.approx(100 / 8)


def test_shapes_of_layers():
    one_d = Layer("c", "conv", ("input",), (8, 50), (16, 25), kernel=(9,), stride=(2,), padding=(4,))
    assert Loops.of(one_d) == Loops(m=16, c=8, p=1, q=25, r=1, s=9, stride_x=2)
    plain = Layer("c", "conv", ("input",), (8, 50), (16, 42), kernel=(9,))
    assert Loops.of(plain) == Loops(m=16, c=8, p=1, q=42, r=1, s=9)
    assert Loops.of(reference("kws").layers[1]).groups == 64
    for name in ("kws", "ic", "ad", "vww"):
        for layer in reference(name).layers:
            if layer.op in ("conv", "depthwise", "linear"):
                loops = Loops.of(layer)
                assert (loops.macs, loops.outputs) == (layer.macs, layer.out_elements)


def test_bad_input():
    pool = Layer("pool", "avgpool", ("input",), (8, 4, 4), (8, 1, 1), kernel=(4, 4), stride=(4, 4))
    with pytest.raises(ValueError, match=r"cannot run layer 'pool' \(avgpool\)"):
        move(pool, "weight stationary")
    with pytest.raises(ValueError, match="did you mean weight stationary"):
        move(reference("kws").layers[0], "weights stationary")
    with pytest.raises(ValueError, match="smallest tile takes"):
        move(reference("kws").layers[0], "row stationary", Array(buffer_bytes=50))
    with pytest.raises(ValueError, match="12 bytes of registers for a kernel 4 wide; this array has 8"):
        move(reference("kws").layers[0], "row stationary", Array(register_bytes=8))
    for wrong in (0, -3, 2.5, True, float("nan")):
        with pytest.raises(ValueError, match="loop m runs"):
            Loops(m=wrong, c=1, p=1, q=1, r=1, s=1)
    with pytest.raises(ValueError, match="rows = 0 cannot be built"):
        Array(rows=0)
    nothing = labkit.Workload("pool", (8, 4, 4), (pool,))
    with pytest.raises(ValueError, match="no layer with weights"):
        move_network(nothing, "row stationary")


def test_registers_are_never_overfilled():
    for layer in reference("vww").layers:
        if layer.op in ("conv", "depthwise", "linear"):
            loops = dataclasses.replace(Loops.of(layer), groups=1)
            filters, channels = row_plan(loops, Array())
            assert filters * channels * loops.s + channels * loops.s + 4 * filters <= 512
