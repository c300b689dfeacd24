"""A class of made-up students, to try a grader on: right, partly right, blank and broken submissions of one lab.

Their mistakes are the wrong answers planted in the lab's source, so what each should get is known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labkit.course import source
from labkit.course.source import Lab

KINDS = {"right": 0.45, "one wrong": 0.35, "blank": 0.1, "does not parse": 0.05, "truncated": 0.05}  # shares of the class
SYNTAX_ERROR = "def unfinished(:\n"


@dataclass(frozen=True)
class Student:
    """`wrong` is the exercise that must lose points, where one must."""

    name: str
    kind: str
    wrong: str | None
    path: Path


def make(root: Path, lab_name: str, n: int, folder: Path, seed: int = 0) -> list[Student]:
    """Writes `n` submissions of a lab to ``folder/<student>/<lab>.ipynb``; the course lies in `root`."""
    lab = source.read(root / "solutions" / f"{lab_name}.py")
    blank = json.loads((root / "notebooks" / f"{lab_name}.ipynb").read_text(encoding="utf-8"))
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(list(KINDS), _counts(n)))
    return [_write(lab, blank, f"student-{i:03d}", str(kind), folder, rng) for i, kind in enumerate(kinds)]


def _counts(n: int) -> list[int]:
    """How many of each kind: `n` in all, what rounding leaves goes to the right ones."""
    counts = [round(n * share) for share in KINDS.values()]
    counts[0] += n - sum(counts)
    return counts


def _write(lab: Lab, blank: dict, name: str, kind: str, folder: Path, rng: np.random.Generator) -> Student:
    answers = {} if kind == "blank" else {cell.name: cell.source for cell in lab.having("answer")}
    wrong = None
    if kind in ("one wrong", "does not parse"):
        wrong = str(rng.choice(lab.exercises))
        planted = lab.having("wrong", wrong)
        text = planted[rng.integers(len(planted))].source if kind == "one wrong" else SYNTAX_ERROR
        answers[lab.having("answer", wrong)[0].name] = text
    cells = [{**cell, "source": answers[cell["id"]]} if cell["id"] in answers else cell for cell in blank["cells"]]
    path = folder / name / f"{lab.name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**blank, "cells": cells})
    path.write_text(text[: len(text) // 2] if kind == "truncated" else text, encoding="utf-8")
    return Student(name, kind, wrong, path)
