"""Mixed precision, channel-wise against layer-wise: which saves more at the same accuracy?

Both searches start from the same float network, see the same examples and train equally long; they differ in who may choose a
width: every output channel among 0 (pruned), 2, 4 and 8 bits, or every layer among 2, 4 and 8 (0 would cut the network through).
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from labkit import device
from labkit.quantization.integer.network import IntegerNetwork
from labkit.quantization.mixed.search import MixedPrecision
from labkit.recipes.partial import PartialTable
from labkit.recipes.quantization import SEEDS, TASKS, Task, share_right
from labkit.tracing import trace
from labkit.training import Recipe, fit, predict

TABLE = Path(__file__).parents[1] / "explorers" / "tables" / "mixed.json"
BITS = {"channel": (0, 2, 4, 8), "layer": (2, 4, 8)}
STRENGTHS = {  # how much of the loss the whole price at 8 bits is worth
    "keywords": (1.0, 2.0, 4.0),
    "activities": (0.3, 1.0, 2.0, 4.0),
}
SEARCH = {"epochs": 8, "learning_rate": 2e-3}
TUNING = {"epochs": 4, "learning_rate": 1e-3}


def run(task: Task, share: str, strength: float, seed: int, progress: bool = False) -> dict:
    """One search, its training afterwards, and what came out."""
    network = task.network(seed)
    started = time.perf_counter()
    search = MixedPrecision(network, task.calibration, share=share, bits=BITS[share])
    options = {"augment": task.augment, "teacher": network, "progress": progress}
    # no validation while searching: the best epoch would be the first, before anything was saved
    fit(search, task.train, None, Recipe(seed=seed, **SEARCH), penalty=lambda: strength * search.cost(), **options)
    found = search.export()
    fit(found, task.train, task.val, Recipe(seed=seed, **TUNING), **options)
    x, y = task.test
    estimate = device("mpic").estimate(trace(found, x[:1]))
    return {
        "accuracy": share_right(predict(found, x), y),
        "integer_accuracy": share_right(torch.from_numpy(IntegerNetwork.of(found, x[:1]).run(x.numpy())).argmax(1), y),
        "weight_bytes": trace(found, x[:1]).weight_bytes,
        "energy_uj": round(estimate.energy_uj.mid, 4),
        "latency_ms": round(estimate.latency_ms.mid, 4),
        "bits": {name: list(bits) for name, bits in search.assignment().items()},
        "seconds": round(time.perf_counter() - started, 1),
    }


def mixed_table(seed: int = 0, folder=None, progress: bool = True) -> str:
    """Both tasks, both ways to share a width, strengths, three seeds: `labkit/explorers/tables/mixed.json`."""
    torch.set_num_threads(1)
    partial = PartialTable(Path(folder) / TABLE.name if folder else TABLE, ("task", "share", "strength", "seed"))
    data = {}
    for name, make in TASKS.items():
        task = make(progress)
        data[name] = task.data
        settings = [(name, share, strength, number) for number in SEEDS for share in BITS for strength in STRENGTHS[name]]
        partial.fill(settings, lambda _, *setting, task=task: run(task, *setting), progress)
    partial.finish(command="labkit train mixed-table", data=data)
    return table(partial.rows)


def table(rows: list[dict]) -> str:
    lines = [f"{'task':12}{'share':9}{'strength':>9}{'accuracy':>10}{'weights':>10}{'energy (MPIC)':>15}"]
    for row in sorted(rows, key=lambda row: (row["task"], row["share"], row["strength"], row["seed"])):
        lines.append(
            f"{row['task']:12}{row['share']:9}{row['strength']:9g}{row['accuracy']:10.1%}{row['weight_bytes']:8,} B"
            f"{row['energy_uj']:12.2f} µJ"
        )
    return "\n".join(lines)
