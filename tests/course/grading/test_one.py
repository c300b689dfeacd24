"""One submission: points are added up from what the sheet says, a reason for each that is missing, and no zero without one."""

import dataclasses
import json

import pytest

from labkit.course.grading import one, report, runner, sandbox
from labkit.course.grading.one import Job, attempt, grade, judge
from labkit.course.grading.records import Cell, Limits, Outcome, Result, Sheet

from . import toy
from .classroom import ANSWERS, LAB, WRONG, course, hand_in, submission

SHEET = Sheet(
    LAB,
    (
        Cell("a1", "answer", "def f(): ...", "1"),
        Cell("c1", "check", "check.value(f(1))", "1", 2),
        Cell("c1-more", "check", "check.value(f(2))", "1", 1),
        Cell("a2", "answer", "def g(): ...", "2"),
        Cell("c2", "check", "check.value(g(1))", "2", 3),
    ),
    (),
    {"1": 3, "2": 3},
)
JOB = Job("ada", LAB, "handed-in.ipynb", "trusted.ipynb", sandbox="none")


def outcome(cell: str, passed: bool, message: str = "", **changed) -> Outcome:
    kind, exercise = ("check" if cell.startswith("c") else "answer"), cell[1]
    return Outcome(
        **{"cell": cell, "kind": kind, "exercise": exercise, "points": 0, "passed": passed, "seconds": 0, **changed},
        message=message,
    )


ALL_RIGHT = [outcome(cell.id, True) for cell in SHEET.cells]


def points(result: Result) -> dict[str, float]:
    return {exercise.exercise: exercise.points for exercise in result.exercises}


def notes(result: Result) -> dict[str, str]:
    return {exercise.exercise: exercise.note for exercise in result.exercises}


def test_points_are_those_of_the_checks_that_passed():
    result = judge(JOB, SHEET, ALL_RIGHT, 1.234)
    assert points(result) == {"1": 3, "2": 3} and notes(result) == {"1": "", "2": ""}
    assert (result.status, result.note, result.seconds) == ("ok", "Graded as it was handed in.", 1.23)
    half = [outcome("c1", True), outcome("c1-more", False, "its value is not the expected one"), outcome("c2", True)]
    result = judge(JOB, SHEET, half)
    assert points(result) == {"1": 2, "2": 3}
    assert notes(result) == {"1": "on other inputs: its value is not the expected one", "2": ""}


@pytest.mark.parametrize(
    "forged",
    [
        [outcome("c1", True, points=99, kind="extra")],  # only a check earns
        [outcome("c1", True, kind="answer")],
        [outcome("c1", False), outcome("c1", True)],  # said twice
        [outcome("c1", True), outcome("c1", True)],
        [outcome("cX", True, points=99)],  # not on the sheet
        [],  # silence is no pass
    ],
)
def test_an_outcome_that_is_not_the_one_of_the_check_earns_nothing(forged):
    result = judge(JOB, SHEET, forged)
    assert points(result) == {"1": 0, "2": 0} and all(notes(result).values())
    assert points(judge(JOB, SHEET, [outcome("c1", True, points=99)])) == {"1": 2, "2": 0}


def test_the_note_is_what_went_wrong_first():
    stopped = [
        outcome("a1", False, "it stopped with SyntaxError: invalid syntax"),
        outcome("c1", False, "it stopped with a NameError"),
    ]
    result = judge(JOB, SHEET, stopped)
    assert notes(result) == {"1": "your code: it stopped with SyntaxError: invalid syntax", "2": "its checks did not run"}
    stub = dataclasses.replace(
        SHEET.cells[0], source='def f():\n    raise NotImplementedError("exercise 1: replace this line with your code")'
    )
    sheet = dataclasses.replace(SHEET, cells=(stub, *SHEET.cells[1:]))
    missing = [
        outcome("c1", False, "it stopped with a NotImplementedError"),
        outcome("c2", False, "it stopped with a NotImplementedError"),
    ]
    assert notes(judge(JOB, sheet, missing)) == {
        "1": "there is no code of yours yet",
        "2": "it builds on an exercise that has no code of yours yet",
    }


