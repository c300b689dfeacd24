"""The MLPerf Tiny reference networks as workloads: what the published measurements ran."""

from __future__ import annotations

from functools import cache

from labkit.hardware.catalog import read_csv
from labkit.naming import did_you_mean
from labkit.workload import Layer, Workload

NAMES = {
    "ad": "autoencoder, anomaly detection",
    "ic": "ResNet-8, image classification",
    "kws": "DS-CNN, keyword spotting",
    "vww": "MobileNetV1 0.25, visual wake words",
    "sww": "streaming wake word",
}


@cache
def reference(name: str) -> Workload:
    """One of the networks that MLPerf Tiny measures.

    Half of vww's MACs are on channels whose weights are all zero: a compiler may fold them away.

    >>> reference("vww").macs, reference("vww").live_macs
    (7489664, 3744179)
    """
    if name not in NAMES:
        raise ValueError(f"no reference network {name!r}; {did_you_mean(name, NAMES)}")
    layers = tuple(_layer(row) for row in read_csv("reference_layers") if row["model"] == name)
    return Workload(f"mlperf-tiny-{name}", layers[0].in_shape, layers)


def _layer(row: dict[str, str]) -> Layer:
    numbers = lambda text: tuple(int(part) for part in text.split("x")) if text else ()  # noqa: E731
    layer = Layer(
        name=row["name"],
        op=row["op"],
        inputs=tuple(row["inputs"].split("+")),
        in_shape=numbers(row["in_shape"]),
        out_shape=numbers(row["out_shape"]),
        kernel=numbers(row["kernel"]),
        stride=numbers(row["stride"]),
        groups=numbers(row["in_shape"])[0] if row["op"] == "depthwise" else 1,
        bias=row["bias"] == "1",
        live_inputs=int(row["live_in"]) if row["live_in"] else None,
        live_outputs=int(row["live_out"]) if row["live_out"] else None,
    )
    if layer.macs != int(row["macs"]):
        raise ValueError(f"reference_layers.csv: {row['model']} {row['name']} has {layer.macs} MACs, not {row['macs']}")
    return layer
