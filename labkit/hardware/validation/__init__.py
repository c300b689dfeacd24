"""What ``labkit validate`` prints: each hardware model against published measurements that it has not seen."""

from __future__ import annotations

from labkit.hardware.validation import cortex_m, max78000
from labkit.hardware.validation.row import Case, Row, summarise

__all__ = ["Case", "Row", "markdown", "summarise", "table", "validate"]

FAMILIES = (cortex_m, max78000)
HEADER = ("family", "quantity", "protocol", "n", "MAPE", "median", "worst", "MACs only", "in 80 %", "rank", "worst case")
ALIGN = "<<<>>>>>>><"


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


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table: what stands in README.md and docs/hardware.md."""
    rule = ["---:" if side == ">" else "---" for side in ALIGN]
    return "\n".join("| " + " | ".join(line) + " |" for line in (HEADER, rule, *map(cells, rows)))
