"""What holds for every device: each operation is priced or refused by name, and many networks cost what each costs alone."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.candidates import Candidates
from labkit.workload import FRONT_END, OPS, WEIGHTED, Layer, Workload

FAMILIES = list({type(d).__name__ + d.family: d for d in map(labkit.device, labkit.devices())}.values())  # a board of each core
every_family = pytest.mark.parametrize("device", FAMILIES, ids=lambda device: device.name)


def layer(op: str, dims: int = 2, channels: int = 16, bits: int | tuple = 8, **more) -> Layer:
    """One layer of any kind over 12 places an axis; `more` are a stride, groups, a kernel or the width of what it writes."""
    size, stride, kernel = (12,) * dims, more.pop("stride", 1), more.pop("kernel", 3)
    shape, facts = (channels, *size), {}
    out = shape
    if op in ("conv", "depthwise"):
        groups = channels if op == "depthwise" else more.pop("groups", 1)
        out = (channels, *(-(-n // stride) for n in size))
        facts = {"kernel": (kernel,) * dims, "stride": (stride,) * dims, "padding": (kernel // 2,) * dims, "groups": groups}
    elif op == "linear":
        shape = out = (channels,)
    elif op in ("avgpool", "maxpool"):
        out, facts = (channels, *(n // 2 for n in size)), {"kernel": (2,) * dims, "stride": (2,) * dims}
    elif op == "fft":
        shape, out, facts = (512, 10), (257, 10), {"kernel": (512,)}
    elif op in FRONT_END:
        shape = out = (40, 10)
    sources = ("input", "input") if op in ("add", "mul") else ("input",)
    weights = {"bias": True, "weight_bits": bits} if op in WEIGHTED else {}
    return Layer("it", op, sources, shape, out, **facts, **weights, **more)


def alone(one: Layer, input_bits: int = 8) -> Workload:
    return Workload("net", one.in_shape, (one,), input_bits)


CASES = {f"{op} {dims}-D": alone(layer(op, dims)) for op in OPS for dims in (1, 2)}
CASES |= {f"{dims}-D conv, 4 groups": alone(layer("conv", dims, groups=4)) for dims in (1, 2)}
CASES |= {f"{dims}-D {op}, stride {s}": alone(layer(op, dims, stride=s)) for op in WEIGHTED[:2] for dims in (1, 2) for s in (2, 3)}
CASES |= {f"{dims}-D conv, kernel {k}": alone(layer("conv", dims, kernel=k)) for dims in (1, 2) for k in (1, 2, 5, 11)}
CASES |= {f"{op}, {b}-bit weights": alone(layer(op, 1, bits=b)) for op in ("conv", "linear") for b in (1, 2, 3, 4, 8, 16, 32, 40)}
CASES |= {f"{op}, half pruned": alone(layer(op, 1, bits=(0, 8) * 8)) for op in ("conv", "linear")}
CASES |= {f"{op} reads {b} bits": alone(layer(op, 1), b) for op in (*WEIGHTED, "add", "maxpool", "softmax") for b in (1, 4, 16, 32)}
CASES |= {f"{op} writes {b} bits": alone(layer(op, 1, activation_bits=b)) for op in ("conv", "linear") for b in (1, 4, 16, 32)}

# Where a layer takes no time: devices by family, operations, and what the provenance has to say about it.
FREE = {
    "UltraTrail": {("add", "avgpool"): "happen while results are written", ("softmax",): "left to whoever reads the result"},
    "FPGA": {("add", "mul", "concat"): "answer comes because of it"},
    "MAX78000": {("concat",): "side by side"},
}


@every_family
def test_every_layer_is_priced_or_refused_by_name(device):
    reasons = {op: why for ops, why in FREE.get(device.family, {}).items() for op in ops}
    for case, network in CASES.items():
        try:
            estimate = device.estimate(network)
        except ValueError as error:
            message = str(error)
            assert message.startswith(f"{device.name} cannot run layer 'it' ({network.layers[0].op}): "), case
            assert ";" in message, f"{case}: it says what to do instead"
            continue
        for interval in (estimate.latency_ms, estimate.energy_uj):
            assert 0 <= interval.low <= interval.mid <= interval.high < math.inf, case
        (cost,) = estimate.layers
        if cost.latency_ms == 0:
            why = reasons.get(cost.op, "free, and no reason")
            assert any(why in sentence for sentence in estimate.provenance), case


@every_family
def test_a_layer_without_channels_costs_no_more_than_one_with(device):
    for op in ("conv", "linear"):
        pruned, half, whole = (device.estimate(alone(layer(op, 1, bits=bits))) for bits in (0, (0, 8) * 8, 8))
        for quantity in ("latency_ms", "energy_uj"):
            assert getattr(pruned, quantity).mid <= getattr(half, quantity).mid <= getattr(whole, quantity).mid
        assert pruned.flash_bytes <= half.flash_bytes <= whole.flash_bytes


widths = st.sampled_from([2, 4, 8])
CHANNELS = st.integers(1, 140)


def temporal(channels: tuple[int, int], kernels: tuple[int, int], bits: tuple[int, int], stride: int, classes: int) -> Workload:
    """Two temporal convolutions, an addition, a mean over time and a classifier: what every device can run."""
    before, after = (channels[0], 40), (channels[1], -(-40 // stride))
    margins, (a, b) = [(size // 2,) for size in kernels], bits
    first = Layer("first", "conv", ("input",), before, after, kernels[:1], (stride,), margins[0], 1, True, a, b)
    second = Layer("second", "conv", ("first",), after, after, kernels[1:], (1,), margins[1], 1, True, b, a)
    added = Layer("add", "add", ("first", "second"), after, after)
    pool = Layer("pool", "avgpool", ("add",), after, (channels[1], 1), after[1:], after[1:])
    end = Layer("fc", "linear", ("pool",), (channels[1],), (classes,), bias=True)
    return Workload("net", before, (first, second, added, pool, end))


networks = st.builds(
    temporal, st.tuples(CHANNELS, CHANNELS), st.tuples(*[st.sampled_from([1, 3, 5, 9, 11])] * 2), st.tuples(widths, widths),
    st.integers(1, 3), st.integers(1, 40),
)  # fmt: skip


@every_family
@given(workloads=st.lists(networks, min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_many_are_priced_as_one_by_one(device, workloads):
    many = device.estimate_many(workloads)
    for i, workload in enumerate(workloads):
        one = device.estimate(workload)
        assert many["latency_ms"][i] == pytest.approx(one.latency_ms.mid, rel=1e-12)
        assert many["energy_uj"][i] == pytest.approx(one.energy_uj.mid, rel=1e-12)
        assert (many["flash_bytes"][i], many["ram_bytes"][i], many["fits"][i]) == (one.flash_bytes, one.ram_bytes, one.fits)
        for quantity in ("latency_ms", "energy_uj"):
            total = getattr(one, quantity)
            assert 0 < total.low <= total.mid <= total.high
            assert sum(getattr(cost, quantity) for cost in one.layers) == pytest.approx(total.mid, rel=1e-9)
        assert one.fits == (not one.missing) and all(amount > 0 for amount in one.missing.values())


@every_family
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_candidates_are_priced_as_the_networks_they_stand_for(device, seed):
    rng = np.random.default_rng(seed)
    options = itertools.product([(3, 9), (5, 1)], [(4, 8), (8, 2)], [3, 12])
    made = [temporal((20, 24), kernels, bits, 1, classes) for kernels, bits, classes in options]
    places = [list(dict.fromkeys(network.layers[p] for network in made)) for p in range(len(made[0]))]
    choice = np.column_stack([rng.integers(0, len(layers), 6) for layers in places])
    candidates = Candidates("net", (20, 40), places, choice)
    many, each = device.estimate_many(candidates), device.estimate_many(list(candidates))
    for key in each:
        assert np.allclose(each[key], many[key], rtol=1e-12), key


@pytest.mark.parametrize("device", [device for device in FAMILIES if device.family != "FPGA"], ids=lambda device: device.name)
@given(network=networks, more=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_more_channels_are_never_faster_or_cheaper(device, network, more):
    """But on an FPGA they may be: a circuit is cut by divisors, and 18 channels have more of them than 17."""
    first = network.layers[0]
    wider = dataclasses.replace(first, in_shape=(first.in_channels + more, 40))
    end = network.layers[-1]
    longer = dataclasses.replace(end, out_shape=(end.out_channels + more,))
    for changed in ((wider, *network.layers[1:]), (*network.layers[:-1], longer)):
        small, large = device.estimate(network), device.estimate(Workload("wider", changed[0].in_shape, changed))
        assert large.latency_ms.mid >= small.latency_ms.mid and large.energy_uj.mid >= small.energy_uj.mid * (1 - 1e-12)
