"""How many networks a second a device prices, beside the usual way: one Python function call for each layer of each network.

That is how PLiNIO (`plinio/cost`) and most search codes do it: a cost function for every kind of layer, called with a dictionary
that describes the layer, and a sum. The peer below gets its dictionaries for nothing and works out the time only; the device works
out time, energy, memory and whether it fits. Both price the same networks in the same run, on one core, and must agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from statistics import median
from time import perf_counter

import numpy as np

import labkit
from labkit.candidates import Candidates
from labkit.hardware.catalog import load
from labkit.hardware.ultratrail_cycles import taps
from labkit.workload import INPUT, Layer

NETWORKS, PEER_NETWORKS, REPEATS = 200_000, 4_000, 5
WIDTHS = (16, 24, 32, 40, 48, 56, 64, 80)


def conv(name: str, source: str, in_shape, channels: int, kernel, stride, op: str = "conv") -> Layer:
    """A convolution with a margin of half its kernel."""
    sizes = [math.ceil(size / step) for size, step in zip(in_shape[1:], stride, strict=True)]
    padding = tuple(size // 2 for size in kernel)
    groups = channels if op == "depthwise" else 1
    return Layer(name, op, (source,), in_shape, (channels, *sizes), kernel, stride, padding, groups, bias=True)


def head(source: str, shape) -> list[Callable[[int], Layer]]:
    """Average over all positions, then twelve classes; for any number of channels."""
    spatial = shape[1:]
    ones = (1,) * len(spatial)
    return [
        lambda c: Layer("pool", "avgpool", (source,), (c, *spatial), (c, *ones), spatial, spatial),
        lambda c: Layer("classifier", "linear", ("pool",), (c,), (12,), bias=True),
    ]


class Space:
    """A search space: genes, and for every place of the network how its layer is built from some of them."""

    def __init__(self, name: str, input_shape: tuple[int, ...]):
        self.name, self.input_shape = name, input_shape
        self.genes: dict[str, tuple] = {}
        self.places: list[tuple[tuple[str, ...], list[Layer]]] = []

    def add(self, build: Callable[..., Layer], *genes: str) -> None:
        """A place whose layer is ``build(value of each gene)``."""
        options = [build(*values) for values in product(*(self.genes[gene] for gene in genes))]
        self.places.append((genes, options))

    def draw(self, n: int, seed: int = 0) -> Candidates:
        """`n` networks at random."""
        rng = np.random.default_rng(seed)
        drawn = {gene: rng.integers(0, len(values), n) for gene, values in self.genes.items()}
        choice = [np.ravel_multi_index([drawn[g] for g in genes], [len(self.genes[g]) for g in genes]) for genes, _ in self.places]
        return Candidates(self.name, self.input_shape, [options for _, options in self.places], np.column_stack(choice))


def ds_cnn_space() -> Space:
    """DS-CNN with a width for each of its five stages and a kernel for each depthwise layer: 524,288 networks of 11 layers."""
    space, shape, last = Space("ds-cnn", (1, 49, 10)), (25, 5), "stem"
    space.genes = {f"w{i}": WIDTHS for i in range(5)} | {f"k{i}": (3, 5) for i in range(1, 5)}
    space.add(lambda w: conv("stem", INPUT, (1, 49, 10), w, (10, 4), (2, 2)), "w0")
    for i in range(1, 5):
        space.add(lambda w, k, i=i, s=last: conv(f"dw{i}", s, (w, *shape), w, (k, k), (1, 1), "depthwise"), f"w{i - 1}", f"k{i}")
        space.add(lambda a, b, i=i: conv(f"pw{i}", f"dw{i}", (a, *shape), b, (1, 1), (1, 1)), f"w{i - 1}", f"w{i}")
        last = f"pw{i}"
    for build in head(last, (0, *shape)):
        space.add(build, "w4")
    return space


def temporal_space() -> Space:
    """Nine temporal convolutions over 40 features, a width and a kernel for each, then the classes: 11 layers."""
    space, last, length = Space("temporal", (40, 98)), INPUT, 98
    space.genes = {"w0": (40,)} | {f"w{i}": WIDTHS for i in range(1, 10)} | {f"k{i}": (3, 5, 7, 9) for i in range(1, 10)}
    for i in range(1, 10):
        stride = (2,) if i in (2, 4, 6) else (1,)
        space.add(
            lambda a, b, k, i=i, s=last, n=length, step=stride: conv(f"conv{i}", s, (a, n), b, (k,), step),
            f"w{i - 1}", f"w{i}", f"k{i}",
        )  # fmt: skip
        last, length = f"conv{i}", math.ceil(length / stride[0])
    for build in head(last, (0, length)):
        space.add(build, "w9")
    return space


def layer_by_layer(costs: dict[str, Callable[[dict], float]], specs: list[list[dict]]) -> list[float]:
    """The peer: for each network, the sum over its layers of the cost function of their kind."""
    return [sum(costs[spec["op"]](spec) for spec in network) for network in specs]


def spec(layer: Layer) -> dict:
    """What a cost function is called with: the attributes of the module, and the shape of its output."""
    return {
        "op": layer.op, "in_channels": layer.in_channels, "out_channels": layer.out_channels, "in_shape": layer.in_shape,
        "output_shape": layer.out_shape, "kernel_size": layer.kernel, "stride": layer.stride, "padding": layer.padding,
    }  # fmt: skip


def cortex_m_costs(device) -> dict[str, Callable[[dict], float]]:
    """Milliseconds of a layer on a Cortex-M board, as cost functions; checked against the device in `race`."""
    c_conv, c_fc, c_out = (float(c) for c in device.coefficients)
    constants = load("cortex_m")
    per_input = constants["elementwise"]["avgpool"].value * constants["cores"][device.core]["elementwise_scale"].value
    kilohertz = device.clock_mhz * 1e3

    def conv(spec):
        outputs = math.prod(spec["output_shape"])
        return (c_conv * math.prod(spec["kernel_size"]) * spec["in_channels"] * outputs + c_out * outputs) / kilohertz

    def depthwise(spec):
        outputs = math.prod(spec["output_shape"])
        return (c_conv * math.prod(spec["kernel_size"]) * outputs + c_out * outputs) / kilohertz

    def linear(spec):
        outputs = math.prod(spec["output_shape"])
        return (c_fc * math.prod(spec["in_shape"]) * outputs + c_out * outputs) / kilohertz

    def avgpool(spec):
        return per_input * math.prod(spec["in_shape"]) / kilohertz

    return {"conv": conv, "depthwise": depthwise, "linear": linear, "avgpool": avgpool}


def ultratrail_costs(device) -> dict[str, Callable[[dict], float]]:
    """Milliseconds of a layer on UltraTrail, as cost functions."""

    def tiles(spec):
        return math.ceil(spec["in_channels"] / device.array) * math.ceil(spec["out_channels"] / device.array)

    def conv(spec):
        count = taps(spec["kernel_size"][0], spec["stride"][0], spec["padding"][0], spec["in_shape"][1])
        return (1 + tiles(spec) * count) / device.clock_khz

    def linear(spec):
        return (1 + tiles(spec)) / device.clock_khz

    return {"conv": conv, "linear": linear, "avgpool": lambda spec: 0.0}


RACES = {"nucleo-l4r5zi": (ds_cnn_space, cortex_m_costs), "ultratrail": (temporal_space, ultratrail_costs)}


def race(name: str) -> dict:
    """Both ways in turns on the same networks: networks a second, the median of REPEATS."""
    make_space, make_costs = RACES[name]
    device, space = labkit.device(name), make_space()
    costs = make_costs(device)
    ours, peers = [], []
    for seed in range(REPEATS):
        candidates = space.draw(NETWORKS, seed)
        specs = [[spec(layer) for layer in candidates[i].layers] for i in range(PEER_NETWORKS)]
        started = perf_counter()
        prices = device.estimate_many(candidates)
        ours.append(NETWORKS / (perf_counter() - started))
        started = perf_counter()
        latencies = layer_by_layer(costs, specs)
        peers.append(PEER_NETWORKS / (perf_counter() - started))
        np.testing.assert_allclose(prices["latency_ms"][:PEER_NETWORKS], latencies, rtol=1e-9)
    layers = len(space.places)
    return {
        "device": name, "networks": NETWORKS, "layers": layers, "per_second": round(median(ours)),
        "layer_by_layer_per_second": round(median(peers)), "ratio": round(median(ours) / median(peers), 1),
    }  # fmt: skip


def run() -> dict:
    """What ``labkit bench estimate --json`` prints."""
    return {"rows": [race(name) for name in RACES]}


def table(result: dict) -> str:
    """The same for people."""
    lines = ["device           layers   networks/s   layer by layer   times faster"]
    for row in result["rows"]:
        numbers = f"{row['layers']:6d}{row['per_second']:13,}{row['layer_by_layer_per_second']:17,}{row['ratio']:15.1f}"
        lines.append(f"{row['device']:<17}{numbers}")
    return "\n".join(lines)
