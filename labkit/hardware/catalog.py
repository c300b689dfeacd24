"""Reads `catalog/*.toml`. Every number there is a table ``{value, unit, source, kind}``: none comes without a source.

`kind` is "measured" (on the device itself), "published" (a data sheet or paper), "fitted" (by a command that the file names),
"emulated" (instructions counted in an emulator times a published cycle table) or "assumed" (no page at hand; an estimate built on
it says so).
"""

from __future__ import annotations

import csv
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from labkit.naming import did_you_mean

FOLDER = Path(__file__).parent / "catalog"
KINDS = ("measured", "published", "fitted", "emulated", "assumed")


@dataclass(frozen=True)
class Quantity:
    """One number, and why we believe it."""

    value: float
    unit: str
    source: str
    kind: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit} ({self.kind}: {self.source})"


@cache
def load(name: str) -> dict:
    """`catalog/<name>.toml` with every ``{value, ...}`` table as a `Quantity`.

    >>> load("cortex_m")["boards"]["nucleo-l4r5zi"]["clock_mhz"].value
    120
    """
    with open(FOLDER / f"{name}.toml", "rb") as file:
        return _quantities(tomllib.load(file), name)


def read_csv(name: str) -> list[dict[str, str]]:
    """Rows of `catalog/<name>.csv`; lines that start with # tell the source."""
    lines = (FOLDER / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def record(cls, data: dict, where: str):
    """Builds the dataclass `cls` from a catalog table. A key that it does not know is an error, never ignored."""
    fields = cls.__dataclass_fields__
    for key in data:
        if key not in fields:
            raise ValueError(f"{where}: unknown key {key!r}; {did_you_mean(key, fields)}")
    try:
        return cls(**data)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


def line(name: str, value: float, unit: str, source: str, kind: str = "fitted") -> str:
    """A number as it stands in a file of the catalog.

    >>> line("factor", 1.02217, "x", "held-out network")
    'factor = { value = 1.0222, unit = "x", source = "held-out network", kind = "fitted" }'
    """
    return f'{name} = {{ value = {value:.5g}, unit = "{unit}", source = "{source}", kind = "{kind}" }}'


def rewrite(name: str, text: str) -> None:
    """What a command that fits does with the new `catalog/<name>.toml`: writes it, or shows it when called with ``--print``."""
    if "--print" in sys.argv:
        print(text)
    else:
        (FOLDER / f"{name}.toml").write_text(text, encoding="utf-8")
        print(f"wrote {FOLDER / name}.toml")


def _quantities(node, where: str):
    if isinstance(node, list):
        return [_quantities(item, where) for item in node]
    if not isinstance(node, dict):
        return node
    if "value" in node:
        quantity = record(Quantity, node, where)
        if quantity.kind not in KINDS:
            raise ValueError(f"{where}: unknown kind {quantity.kind!r}; {did_you_mean(quantity.kind, KINDS)}")
        return quantity
    return {key: _quantities(value, f"{where}.{key}") for key, value in node.items()}
