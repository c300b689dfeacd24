"""MAX78000: the closed form against the vendor's register-level test vectors. Nothing is fitted, so nothing is held out."""

from __future__ import annotations

from labkit.hardware.catalog import read_csv
from labkit.hardware.max78000_cycles import layer_cycles
from labkit.hardware.validation.row import Case, Row, summarise


def rows() -> list[Row]:
    cases = []
    for number, row in enumerate(read_csv("max78000_cycle_vectors"), start=1):
        arguments = {name: int(value) for name, value in row.items()}
        measured = arguments.pop("cycles") - 1  # without the cycle that starts the network
        cases.append(Case(f"vector {number}", measured, int(layer_cycles(**arguments))))
    return [summarise("MAX78000", "cycles", "closed form, vendor's test vectors", cases, at_most=0.0)]
