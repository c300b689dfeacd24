"""MAX78000: cycles against the vendor's register-level test vectors, whole networks against silicon.

The equation has no coefficient, so nothing is held out: no measurement was needed for these predictions. Only the factor for
layers that stream is fitted; each of the two networks that stream is predicted with the factor of the other.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from labkit.hardware.catalog import load, read_csv
from labkit.hardware.max78000 import MAX78000
from labkit.hardware.max78000_cycles import layer_cycles
from labkit.hardware.validation.row import Case, Row, rank_correlation, summarise
from labkit.workload import INPUT, Layer, Workload


def rows() -> list[Row]:
    loaded, fed = (
        [silicon_case(name) for name, row in measured().items() if row["fifo"] == fifo] for fifo in ("0", "1")
    )  # fmt: skip
    return [
        summarise("MAX78000", "cycles", "closed form, vendor's test vectors", vector_cases(), at_most=0.0),
        summarise(
            "MAX78000", "latency", "closed form, silicon, input in place", loaded, at_most=5.0, rank=rank_correlation(loaded)
        ),
        summarise("MAX78000", "latency", "silicon, input fed in while it runs, streaming from others", fed, at_most=20.0),
    ]


def vector_cases() -> list[Case]:
    cases = []
    for number, row in enumerate(read_csv("max78000_cycle_vectors"), start=1):
        arguments = {name: int(value) for name, value in row.items()}
        measured = arguments.pop("cycles") - 1  # without the cycle that starts the network
        cases.append(Case(f"vector {number}", measured, int(layer_cycles(**arguments))))
    return cases


@cache
def measured() -> dict[str, dict[str, str]]:
    """Rows of `catalog/max78000_silicon.csv` by network."""
    return {row["network"]: row for row in read_csv("max78000_silicon")}


def silicon_case(name: str) -> Case:
    """Milliseconds of one of the vendor's examples. The baseline has one coefficient, ms a MAC, from the other networks."""
    parts = {other: engine_ms(other) for other in measured()}
    ms = {other: float(row["us"]) / 1e3 for other, row in measured().items()}
    streaming = [other for other, (_, stream) in parts.items() if stream and other != name]
    factor = np.mean([(ms[other] - parts[other][0]) / parts[other][1] for other in streaming])
    still, stream = parts[name]
    pace = np.mean([np.log(ms[other] / float(measured()[other]["macs"])) for other in ms if other != name])
    return Case(name, ms[name], float(still + factor * stream), float(measured()[name]["macs"]) * float(np.exp(pace)))


def engine_ms(name: str) -> tuple[float, float]:
    """Milliseconds by the equation: of layers whose input is in place, and of those whose input streams."""
    device = MAX78000()
    total = device.estimate(network(name)).latency_ms
    stream = (total.mid - total.low) / (load("max78000")["streaming"]["mid"].value - 1)  # the low end does not slow them down
    return total.low - stream, stream


def network(name: str) -> Workload:
    """One of the vendor's example networks.

    >>> network("mnist").macs
    10751808
    """
    numbers = lambda text: tuple(int(part) for part in text.split("x")) if text else ()  # noqa: E731
    layers, source = [], INPUT
    for row in (row for row in read_csv("max78000_networks") if row["network"] == name):
        shape, kernel, padding = (numbers(row[key]) for key in ("in_shape", "kernel", "padding"))
        if row["pool"]:
            kind, window = row["pool"].split()
            layers.append(_pool(f"pool{len(layers)}", f"{kind}pool", source, shape, numbers(window)))
            source, shape = layers[-1].name, layers[-1].out_shape
        if row["op"] == "avgpool":
            layers.append(_pool(f"pool{len(layers)}", "avgpool", source, shape, kernel))
        elif row["op"] == "linear":
            features, width = (math.prod(shape),), (int(row["out_channels"]),)
            layers.append(Layer(f"linear{len(layers)}", "linear", (source,), features, width))
        else:
            sizes = tuple(n + 2 * p - k + 1 for n, p, k in zip(shape[1:], padding, kernel, strict=True))
            ones = (1,) * len(kernel)
            out = (int(row["out_channels"]), *sizes)
            layers.append(Layer(f"conv{len(layers)}", "conv", (source,), shape, out, kernel, ones, padding))
        source = layers[-1].name
    return Workload(name, layers[0].in_shape, tuple(layers))


def _pool(name: str, op: str, source: str, shape: tuple[int, ...], window: tuple[int, ...]) -> Layer:
    out = (shape[0], *(n // w for n, w in zip(shape[1:], window, strict=True)))
    return Layer(name, op, (source,), shape, out, window, window)
