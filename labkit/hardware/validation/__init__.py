"""What ``labkit validate`` prints: each hardware model against published measurements that it has not seen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labkit.hardware.validation import analog, cortex_m, fpga, gap, max78000, mpic, ultratrail
from labkit.hardware.validation.row import Case, Row, summarise

__all__ = ["Case", "Row", "into", "markdown", "summarise", "table", "validate"]

FAMILIES = (cortex_m, max78000, mpic, gap, ultratrail, fpga, analog)
HEADER = ("family", "quantity", "protocol", "n", "MAPE", "median", "worst", "MACs only", "in 80 %", "rank", "worst case")
ALIGN = "<<<>>>>>>><"
MARKED = re.compile(r"(<!-- validate: (.*?) -->)\n.*?(<!-- end -->)", re.DOTALL)


def validate() -> list[Row]:
    """One row per family, quantity and protocol.

    >>> [(row.family, row.n) for row in validate() if row.quantity == "latency"][1]
    ('Cortex-M4', 92)
    """
    return [row for family in FAMILIES for row in family.rows()]


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of HEADER."""
    errors = [f"{value:.1f} %" for value in (row.mape, row.median, row.worst)]
    baseline = "" if row.baseline_mape is None else f"{row.baseline_mape:.1f} %"
    covered = "" if row.coverage80 is None else f"{100 * row.coverage80:.0f} %"
    rank = "" if row.rank is None else f"{row.rank:.3f}"
    return row.family, row.quantity, row.protocol, str(row.n), *errors, baseline, covered, rank, row.worst_case


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    padded = (" ".join(f"{cell:{a}{w + 1}}" for cell, a, w in zip(line, ALIGN, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded)


def markdown(rows: list[Row], columns: Sequence[str] = HEADER) -> str:
    """The rows as a Markdown table with some of the columns of HEADER."""
    chosen = [HEADER.index(column) for column in columns]
    rule = ["---:" if side == ">" else "---" for side in ALIGN]
    return "\n".join("| " + " | ".join(line[i] for i in chosen) + " |" for line in (HEADER, rule, *map(cells, rows)))


def into(text: str, rows: list[Row]) -> str:
    """`text` with a new table between its markers, ``<!-- validate: family, MAPE -->`` (columns to show) and ``<!-- end -->``."""
    return MARKED.sub(lambda found: f"{found[1]}\n{markdown(rows, found[2].split(', '))}\n{found[3]}", text)
