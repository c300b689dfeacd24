"""The whole course in one picture: what a sensor saw, what a network made of it, what that costs on a chip.

python -m labkit.explorers.story docs/story.png      # the picture in the README
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from labkit.course import style
from labkit.hardware import Estimate
from labkit.workload import Workload


def draw(
    window: np.ndarray, rate_hz: float, opinion: dict[str, float], truth: str, workload: Workload, estimate: Estimate
) -> Figure:
    """Three panels, left to right.

    window: ``(6, samples)``, three axes of acceleration and three of rotation. opinion: probability of each label. The estimate is
    the workload's on one device.
    """
    figure = Figure(figsize=(9.5, 3.2), layout="constrained")
    signal, belief, bill = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    _draw_signal(signal, window, rate_hz)
    _draw_opinion(belief, opinion, truth)
    _draw_bill(bill, workload, estimate)
    return figure


def _draw_signal(ax, window, rate_hz):
    seconds = np.arange(window.shape[1]) / rate_hz
    for axis, color, line in zip(window[:3], (style.OURS, style.OTHER, style.MORE[1]), "xyz", strict=True):
        ax.plot(seconds, axis, color=color)
        ax.text(seconds[-1], axis[-1], f" {line}", color=color, va="center")
    ax.set(xlim=(0, 1.06 * seconds[-1]), xlabel="seconds", ylabel="acceleration (g)", title="1 · what the watch felt")


def _draw_opinion(ax, opinion, truth):
    ax.barh(list(opinion), list(opinion.values()), color=[style.RIGHT if label == truth else style.GHOST for label in opinion])
    ax.set(xlim=(0, 1), xlabel="probability", title="2 · what the network says")
    ax.invert_yaxis()


def _draw_bill(ax, workload, estimate):
    names = [f"{layer.op} {i + 1}" for i, layer in enumerate(workload.layers)]
    ax.barh(names, [layer.energy_uj for layer in estimate.layers], color=style.OURS)
    low, mid, high = estimate.energy_uj.low, estimate.energy_uj.mid, estimate.energy_uj.high
    ax.set(xlabel=f"µJ on {estimate.device}\nin all {mid:.0f} ({low:.0f} to {high:.0f})", title="3 · what that costs")
    ax.invert_yaxis()


def of_watch(example: int, board: str = "nucleo-l4r5zi") -> Figure:
    """The story of one window of a person whom the shipped activity network never met."""
    import torch

    import labkit
    from labkit import models
    from labkit.data import motion

    watch = motion.load("watch")
    people = watch.part("test")
    network, card = models.pretrained("har-cnn", "watch")
    x = card.prepare(people.x[example : example + 1])
    with torch.no_grad():
        probabilities = network(x).softmax(dim=1)[0].tolist()
    workload = labkit.trace(network, x, name=card.network)
    opinion = dict(zip(watch.labels, probabilities, strict=True))
    estimate = labkit.device(board).estimate(workload)
    return draw(people.x[example], watch.rate_hz, opinion, watch.labels[people.y[example]], workload, estimate)


if __name__ == "__main__":
    import sys
    from pathlib import Path

    style.use()
    Path(sys.argv[1]).write_bytes(style.png(of_watch(40)))
