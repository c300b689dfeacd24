"""A course of one toy lab on disk, and submissions of it."""

import json
import os
import time
from pathlib import Path

from labkit.course import source
from labkit.course.grading.one import Job

from . import toy

LAB = "99_toy"
ANSWERS = {cell.name: cell.source for cell in source.parse(toy.TOY, LAB).having("answer")}
WRONG = {f"ex{cell.exercise}-answer": cell.source for cell in source.parse(toy.TOY, LAB).having("wrong")}


def course(root: Path) -> Path:
    """`root`/solutions and `root`/notebooks, as `labkit build` leaves them."""
    for folder, text in zip(("solutions", "notebooks"), toy.notebooks(), strict=True):
        (root / folder).mkdir(parents=True)
        (root / folder / f"{LAB}.ipynb").write_text(text, encoding="utf-8")
    return root


def submission(answers: dict[str, str], extra: str = "") -> str:
    """The student's notebook with these answers (cell -> code), and a cell of their own at its end."""
    notebook = json.loads(toy.notebooks()[1])
    for cell in notebook["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    if extra:
        notebook["cells"].append({"cell_type": "code", "id": "mine", "metadata": {}, "source": extra, "outputs": []})
    return json.dumps(notebook)


def hand_in(path: Path, text: str, age_s: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def jobs(folder: Path, orders: list[str], **about) -> list[Job]:
    """A job for each order to `orders.obey`; the orders are what their submissions hold."""
    trusted = hand_in(folder / "trusted.ipynb", toy.notebooks()[0])
    paths = [hand_in(folder / f"s{number:02d}.txt", order) for number, order in enumerate(orders)]
    return [Job(path.stem, LAB, str(path), str(trusted), **about) for path in paths]
