"""CSV files whose untouched cells stay as they are, byte for byte.

Python's csv module forgets how a cell was quoted and how a line ended. Here a file is rows of *raw* cells, quotes included, so that
a changed file differs from the old one in the changed cells only (RFC 4180 with any delimiter; a quoted cell may hold line ends).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

DELIMITERS = ",;\t:"  # what Canvas (the first two) and Moodle can export
BOM = "\ufeff"


@dataclass
class Row:
    """Raw cells and the line end after them, "" at the end of a file."""

    cells: list[str]
    end: str


@dataclass
class Table:
    """A delimited file. ``str(table)`` is its text."""

    rows: list[Row]
    delimiter: str
    bom: str

    def __str__(self) -> str:
        return self.bom + "".join(self.delimiter.join(row.cells) + row.end for row in self.rows)

    @cached_property
    def decimal_mark(self) -> str:
        """A comma where the file writes 1,50 for one and a half, else a point."""
        cells = [value(cell).strip() for row in self.rows[1:] for cell in row.cells]
        comma = any(re.fullmatch(r"\d+,\d+", cell) for cell in cells) and not any(re.fullmatch(r"\d+\.\d+", cell) for cell in cells)
        return "," if comma else "."

    def quoted(self, text: str) -> str:
        """A value as a raw cell, in quotes where it needs them.

        >>> Table([], ",", "").quoted('say "hi", Ada')
        '"say ""hi"", Ada"'
        """
        special = any(mark in text for mark in (self.delimiter, '"', "\r", "\n")) or text != text.strip()
        return '"' + text.replace('"', '""') + '"' if special else text


def parse(text: str) -> Table:
    """The table in `text`; the delimiter is the one that cuts its first line into most cells.

    >>> str(parse('a;"b;\\nc"\\r\\n1;2')), [value(cell) for cell in parse('a;"b;\\nc"\\r\\n1;2').rows[0].cells]
    ('a;"b;\\nc"\\r\\n1;2', ['a', 'b;\\nc'])
    """
    bom = BOM if text.startswith(BOM) else ""
    text = text[len(bom) :]
    tables = [Table(_rows(text, delimiter), delimiter, bom) for delimiter in DELIMITERS]
    return max(tables, key=lambda table: len(table.rows[0].cells) if table.rows else 0)


def value(cell: str) -> str:
    """What a raw cell says.

    >>> value('"a ""b"" c"'), value(" 3 ")
    ('a "b" c', ' 3 ')
    """
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _rows(text: str, delimiter: str) -> list[Row]:
    # a cell: quoted, or up to the next delimiter or line end; a quote that is never closed is an ordinary letter
    pattern = re.compile(rf'("(?:[^"]|"")*"(?=[{delimiter}\r\n]|\Z)|[^{delimiter}\r\n]*)([{delimiter}]|\r\n|\r|\n|\Z)')
    rows, cells, at = [], [], 0
    while at < len(text) or cells:
        match = pattern.match(text, at)
        cells.append(match[1])
        at = match.end()
        if match[2] != delimiter:
            rows.append(Row(cells, match[2]))
            cells = []
    return rows
