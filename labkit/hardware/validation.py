"""What ``labkit validate`` prints: each hardware model against published measurements that it has not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from labkit.hardware import heldout
from labkit.hardware.catalog import read_csv
from labkit.hardware.heldout import HeldOut
from labkit.hardware.max78000_cycles import layer_cycles


@dataclass(frozen=True)
class Row:
    """Errors in per cent of the measurement. `baseline_mape` is the same protocol with MACs alone.

    `coverage80` is the share (0 to 1) of measurements inside the 80 % interval, whose width comes from the errors of other
    submitters (or other stacks, for a held-out board). None where there is no such thing.
    """

    family: str
    quantity: str
    protocol: str
    n: int
    mape: float
    median: float
    worst: float
    worst_case: str
    baseline_mape: float | None
    coverage80: float | None

    def as_dict(self) -> dict:
        return asdict(self)


def validate() -> list[Row]:
    """One row per family, quantity and protocol.

    >>> [(row.family, row.n) for row in validate() if row.quantity == "latency"][1]
    ('Cortex-M4', 92)
    """
    rows = []
    for core in ("M0+", "M4", "M7", "M33"):
        shape_from = "other cores" if core == "M0+" else "other submitters"  # one submitter alone measured a Cortex-M0+
        rows.append(_row(core, "latency", f"held-out network, shape from {shape_from}", heldout.latency(core)))
        rows.append(_row(core, "energy", f"held-out network, shape from {shape_from}", heldout.energy(core)))
        boards = heldout.board(core)
        covered = heldout.coverage(boards, group=heldout.stack, factors=heldout.extreme_factors) if boards else None
        rows.append(_row(core, "latency", "held-out board, same core and stack", boards, covered))
    return [row for row in rows if row] + [max78000_row()]


def max78000_row() -> Row:
    """The cycle equation against the vendor's register-level test vectors: no fit, so nothing is held out."""
    errors = []
    for row in read_csv("max78000_cycle_vectors"):
        arguments = {name: int(value) for name, value in row.items()}
        cycles = arguments.pop("cycles")
        errors.append(100 * abs((int(layer_cycles(**arguments)) + 1) / cycles - 1))
    mape, median, worst = float(np.mean(errors)), float(np.median(errors)), max(errors)
    name = f"vector {int(np.argmax(errors)) + 1}" if worst else "none"
    return Row("MAX78000", "cycles", "closed form, vendor's test vectors", len(errors), mape, median, worst, name, None, None)


def _row(core: str, quantity: str, protocol: str, cases: list[HeldOut], covered: float | None = None) -> Row | None:
    if not cases:
        return None
    errors = np.array([100 * abs(case.predicted / case.measured - 1) for case in cases])
    baseline = np.array([100 * abs(case.baseline / case.measured - 1) for case in cases])
    worst = cases[int(errors.argmax())]
    return Row(
        family=f"Cortex-{core}",
        quantity=quantity,
        protocol=protocol,
        n=len(cases),
        mape=float(errors.mean()),
        median=float(np.median(errors)),
        worst=float(errors.max()),
        worst_case=f"{worst.benchmark}, {worst.system.name}",
        baseline_mape=float(baseline.mean()),
        coverage80=heldout.coverage(cases) if covered is None else covered,
    )


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    header = ("family", "quantity", "protocol", "n", "MAPE", "median", "worst", "MACs only", "in 80 %", "worst case")
    lines = [header]
    for row in rows:
        errors = [f"{value:.1f} %" for value in (row.mape, row.median, row.worst)]
        baseline = "" if row.baseline_mape is None else f"{row.baseline_mape:.1f} %"
        covered = "" if row.coverage80 is None else f"{100 * row.coverage80:.0f} %"
        lines.append((row.family, row.quantity, row.protocol, str(row.n), *errors, baseline, covered, row.worst_case))
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    align = ["<", "<", "<", ">", ">", ">", ">", ">", ">", "<"]
    cells = (" ".join(f"{cell:{a}{w + 1}}" for cell, a, w in zip(line, align, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(cells)
