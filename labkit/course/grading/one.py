"""The unit of grading: from the files of one submission to one result, in any process, on any machine that sees the files.

    result = grade(Job("ada", "00_start", "submissions/ada/00_start.ipynb", "solutions/00_start.ipynb"))

Nothing a student hands in makes it raise. Where the grader itself fails, the result says so: nobody gets a zero without a reason.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from labkit.course.grading import sandbox
from labkit.course.grading.rebuild import rebuild
from labkit.course.grading.records import ExerciseResult, Limits, Outcome, Result, Sheet
from labkit.course.grading.submission import Unreadable, load

FAULT = "The grader failed on this submission, which is not the student's fault; grade it again, or by hand"
LATE = re.compile(r"(not run, because a cell of this exercise was stopped before: )?(it|the notebook) took longer than")
STUB = 'raise NotImplementedError("exercise'  # the line that a student should replace (source.stub)


@dataclass(frozen=True)
class Job:
    """One submission to grade. `remarks` say what was noticed about the file when it was found; the student reads them.

    `sandbox` is what its code must run in, one of `sandbox.KINDS`: "none" is for students whom you trust.
    """

    student: str
    lab: str
    submission: str
    trusted: str
    limits: Limits = field(default_factory=Limits)
    sandbox: str = "bubblewrap"
    remarks: tuple[str, ...] = ()


def grade(job: Job) -> dict:
    """`Result.to_dict()` of a job. Never raises: neither for what is in the submission, nor for a mistake of the grader."""
    try:
        return attempt(job).to_dict()
    except Exception as error:
        return fault(job, f"{type(error).__name__}: {error}").to_dict()


def attempt(job: Job) -> Result:
    """The result of a job. Raises only where the grader, or the machine it runs on, is at fault."""
    from labkit.course.grading import runner  # only workers need pytest and nbval

    start = time.monotonic()
    if job.sandbox == "bubblewrap" and sandbox.available() != "bubblewrap":
        raise RuntimeError(sandbox.why())
    trusted = _trusted(job)
    try:
        submission = load(job.submission)
    except Unreadable as why:
        return _nothing(job, trusted, f"The file could not be read: {why}.")
    sheet = rebuild(trusted, submission)
    hides = trusted["metadata"]["labkit"].get("hides", ())
    outcomes = runner.run(sheet, job.limits, hides=hides, workdir=Path(_workdir().name), kind=job.sandbox)
    return judge(job, sheet, outcomes, time.monotonic() - start)


def judge(job: Job, sheet: Sheet, outcomes: Sequence[Outcome], seconds: float = 0.0) -> Result:
    """Adds up: an exercise gets the points of its check cells that passed, as the sheet states them."""
    passed = {cell.id: [o.passed for o in outcomes if o.kind == "check" and o.cell == cell.id] for cell in sheet.cells}
    exercises = []
    for exercise, most in sheet.points.items():
        checks = [cell for cell in sheet.cells if cell.kind == "check" and cell.exercise == exercise]
        points = sum(cell.points for cell in checks if passed[cell.id] == [True])
        exercises.append(ExerciseResult(exercise, points, most, "" if points == most else _reason(exercise, sheet, outcomes)))
    repairs = (*job.remarks, *sheet.repairs)
    status, note = _status(repairs, outcomes)
    return Result(job.student, job.lab, status, note, tuple(exercises), repairs, round(seconds, 2), job.sandbox)


def fault(job: Job, why: str) -> Result:
    """The result where the grader failed: for the teacher, who can grade again."""
    try:
        trusted = _trusted(job)
    except (OSError, ValueError):  # that may be the very reason
        trusted = {"cells": []}
    return _nothing(job, trusted, f"{FAULT} ({' '.join(why.split())}).")


def failed(result: Result) -> bool:
    """Whether this is a `fault`."""
    return result.note.startswith(FAULT)


def _nothing(job: Job, trusted: dict, note: str) -> Result:
    points: dict[str, float] = {}
    for cell in trusted["cells"]:
        about = cell["metadata"].get("labkit", {})
        if about.get("role") == "check":
            points[about["exercise"]] = points.get(about["exercise"], 0) + about["points"]
    exercises = tuple(ExerciseResult(exercise, 0, most, "nothing could be graded") for exercise, most in points.items())
    return Result(job.student, job.lab, "unreadable", note, exercises, job.remarks, 0.0, job.sandbox)


def _status(repairs: Sequence[str], outcomes: Sequence[Outcome]) -> tuple[str, str]:
    late = [outcome for outcome in outcomes if not outcome.passed and LATE.match(outcome.message)]
    if late:
        where = late[0].message if late[0].message.startswith("the notebook") else f"cell {late[0].cell}: {late[0].message}"
        return "timed out", f"Some code had to be stopped ({where})."
    if repairs:
        return "repaired", f"{len(repairs)} thing{'s' * (len(repairs) > 1)} had to be put right before grading."
    return "ok", "Graded as it was handed in."


def _reason(exercise: str, sheet: Sheet, outcomes: Sequence[Outcome]) -> str:
    """Why points are missing: what went wrong first, in one sentence."""
    if any(cell.kind == "answer" and cell.exercise == exercise and STUB in cell.source for cell in sheet.cells):
        return "there is no code of yours yet"
    failed = [outcome for outcome in outcomes if outcome.exercise == exercise and not outcome.passed and outcome.message]
    if not failed:
        return "its checks did not run"
    first = failed[0]
    if "NotImplementedError" in first.message:
        return "it builds on an exercise that has no code of yours yet"
    return f"{'on other inputs' if first.kind == 'check' else 'your code'}: {first.message}"


def _trusted(job: Job) -> dict:
    return json.loads(Path(job.trusted).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _workdir() -> tempfile.TemporaryDirectory:
    """What this process needs for all its submissions: labkit without the answers."""
    return tempfile.TemporaryDirectory(prefix="labkit-grading-")
