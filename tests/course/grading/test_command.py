"""`labkit grade`, as a teacher types it."""

import csv
import json
from pathlib import Path

import pytest

from labkit import cli
from labkit.course.grading import batch, command, one, sandbox
from labkit.course.grading.one import fault
from labkit.course.grading.records import ExerciseResult, Result

from . import toy
from .classroom import ANSWERS, LAB, course, hand_in, submission


@pytest.fixture
def class_(tmp_path, monkeypatch):
    """A course as current folder; `class_`/in holds what was handed in."""
    course(tmp_path)
    monkeypatch.chdir(tmp_path)
    hand_in(tmp_path / "in" / "Ada Löve" / f"{LAB}.ipynb", submission(ANSWERS))
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Everybody gets all points, without a kernel."""
    asked = []

    def grade_all(jobs, out, **about):
        asked.append((jobs, about))
        points = (ExerciseResult("1", 3, 3), ExerciseResult("2", 3, 3))
        return [Result(job.student, job.lab, "ok", "done", points, job.remarks, 1.0, job.sandbox) for job in jobs]

    monkeypatch.setattr(batch, "grade_all", grade_all)
    monkeypatch.setattr(sandbox, "available", lambda: "bubblewrap")
    return asked


def labkit(capsys, *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_class_from_files_to_reports(class_, capsys):
    """The whole way, in kernels: two layouts, right, blank and broken; then again, from what is kept."""
    hand_in(class_ / "in" / f"bob__{LAB}.ipynb", toy.notebooks()[1])
    hand_in(class_ / "in" / "eve" / f"{LAB}.ipynb", "{")
    hand_in(class_ / "in" / "eve" / "photo.png", "x")
    words = ("grade", "in", "--out", "out", "--workers", "2", "--lab", "99", "--timeout", "20", "--trusted")
    code, out, err = labkit(capsys, *words)
    assert code == 0 and "eve/photo.png: this is not a notebook (.ipynb)." in err and "3/3" in err
    assert out == "3 graded: 2 ok, 1 unreadable; 33 % of all points. Open out/index.html; scores.csv lies beside it.\n"
    with (class_ / "out" / "scores.csv").open(newline="", encoding="utf-8") as file:
        totals = {row["student"]: (row["points"], row["status"]) for row in csv.DictReader(file) if row["exercise"] == "total"}
    assert totals == {"Ada Löve": ("6", "ok"), "bob": ("0", "ok"), "eve": ("0", "unreadable")}
    pages = {path.relative_to(class_ / "out").as_posix() for path in (class_ / "out").rglob("*.html")}
    assert len(pages) == 4 and "feedback/bob/99_toy.html" in pages
    assert (class_ / "out" / "overview.png").read_bytes().startswith(b"\x89PNG")
    kept = sorted((path.name, path.stat().st_mtime_ns) for path in (class_ / "out" / "cache").iterdir())
    assert len(kept) == 4  # the three, and the solution itself
    assert labkit(capsys, *words)[:2] == (0, out)
    again = sorted((path.name, path.stat().st_mtime_ns) for path in (class_ / "out" / "cache").iterdir())
    assert again == kept


def test_the_words_reach_the_batch(class_, quick, capsys):
    code, out, _ = labkit(capsys, "grade", "in", "--out", "out", "--timeout", "60", "--workers", "3", "--backend", "dask")
    assert code == 0 and out.startswith("1 graded: 1 ok; 100 % of all points.")
    (own, _), (jobs, about) = quick
    assert [job.student for job in own] == ["(solution)"] and own[0].submission == own[0].trusted == jobs[0].trusted
    assert about == {"workers": 3, "backend": "dask"}
    assert (jobs[0].limits.cell_s, jobs[0].limits.notebook_s, jobs[0].sandbox) == (60, 600, "bubblewrap")


def test_a_gradebook_gets_the_points_in_a_copy(class_, quick, capsys):
    book = 'Student,ID,SIS Login ID,Section\n"Löve, Ada",7,ada,A\n"Nobody, Here",8,nobody,A\n'
    hand_in(class_ / "canvas.csv", book)
    code, _, err = labkit(capsys, "grade", "in", "--out", "out", "--gradebook", "canvas.csv")
    assert code == 0 and "Nobody" in err
    assert (class_ / "canvas.csv").read_text(encoding="utf-8") == book
    assert '"Löve, Ada",7,ada,A,6\n' in (class_ / "out" / "canvas.csv").read_text(encoding="utf-8")


def test_without_a_sandbox_nothing_runs_unless_the_students_are_trusted(class_, quick, capsys, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: "none")
    monkeypatch.setattr(sandbox, "why", lambda: "NO SANDBOX: it is not here.")
    monkeypatch.setattr(command.sys, "platform", "darwin")
    code, out, err = labkit(capsys, "grade", "in", "--out", "out")
    assert (code, out, quick) == (2, "", []) and err.count("\n") == 1
    assert "NO SANDBOX" in err and "On a Mac, grade in a Linux virtual machine" in err and "--trusted" in err
    code, out, err = labkit(capsys, "grade", "in", "--out", "out", "--trusted")
    assert code == 0 and "NO SANDBOX" in err and {job.sandbox for jobs, _ in quick for job in jobs} == {"none"}


def test_a_lab_that_cannot_be_graded_here_grades_nobody(class_, capsys, monkeypatch):
    """A missing data set, say, would give the whole class no points."""
    seen = []

    def grade_all(jobs, out, **about):
        seen.extend(job.student for job in jobs)
        half = (ExerciseResult("1", 3, 3), ExerciseResult("2", 0, 3, "on other inputs: it stopped with a FileNotFoundError"))
        return [Result(job.student, job.lab, "ok", "", half) for job in jobs]

    monkeypatch.setattr(batch, "grade_all", grade_all)
    code, out, err = labkit(capsys, "grade", "in", "--out", "out", "--trusted")
    assert (code, out, seen) == (2, "", ["(solution)"])
    assert "the solution of 99_toy does not get all its points here" in err and "exercise 2: on other inputs" in err


def test_where_the_grader_failed_the_exit_status_and_the_summary_say_so(class_, quick, capsys, monkeypatch):
    right = batch.grade_all

    def grade_all(jobs, out, **about):
        return [fault(job, "no space left") for job in jobs] if jobs[0].student == "Ada Löve" else right(jobs, out, **about)

    monkeypatch.setattr(batch, "grade_all", grade_all)
    code, out, _ = labkit(capsys, "grade", "in", "--out", "out")
    assert code == 1 and "The grader failed on Ada Löve (99); the same command tries them again." in out
    result = json.loads((class_ / "out" / "results.json").read_text(encoding="utf-8"))["results"][0]
    assert result["note"].startswith(one.FAULT)


def test_a_batch_that_is_stopped_says_how_it_goes_on(class_, quick, capsys, monkeypatch):
    right = batch.grade_all

    def grade_all(jobs, out, **about):
        if jobs[0].student == "(solution)":
            return right(jobs, out, **about)
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "grade_all", grade_all)
    code, out, err = labkit(capsys, "grade", "in", "--out", "out")
    assert (code, out) == (130, "") and "the same command goes on from there" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere", "--out", "out"], "there is no folder nowhere"),
        (["in", "--out", "in/out"], "choose another --out"),
        (["in", "--out", "out", "--lab", "42"], "there is no lab '42'; known: 99_toy"),
        (["in", "--out", "out", "--workers", "0"], "--workers is a number of processes"),
        (["in", "--out", "out", "--timeout", "-1"], "--timeout is a number of seconds"),
        (["empty", "--out", "out"], "holds no notebook to grade"),
        (["in", "--out", "out", "--gradebook", "none.csv"], "there is no gradebook none.csv"),
        (["in", "--out", "out", "--gradebook", "out/book.csv"], "would overwrite a file in out"),
    ],
)
def test_an_error_is_one_sentence(class_, quick, capsys, words, sentence):
    (class_ / "empty").mkdir()
    hand_in(class_ / "out" / "book.csv", "Student,ID,Section")
    code, out, err = labkit(capsys, "grade", *words)
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1


def test_the_summary_counts():
    results = [
        Result("a", LAB, "ok", "", (ExerciseResult("1", 3, 3),)),
        Result("b", LAB, "timed out", "", (ExerciseResult("1", 0, 3),)),
        Result("c", LAB, "repaired", "", (ExerciseResult("1", 1, 3),)),
    ]
    text = command.summary(results, Path("out"))
    assert text == "3 graded: 1 ok, 1 repaired, 1 timed out; 44 % of all points. Open out/index.html; scores.csv lies beside it."
