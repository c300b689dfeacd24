"""Where the reference material beside the project is, if it is here: LABKIT_SHARED, or `shared` next to the checkout.

The project never needs it. Tests that check against it skip without it.
"""

import csv
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("LABKIT_SHARED", ROOT.parent / "shared"))


def shared(*parts: str) -> Path:
    """A path in the reference material; skips the test when it is not here."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference material {'/'.join(parts)} is not here")
    return path


def rows(*parts: str) -> list[dict[str, str]]:
    with shared(*parts).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
