"""A course of one toy lab on disk, submissions of it, and units of work that need no kernel."""

import json
import os
import signal
import time
from pathlib import Path

from labkit.course import source
from labkit.course.grading.one import Job
from labkit.course.grading.records import ExerciseResult, Result

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
    """A job for each order to `obey`; the orders are what their submissions hold."""
    trusted = hand_in(folder / "trusted.ipynb", toy.notebooks()[0])
    paths = [hand_in(folder / f"s{number:02d}.txt", order) for number, order in enumerate(orders)]
    return [Job(path.stem, LAB, str(path), str(trusted), **about) for path in paths]


def obey(job: Job) -> Result:
    """Does what the submission says ("sleep 0.2", "die", "raise …"), and writes the student down in a log beside it."""
    path = Path(job.submission)
    order, _, rest = path.read_text(encoding="utf-8").partition(" ")
    if order == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "raise":
        raise RuntimeError(rest)
    if order == "sleep":
        time.sleep(float(rest))
    with (path.parent / "log").open("a") as log:
        log.write(f"{job.student}\n")
    return Result(job.student, job.lab, "ok", "done", (ExerciseResult("1", 1, 1),))


def graded(folder: Path) -> list[str]:
    """The students `obey` wrote down, in order."""
    log = folder / "log"
    return log.read_text().split() if log.exists() else []