@pytest.mark.parametrize(
    "message, status",
    [
        ("it took longer than 30 s and was stopped", "timed out"),
        ("the notebook took longer than 300 s", "timed out"),
        ("not run, because a cell of this exercise was stopped before: it took longer than 30 s and was stopped", "timed out"),
        ("it needed more than 4096 MB of memory and was stopped", "ok"),
        ("it stopped with ValueError: it took longer than 30 s", "ok"),  # a student's own words
    ],
)
def test_the_status_says_whether_time_ran_out(message, status):
    result = judge(JOB, SHEET, [outcome("a1", False, message)])
    assert result.status == status
    if status == "timed out":
        assert message.split(": ")[-1] in result.note


def test_repairs_and_remarks_are_kept():
    sheet = dataclasses.replace(SHEET, repairs=("a test was deleted",))
    result = judge(dataclasses.replace(JOB, remarks=("two files",)), sheet, ALL_RIGHT)
    assert (result.status, result.repairs) == ("repaired", ("two files", "a test was deleted"))
    assert result.note == "2 things had to be put right before grading."


@pytest.fixture
def root(tmp_path):
    return course(tmp_path / "course")


def job(root, text: str, **about) -> Job:
    path = hand_in(root / "handed-in" / "ada" / f"{LAB}.ipynb", text)
    about = {"sandbox": sandbox.available(), **about}
    return Job("ada", LAB, str(path), str(root / "solutions" / f"{LAB}.ipynb"), **about)


@pytest.mark.parametrize("text", ["", "{", "[]", "<html>", '{"cells": []}', "[" * 100_000])
def test_a_file_without_cells_is_unreadable_and_that_is_final(root, text):
    result = attempt(job(root, text, sandbox="none"))
    assert result.status == "unreadable" and not one.failed(result)
    assert result.note.startswith("The file could not be read: ") and "hand" in result.note
    assert (result.points, result.max_points, points(result)) == (0, 6, {"1": 0, "2": 0})
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_a_mistake_of_the_grader_is_said_and_not_scored_in_silence(root, monkeypatch):
    def breaks(*_, **__):
        raise runner.GraderError("the sandbox\nbroke")

    monkeypatch.setattr(runner, "run", breaks)
    with pytest.raises(runner.GraderError):
        attempt(job(root, submission(ANSWERS), sandbox="none"))
    result = Result.from_dict(grade(job(root, submission(ANSWERS), sandbox="none")))
    assert result.status == "unreadable" and one.failed(result) and "GraderError: the sandbox broke" in result.note
    assert (result.points, result.max_points) == (0, 6)


def test_without_the_trusted_lab_or_the_sandbox_the_grader_is_at_fault(root, monkeypatch):
    asked = job(root, submission(ANSWERS), sandbox="bubblewrap")
    monkeypatch.setattr(one.sandbox, "available", lambda: "none")
    monkeypatch.setattr(one.sandbox, "why", lambda: "NO SANDBOX: it is not here.")
    assert "NO SANDBOX" in grade(asked)["note"]
    lost = dataclasses.replace(asked, trusted=str(root / "nowhere.ipynb"), sandbox="none")
    result = Result.from_dict(grade(lost))
    assert one.failed(result) and "FileNotFoundError" in result.note


def test_from_files_to_a_result(root):
    """The whole way, in kernels: right, blank, wrong, and a loop without end, whose exercise alone is lost."""
    expected = {"1": 3, "2": 3}
    result = attempt(job(root, submission(ANSWERS)))
    assert (points(result), result.status, result.repairs, result.sandbox) == (expected, "ok", (), sandbox.available())
    blank = attempt(job(root, toy.notebooks()[1]))
    assert points(blank) == {"1": 0, "2": 0} and set(notes(blank).values()) == {"there is no code of yours yet"}
    wrong = attempt(job(root, submission({**ANSWERS, "ex1-answer": WRONG["ex1-answer"]})))
    assert points(wrong) == {"1": 0, "2": 3} and notes(wrong)["1"].startswith("on other inputs: its ")
    loop = {**ANSWERS, "ex2-answer": "def energy(x):\n    while True: pass\n\ndef peak(x):\n    return 0.0"}
    late = attempt(job(root, submission(loop), limits=Limits(cell_s=2)))
    assert (points(late), late.status) == ({"1": 3, "2": 0}, "timed out") and "took longer than 2 s" in notes(late)["2"]
    assert report.scores([result]).count("\n") == 4
