"""How long the kernel works for one move of a slider, beside the obvious way: a new figure for every move.

A move is measured from the new value of a control to the last widget that has its new content: computing, drawing, encoding,
status and table. The peer computes the same and draws the same artists on a fresh figure, which it saves as PNG, as `interact`
with `plt.show` does. Both run in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import io
from statistics import median, quantiles
from time import perf_counter

import numpy as np

from labkit.explorers import (
    BatteryExplorer,
    BitExplorer,
    CostExplorer,
    DataflowExplorer,
    DeviceExplorer,
    DriftExplorer,
    FeatureExplorer,
    FoldingExplorer,
    LevelExplorer,
    QuantizationExplorer,
    ShareExplorer,
    WindowExplorer,
)
from labkit.explorers.base import Explorer
from labkit.explorers.view import View

BUDGET_MS = 40


def explorers() -> dict[str, Explorer]:
    """One of each, on data that needs no download."""
    t = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * (300 + 600 * t) * t) * np.exp(-(((t - 0.5) / 0.15) ** 2))
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    return {
        "cost": CostExplorer(),
        "features": FeatureExplorer(np.stack([tone, noise]), ["a rising tone", "noise"]),
        "windows": WindowExplorer(),
        "battery": BatteryExplorer(),
        "levels": LevelExplorer(),
        "bits": BitExplorer(),
        "quantize": QuantizationExplorer(),
        "shares": ShareExplorer(),
        "devices": DeviceExplorer(),
        "folding": FoldingExplorer(),
        "dataflow": DataflowExplorer(),
        "drift": DriftExplorer(),
    }


def naive(explorer: Explorer) -> bytes:
    """The present result on a new figure."""
    picture = explorer.picture()
    picture.show(explorer.result, explorer.ghost)
    for artist in picture.moving:
        artist.set_animated(False)
    file = io.BytesIO()
    picture.figure.savefig(file, format="png")
    return file.getvalue()


def drag(name: str, explorer: Explorer) -> dict:
    """Drags every slider of an explorer through all its values, there and back."""
    view = View(explorer)
    ours, peer = [], []
    sliders = [setting for setting, trait in explorer.settings().items() if trait.control == "slider"]
    for setting in sliders:
        choices = explorer.settings()[setting].choices(explorer)
        for value in (*choices, *choices[::-1]):
            if value == getattr(explorer, setting):
                continue
            started = perf_counter()
            view.controls[setting].value = value
            ours.append(1000 * (perf_counter() - started))
            if explorer.result is not None and len(ours) % 4 == 0:
                started = perf_counter()
                explorer.compute()
                naive(explorer)
                peer.append(1000 * (perf_counter() - started))
    return {
        "explorer": name,
        "moves": len(ours),
        "median_ms": round(median(ours), 1),
        "p90_ms": round(quantiles(ours, n=10)[-1], 1),
        "new_figure_ms": round(median(peer), 1),
        "ratio": round(median(peer) / median(ours), 1),
    }


def run() -> dict:
    """What `labkit bench explorers --json` prints."""
    return {"budget_ms": BUDGET_MS, "rows": [drag(name, explorer) for name, explorer in explorers().items()]}


def table(result: dict) -> str:
    """The same for people.

    >>> print(table({"budget_ms": 40, "rows": [{"explorer": "cost", "moves": 9, "median_ms": 20.0, "p90_ms": 25.0,
    ...                                         "new_figure_ms": 200.0, "ratio": 10.0}]}))
    explorer    moves   median ms      p90 ms   new figure   times faster
    cost            9        20.0        25.0        200.0           10.0
    """
    lines = ["explorer    moves   median ms      p90 ms   new figure   times faster"]
    for row in result["rows"]:
        numbers = f"{row['median_ms']:12.1f}{row['p90_ms']:12.1f}{row['new_figure_ms']:13.1f}{row['ratio']:15.1f}"
        lines.append(f"{row['explorer']:<10}{row['moves']:7d}{numbers}")
    return "\n".join(lines)
