"""The MAX78000: cycles against the vendor's vectors and against a second, plain way of counting; mapping, memory, energy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.hardware.catalog import read_csv
from labkit.hardware.max78000_cycles import layer_cycles
from labkit.hardware.max78000_mapping import COLUMNS, map_workload
from labkit.hardware.validation import max78000 as validation
from labkit.workload import Layer, Workload
from tests.shared import rows

DEVICE = labkit.device("max78000")


def conv(name="conv", source="input", channels=8, out=16, size=(16, 16), kernel=(3, 3), stride=(1, 1), op="conv", **more) -> Layer:
    out_size = tuple(math.ceil(n / s) for n, s in zip(size, stride, strict=True))
    groups = channels if op == "depthwise" else 1
    padding = tuple(k // 2 for k in kernel)
    return Layer(name, op, (source,), (channels, *size), (out, *out_size), kernel, stride, padding, groups, bias=True, **more)


def mapped(*layers) -> list:
    return map_workload(Workload("net", layers[0].in_shape, layers))


def arguments(mapped_layer) -> dict:
    return dict(zip(COLUMNS, mapped_layer.columns, strict=True))


def check(row: dict, total: str):
    given = {name: int(value) for name, value in row.items() if name not in (total, "source")}
    assert int(layer_cycles(**given)) + 1 == int(row[total])


@pytest.mark.parametrize("row", read_csv("max78000_cycle_vectors"), ids=lambda r: r["cycles"])
def test_shipped_vectors_are_exact(row):
    check(row, "cycles")


def test_reference_vectors_are_exact():
    for row in rows("reference", "max78000_cycle_vectors.csv"):
        check(row, "total_cycles_incl_1_startup")


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 20), st.integers(2, 100), st.integers(1, 3))
def test_a_1x1_layer_by_hand(channels, rows, cols, out, operands):
    """Every position: read each pass of each operand, write it, then one cycle per output channel and pass."""
    passes = math.ceil(channels / 64)
    expected = rows * cols * (2 * passes * operands + passes * out)
    assert layer_cycles(input_chan=channels, in_rows=rows, in_cols=cols, output_chan=out, operands=operands) == expected


@given(st.integers(1, 100), st.integers(3, 20), st.integers(3, 20), st.integers(2, 100))
def test_an_unpadded_3x3_layer_row_by_row(channels, rows, cols, out):
    passes = math.ceil(channels / 64)
    read = 2 * passes
    total = 0
    for row in range(rows):
        for col in range(cols):
            computes = row >= 2 and col >= 2
            total += read + (passes * out if computes else 1)  # one extra cycle while the line buffer fills
    assert layer_cycles(input_chan=channels, in_rows=rows, in_cols=cols, output_chan=out, k_rows=3, k_cols=3) == total


@given(st.integers(1, 80), st.integers(4, 20), st.integers(4, 20), st.integers(1, 40), st.integers(1, 3), st.integers(1, 3))
def test_a_transposed_layer_is_one_of_twice_the_size(channels, rows, cols, out, pool, stride):
    """Zeros are inserted first, then the larger image is pooled."""
    shared = {"input_chan": channels, "output_chan": out, "k_rows": 3, "k_cols": 3, "pad_rows": 1, "pad_cols": 1}
    shared |= {"pool_rows": pool, "pool_cols": pool, "pool_stride_rows": stride, "pool_stride_cols": stride}
    transposed = layer_cycles(in_rows=rows, in_cols=cols, transposed=1, **shared)
    assert transposed == layer_cycles(in_rows=2 * rows, in_cols=2 * cols, **shared)


@given(st.integers(1, 200), st.integers(3, 30), st.integers(3, 30), st.integers(1, 100))
def test_a_streaming_layer_takes_half_as_long_again(channels, rows, cols, out):
    shape = {"input_chan": channels, "in_rows": rows, "in_cols": cols, "output_chan": out, "k_rows": 3, "k_cols": 3}
    assert layer_cycles(streaming=1, **shape) == math.ceil(1.5 * int(layer_cycles(**shape)))


@given(st.integers(1, 200), st.integers(2, 20), st.integers(2, 20), st.integers(2, 4), st.integers(1, 4))
def test_combining_before_or_after_pooling(channels, rows, cols, operands, pool):
    """One pass pools each operand and writes it (pool first), or combines everything it reads and writes once (combine first)."""
    shape = {"input_chan": channels, "in_rows": rows, "in_cols": cols, "output_chan": 1, "operands": operands, "passthrough": 1}
    shape |= {"pool_rows": min(pool, rows), "pool_cols": min(pool, cols)}
    passes, window = math.ceil(channels / 64), min(pool, rows) * min(pool, cols)
    positions = (rows - min(pool, rows) + 1) * (cols - min(pool, cols) + 1)
    assert layer_cycles(pool_first=1, **shape) == positions * passes * (operands * (window + 1) + 1)
    assert layer_cycles(pool_first=0, **shape) == positions * passes * (operands * window + 1 + 1)


def test_a_network_pays_one_cycle_to_start():
    layer = conv()
    cycles = layer_cycles(input_chan=8, in_rows=16, in_cols=16, output_chan=16, k_rows=3, k_cols=3, pad_rows=1, pad_cols=1)
    estimate = DEVICE.estimate(Workload("net", layer.in_shape, (layer,)))
    assert estimate.latency_ms.mid == pytest.approx((int(cycles) + 1) / 50e3)


def test_pooling_goes_into_the_next_convolution():
    pool = Layer("pool", "maxpool", ("conv",), (16, 16, 16), (16, 8, 8), kernel=(2, 2), stride=(2, 2))
    layers = mapped(conv(), pool, conv("next", "pool", 16, 8, (8, 8)))
    assert layers[1] is None
    fused = arguments(layers[2])
    assert (fused["in_rows"], fused["pool_rows"], fused["pool_stride_rows"], fused["pad_rows"]) == (16, 2, 2, 1)


def test_pooling_at_the_end_is_a_layer_of_its_own():
    pool = Layer("pool", "avgpool", ("conv",), (16, 16, 16), (16, 1, 1), kernel=(16, 16), stride=(16, 16))
    assert arguments(mapped(conv(), pool)[1])["passthrough"] == 1


def test_a_residual_addition_is_an_operand_of_the_next_convolution():
    add = Layer("add", "add", ("conv", "input"), (8, 16, 16), (8, 16, 16))
    layers = mapped(conv(out=8), add, conv("next", "add"))
    assert layers[1] is None and arguments(layers[2])["operands"] == 2


def test_a_depthwise_layer_is_dense_and_says_so():
    layer = conv(op="depthwise", channels=16)
    (depthwise,) = mapped(layer)
    assert not depthwise.native and depthwise.weight_bytes == 9 * 16 * 16
    estimate = DEVICE.estimate(Workload("net", layer.in_shape, (layer,)))
    assert any("depthwise" in sentence for sentence in estimate.provenance)
    assert estimate.latency_ms.high == pytest.approx(2 * estimate.latency_ms.mid, rel=1e-3)


def test_stride_becomes_channels():
    """A 4x4 kernel of stride 2 is a 2x2 kernel over four times the channels, computed on the 3x3 engine."""
    (strided,) = mapped(conv(kernel=(4, 4), stride=(2, 2)))
    a = arguments(strided)
    assert (a["input_chan"], a["in_rows"], a["k_rows"], strided.native) == (4 * 8, 8, 3, False)


def test_large_kernels_become_tiles():
    (tiled,) = mapped(conv(channels=1, kernel=(5, 5)))
    assert arguments(tiled)["input_chan"] == 4 and not tiled.native
    long = Layer("long", "conv", ("input",), (4, 100), (8, 100), (11,), (1,), (5,))
    assert arguments(mapped(long)[0])["input_chan"] == 8


def test_one_dimension_is_one_column():
    (layer,) = mapped(Layer("c", "conv", ("input",), (6, 128), (16, 124), (9,), (1,), (2,)))
    a = arguments(layer)
    assert (a["in_rows"], a["in_cols"], a["k_rows"], a["k_cols"], a["pad_rows"], layer.native) == (128, 1, 9, 1, 2, True)
    (margin,) = mapped(Layer("c", "conv", ("input",), (6, 128), (16, 128), (9,), (1,), (4,)))  # four zeros are written as data
    assert (arguments(margin)["pad_rows"], margin.native) == (4, False)


@pytest.mark.parametrize(("bits", "stored"), [(1, 1), (2, 2), (3, 4), (4, 4), (8, 8)])
def test_weights_take_the_next_width_that_the_device_has(bits, stored):
    (layer,) = mapped(conv(weight_bits=bits))
    assert layer.weight_bytes == 9 * 8 * 16 * stored // 8


def test_what_does_not_fit():
    dense = Layer("fc", "linear", ("input",), (1000,), (443,), bias=True)
    assert not DEVICE.estimate(Workload("weights", (1000,), (dense,))).fits
    assert DEVICE.estimate(Workload("weights", (1000,), (dense,)).with_bits(4)).fits
    with pytest.raises(ValueError, match="8 bits or fewer"):
        DEVICE.estimate(Workload("weights", (1000,), (dense,)).with_bits(32))


def test_pruned_channels_are_not_compiled():
    half, narrow, none = mapped(conv(weight_bits=(0, 8) * 8)), mapped(conv(out=8)), mapped(conv(weight_bits=0))
    assert half == narrow and none == [None]


def test_a_layer_that_it_cannot_run_is_named():
    wide = conv(size=(4, 4), activation_bits=16)
    pool = Layer("pool", "maxpool", ("conv",), wide.out_shape, (16, 2, 2), (2, 2), (2, 2))
    with pytest.raises(ValueError, match=r"cannot run layer 'pool' \(maxpool\).*quantize what this layer reads"):
        DEVICE.estimate(Workload("net", wide.in_shape, (wide, pool)))
    dense = Layer("fc", "linear", ("input",), (8,), (4,), weight_bits=16)
    with pytest.raises(ValueError, match=r"max78000 cannot run layer 'fc' \(linear\).*quantize the network first"):
        DEVICE.estimate(Workload("net", (8,), (dense,)))
    long = Layer("long", "conv", ("input",), (1, 16_000), (8, 16_000), (9,), (1,), (4,))
    with pytest.raises(ValueError, match=r"cannot run layer 'long' \(conv\).*1,024 rows or columns"):
        DEVICE.estimate(Workload("net", (1, 16_000), (long,)))
    first = conv(size=(20, 20), out=4)
    flat = Layer("flat", "linear", ("conv",), (4 * 400,), (10,))
    with pytest.raises(ValueError, match=r"cannot run layer 'flat' \(linear\).*256 positions"):
        DEVICE.estimate(Workload("net", first.in_shape, (first, flat)))


def test_every_resource_that_lacks_is_named():
    layers, source = [], "input"
    for number in range(33):
        layers.append(conv(f"conv{number}", source, channels=64, out=64))
        source = layers[-1].name
    missing = DEVICE.estimate(Workload("deep", layers[0].in_shape, tuple(layers))).missing
    assert missing == {"flash_bytes": 33 * 9 * 64 * 64 - 442_368, "bias_bytes": 33 * 64 - 2048, "layers": 1}
    layers = [conv("conv0", "input", 3, 3, (100, 100))]
    for number in range(1, 9):
        layers.append(conv(f"conv{number}", f"conv{number - 1}", 3, 3, (100, 100)))
    assert DEVICE.estimate(Workload("large", (3, 100, 100), tuple(layers))).missing == {"streaming_layers": 1}


@pytest.mark.parametrize("op", ["maxpool", "avgpool", "add", "mul", "activation", "norm", "softmax"])
def test_every_plain_operation_has_a_price(op):
    first = conv(out=8)
    inputs = ("conv", "input") if op in ("add", "mul") else ("conv",)
    out = (8, 8, 8) if "pool" in op else (8, 16, 16)
    window = ((2, 2), (2, 2)) if "pool" in op else ((), ())
    second = Layer(op, op, inputs, (8, 16, 16), out, *window)
    cost = DEVICE.estimate(Workload("net", first.in_shape, (first, second))).layers[1]
    assert cost.latency_ms > 0
    one_d = Layer("conv", "conv", ("input",), (8, 16), (8, 16), (3,), (1,), (1,))
    out = (8, 8) if "pool" in op else (8, 16)
    second = Layer(op, op, inputs, (8, 16), out, *(w[:1] for w in window))
    assert DEVICE.estimate(Workload("net", (8, 16), (one_d, second))).layers[1].latency_ms > 0


def test_a_concatenation_is_free():
    """Both layers write side by side; the next one reads all channels."""
    both = Layer("both", "concat", ("conv", "input"), (8, 16, 16), (16, 16, 16))
    layers = mapped(conv(out=8), both, conv("next", "both", 16))
    assert layers[1] is None and arguments(layers[2])["input_chan"] == 16


def test_a_linear_layer_takes_a_pass_for_each_position_that_it_flattens():
    """12 channels of 4x4: 16 passes of 12 channels, though the 192 numbers would fit into three passes of 64."""
    first = conv(out=12, size=(4, 4))
    flat = Layer("flat", "linear", ("conv",), (192,), (10,))
    a = arguments(mapped(first, flat)[1])
    assert (a["multipass"], a["flatten"], a["input_chan"]) == (16, 1, 192)
    alone = Layer("flat", "linear", ("input",), (192,), (10,))  # the input is laid out as it suits
    assert arguments(mapped(alone)[0])["multipass"] == 3


def test_pooling_without_a_window_pools_over_everything():
    pool = Layer("pool", "avgpool", ("conv",), (16, 16, 16), (16, 1, 1))
    a = arguments(mapped(conv(), pool)[1])
    assert (a["pool_rows"], a["pool_cols"], a["pool_stride_rows"]) == (16, 16, 16)


@pytest.mark.parametrize("name", validation.measured())
def test_the_examples_are_what_the_compiler_printed(name):
    network, printed = validation.network(name), validation.measured()[name]
    assert network.macs == int(printed["macs"])
    assert DEVICE.estimate(network).flash_bytes == int(printed["weight_bytes"])


@pytest.mark.parametrize("name", [name for name, row in validation.measured().items() if row["fifo"] == "0"])
def test_silicon_lies_inside_the_interval(name):
    """Four networks whose input is in place before the engine starts: 0.3 to 2 % slower than the equation."""
    assert float(validation.measured()[name]["us"]) / 1e3 in DEVICE.estimate(validation.network(name)).latency_ms


def like_tinyissimo() -> Workload:
    """A detector on 88x88 pixels with 422 k parameters and 30 M MACs, as TinyissimoYOLO has; its layers are our guess."""
    layers = []
    for number, (channels, out, side) in enumerate([(3, 16, 88), (16, 32, 44), (32, 64, 22), (64, 64, 11), (64, 64, 11)]):
        source = "input" if not number else f"conv{number - 1}"
        if number and side < layers[-1].out_shape[1]:
            shape = (channels, 2 * side, 2 * side)
            layers.append(Layer(f"pool{number}", "maxpool", (source,), shape, (channels, side, side), (2, 2), (2, 2)))
            source = f"pool{number}"
        layers.append(conv(f"conv{number}", source, channels, out, (side, side)))
    layers.append(Layer("fc", "linear", ("conv4",), (64 * 121,), (42,), bias=True))
    return Workload("like TinyissimoYOLO", (3, 88, 88), tuple(layers))


def test_both_energy_anchors_lie_inside_the_interval():
    """TinyissimoYOLO: 196 uJ and 180 frames/s. The KWS paper: 251 uJ; its network is not known, the vendor's two are alike."""
    detector = like_tinyissimo()
    assert detector.params == pytest.approx(422_000, rel=0.02)
    estimate = DEVICE.estimate(detector)
    assert 196 in estimate.energy_uj
    assert estimate.latency_ms.mid == pytest.approx(1000 / 180, rel=0.15)
    assert detector.macs / (estimate.latency_ms.mid * 50e3) > 106  # MAC a cycle, as its abstract says
    for name in ("kws20-v3", "kws20-nas"):
        assert 251 in DEVICE.estimate(validation.network(name)).energy_uj


def test_published_pairs_of_energy_and_time():
    """TinyissimoYOLO: 196 uJ at 180 frames/s. A face-recognition network (survey): 90 uJ in 1.4 ms. KWS: 251 uJ, time assumed."""
    for ms, published_uj in ((1000 / 180, 196), (1.4, 90), (1.41, 251)):
        low, high = (power * ms for power in (DEVICE.power_mw.low, DEVICE.power_mw.high))
        assert low * 0.99 <= published_uj <= high * 1.01


def test_weight_loading_is_priced_apart():
    layer = conv()
    network = Workload("net", layer.in_shape, (layer,))
    time, energy = DEVICE.weight_loading(network)
    assert time.mid == pytest.approx((9 * 8 * 16 + 16) / 4 * 8 / 100e3)
    assert energy.low < energy.mid < energy.high


def test_a_large_input_streams():
    layer = conv(channels=3, size=(128, 128))
    assert mapped(layer)[0].streams
    estimate = DEVICE.estimate(Workload("net", layer.in_shape, (layer,)))
    assert any("streams" in sentence for sentence in estimate.provenance)
