"""What the layers of HAR-CNN read, as histograms, and the range that each observer picks: for the quantization explorer.

Observers that weigh ranges against each other take up to a second, too long for a slider; the table keeps their answers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from labkit import atomic, models
from labkit.data import motion
from labkit.quantization.affine import dequantize, qparams, quantize
from labkit.quantization.folding import fold_batch_norms
from labkit.quantization.formats import Int
from labkit.quantization.observers import OBSERVERS, observer

TABLE = Path(__file__).parents[1] / "explorers" / "tables" / "ranges.json"
LAYERS = ("features.0.0", "features.1.0", "features.2.0", "classifier")
BITS = (2, 3, 4, 5, 6, 8)
BINS = 160
BATCH = 32  # windows that an observer sees at a time


def ranges_table(seed: int = 0, folder=None, progress: bool = True) -> str:
    """Writes `labkit/explorers/tables/ranges.json`: nothing in it is random. Returns the table as text."""
    model, card = models.pretrained("har-cnn", "watch")
    data = motion.load("watch")
    x = card.prepare(data.only(data.split != "test").x)[::10]
    read = inputs(fold_batch_norms(model), x)
    steps = tqdm(read.items(), disable=not progress, unit="tensor")
    tensors = {name: describe(values) for name, values in steps}
    text = {
        "command": "labkit train ranges-table",
        "network": card.name,
        "data": f"every tenth window of subjects 1 to 7, {len(x)} windows",
        "tensors": tensors,
    }
    path = Path(folder) / TABLE.name if folder else TABLE
    atomic.write(path, json.dumps(text) + "\n")
    lines = [f"{'read by':14}{'observer':16}{'bits':>5}{'low':>9}{'high':>9}{'SNR dB':>9}"]
    for name, tensor in tensors.items():
        for r in tensor["ranges"]:
            lines.append(f"{name:14}{r['observer']:16}{r['bits']:5}{r['low']:9.3f}{r['high']:9.3f}{r['snr_db']:9.1f}")
    return "\n".join(lines)


def inputs(model: torch.nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each layer of `LAYERS` reads while the network runs on `x`."""
    found = {}
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: found.update({name: args[0].detach()}))
        for name in LAYERS
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found


def describe(x: torch.Tensor) -> dict:
    """Histogram of `x`, and for each observer and width its range, the signal-to-noise ratio and the share of `x` that saturates.

    >>> about = describe(torch.linspace(0, 1, 1001))
    >>> about["low"], about["high"], [r["snr_db"] for r in about["ranges"] if r["observer"] == "minmax"][-1] > 50
    (0.0, 1.0, True)
    """
    counts, edges = np.histogram(x.numpy(), BINS)
    ranges = [_range(x, name, bits) for name in OBSERVERS for bits in BITS]
    return {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist(), "ranges": ranges}


def _range(x: torch.Tensor, name: str, bits: int) -> dict:
    watching = observer(name, bits)
    for batch in x.split(BATCH):
        watching.update(batch)
    low, high = watching.range()
    x = x.numpy()
    codes = Int(bits, narrow=False)
    ruler = qparams(low, high, codes)
    back = dequantize(quantize(x, *ruler, codes), *ruler)
    return {
        "observer": name,
        "bits": bits,
        "low": round(low, 5),
        "high": round(high, 5),
        "snr_db": round(10 * float(np.log10(np.sum(x**2) / np.sum((back - x) ** 2))), 2),
        "saturated": round(float(np.mean((x < low) | (x > high))), 6),
    }
