"""No attack earns a point, takes one from another exercise or from the next student, or outlasts its limits.

All submissions of this file are graded by one worker, so they share a warm process, as in a class.
"""

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.course.compare import encode, verdict
from labkit.course.grading import one, runner, sandbox
from labkit.course.grading.one import Job, attempt
from labkit.course.grading.payload import well_formed
from labkit.course.grading.records import Cell, Limits, Result, Sheet

from . import attacks, toy
from .classroom import ANSWERS, LAB, WRONG, course, hand_in, submission

LIMITS = Limits(cell_s=1.5, notebook_s=20, memory_mb=2048)
SLACK_S = 25  # on top of the notebook's budget, on a busy machine: a new sandbox has to import PyTorch
NONE, FULL = {"1": 0, "2": 0}, {"1": 3, "2": 3}
ALL_WRONG = {**WRONG, "ex2-answer": WRONG["ex2-answer"] + "\n\ndef peak(x):\n    return 77.0"}
isolated = pytest.mark.skipif(sandbox.available() == "none", reason="isolation needs bubblewrap")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A course whose lab takes one of labkit's functions away."""
    root = course(tmp_path_factory.mktemp("course"))
    trusted = root / "solutions" / f"{LAB}.ipynb"
    notebook = json.loads(trusted.read_text(encoding="utf-8"))
    notebook["metadata"]["labkit"]["hides"] = ["labkit.data.features.frame"]
    trusted.write_text(json.dumps(notebook), encoding="utf-8")
    yield root
    runner.close()


def grade(root, text: str, limits: Limits = LIMITS) -> Result:
    path = hand_in(root / "submissions" / "mallory" / f"{LAB}.ipynb", text)
    job = Job("mallory", LAB, str(path), str(root / "solutions" / f"{LAB}.ipynb"), limits, sandbox.available())
    start = time.monotonic()
    result = attempt(job)
    assert time.monotonic() - start < limits.notebook_s + SLACK_S
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    return result


def points(result: Result) -> dict[str, float]:
    return {exercise.exercise: exercise.points for exercise in result.exercises}


def with_extra(answers: dict[str, str], extra: str) -> str:
    """The student's notebook with a cell of their own above the first answer."""
    notebook = json.loads(submission(answers))
    at = next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == "ex1-answer")
    notebook["cells"].insert(at, {"cell_type": "code", "id": "mine", "metadata": {}, "source": extra, "outputs": []})
    return json.dumps(notebook)


def the_next_student_gets_all(root):
    result = grade(root, submission(ANSWERS))
    assert (points(result), result.status) == (FULL, "ok"), result


def test_what_is_no_right_value_earns_nothing_and_hurts_no_other_exercise(root):
    """All in one kernel: an exercise each, and after each an exercise solved right."""
    cells, all_points = [Cell("setup", "given", "import numpy as np\nfrom labkit.course import check")], {}
    expected = (encode([1.0, 2.0, 3.0]),)
    for name, code in attacks.VALUES.items():
        for exercise, answer in ((name, code), (f"after {name}", "def f(x):\n    return x + 1")):
            number = len(all_points)
            cells.append(Cell(f"answer-{number}", "answer", answer, exercise))
            cells.append(Cell(f"check-{number}", "check", "check.value(f(np.arange(3.0)))", exercise, 1, 1e-6, expected=expected))
            all_points[exercise] = 1.0
    limits = Limits(cell_s=10, notebook_s=100, memory_mb=4096)
    outcomes = runner.run(Sheet(LAB, tuple(cells), (), all_points), limits, workdir=one._workdir().name, kind=sandbox.available())
    earned = {outcome.exercise: outcome.points for outcome in outcomes if outcome.kind == "check"}
    assert [name for name in attacks.VALUES if earned[name]] == []
    assert [name for name in attacks.VALUES if not earned[f"after {name}"]] == []
    assert all(len(outcome.message) <= 300 for outcome in outcomes)


@isolated
def test_a_submission_sees_nothing_that_it_must_not_see(root):
    hand_in(root / "submissions" / "grace" / f"{LAB}.ipynb", submission(ANSWERS))
    places = (str(root / "solutions"), str(root / "submissions"), one._workdir().name)
    code = f"COURSE, SUBMISSIONS, OUT = {places}\nPROBES = {attacks.PROBES}\n{attacks.PROBE}"
    result = grade(root, submission({**ANSWERS, "ex1-answer": code}), Limits(cell_s=30))
    assert result.exercises[0].note == f"your code: it stopped with RuntimeError: {len(attacks.PROBES)} looked, found nothing"
    assert points(result) == {"1": 0, "2": 3}


@pytest.mark.parametrize("name", attacks.FORGERIES)
def test_a_forgery_earns_nothing(root, name):
    assert points(grade(root, with_extra(ALL_WRONG, attacks.FORGERIES[name]))) == NONE
    the_next_student_gets_all(root)


@isolated
@pytest.mark.parametrize("name", attacks.SABOTAGE)
def test_sabotage_costs_its_own_exercise_only(root, name):
    result = grade(root, submission({**ANSWERS, "ex1-answer": attacks.SABOTAGE[name]}))
    assert points(result) == {"1": 0, "2": 3}, result
    assert result.exercises[0].note
    the_next_student_gets_all(root)
