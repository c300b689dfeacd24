"""How fast a class is graded, beside nbgrader and otter on the same exercises of the same students, in the same run.

A made-up class hands in one lab that needs PyTorch; each student's points are compared with what they must be. The peers grade a
few of the same submissions (`peers`): they are slow, and their time grows with the number. All speeds are notebooks a second of
this machine with everything it was busy with meanwhile, so read the ratios.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from time import perf_counter

from labkit.course.build import find_root
from labkit.course.grading import batch, peers, sandbox
from labkit.course.grading.one import Job
from labkit.course.grading.rebuild import rebuild
from labkit.course.grading.records import Result
from labkit.course.grading.submission import load
from labkit.course.grading.synthetic_class import Student, make

LAB, WORKERS = "04_uniform_quantization", 2
STUDENTS = int(os.environ.get("LABKIT_BENCH_STUDENTS", "200"))
PEER_STUDENTS = 4


def run() -> dict:
    """What ``labkit bench grade --json`` prints."""
    root = find_root()
    trusted = root / "solutions" / f"{LAB}.ipynb"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        students = make(root, LAB, STUDENTS, folder / "class")
        jobs = [Job(student.name, LAB, str(student.path), str(trusted), sandbox=sandbox.available()) for student in students]
        started = perf_counter()
        results = batch.grade_all(jobs, folder / "out", workers=WORKERS)
        seconds = perf_counter() - started
        ours = len(results) / seconds
        rows = [{"grader": "labkit", "notebooks": len(results), "seconds": round(seconds, 1), "per_second": round(ours, 3)}]
        rows += [_peer(name, trusted, students, folder, ours) for name in ("nbgrader", "otter") if peers.command(name)]
    wrong = [student.name for student, result in zip(students, results, strict=True) if not deserved(student, result)]
    lost = STUDENTS - len(results)
    return {"lab": LAB, "workers": WORKERS, "sandbox": sandbox.available(), "lost": lost, "wrong": wrong, "rows": rows}


def deserved(student: Student, result: Result) -> bool:
    """Whether a made-up student got the points that such a submission must get."""
    points = {exercise.exercise: (exercise.points, exercise.max_points) for exercise in result.exercises}
    if student.kind == "truncated":
        return result.status == "unreadable" and result.points == 0
    if student.kind == "blank":
        return result.points == 0
    return all((got < most) if exercise == student.wrong else (got == most) for exercise, (got, most) in points.items())


def _peer(name: str, trusted: Path, students: list[Student], folder: Path, ours: float) -> dict:
    """A peer on the first students whose file it could read."""
    solution = json.loads(trusted.read_text(encoding="utf-8"))
    readable = [student for student in students if student.kind in ("right", "one wrong")][:PEER_STUDENTS]
    sheets = [rebuild(solution, load(student.path)) for student in readable]
    (folder / name).mkdir()
    try:
        seconds, scores = getattr(peers, name)(rebuild(solution, load(trusted)), sheets, folder / name)
    except RuntimeError as error:  # ours were graded all the same
        return {"grader": name, "failed": str(error)}
    theirs = len(sheets) / seconds
    most = sum(sheets[0].points.values())
    unlike = sum((score == most) != (student.kind == "right") for student, score in zip(readable, scores, strict=True))
    row = {"grader": name, "notebooks": len(sheets), "seconds": round(seconds, 1), "per_second": round(theirs, 3)}
    return {**row, "times_as_fast": round(ours / theirs, 1), "unlike": unlike}


def table(result: dict) -> str:
    """The same for people."""
    lines = [f"{result['lab']}, {result['workers']} workers, sandbox: {result['sandbox']}"]
    for row in result["rows"]:
        if "failed" in row:
            lines.append(f"{row['grader']} failed: {row['failed']}")
            continue
        beside = ""
        if (
            "times_as_fast" in row
        ):  # otter judges when the whole notebook has run, so a name that is used twice is judged by its last value
            beside = (
                f"   labkit is {row['times_as_fast']:g} times as fast; {row['unlike']} of them given other points than deserved"
            )
        lines.append(
            f"{row['grader']:<10}{row['notebooks']:5d} notebooks{row['seconds']:9.1f} s{row['per_second']:9.3f} a second{beside}"
        )
    lines.append(f"lost: {result['lost']}; wrong points: {len(result['wrong'])} {' '.join(result['wrong'])}".rstrip())
    for name in ("nbgrader", "otter"):
        if not any(row["grader"] == name for row in result["rows"]):
            lines.append(
                f"{name} is not here: install it in an environment of its own and name its program in LABKIT_{name.upper()}"
            )
    return "\n".join(lines)
