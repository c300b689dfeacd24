"""What a grading leaves behind: scores that add up, files that no name can lead astray, and the same when written twice."""

import csv
import io
import json
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import atomic
from labkit.course.grading import report, wording
from labkit.course.grading.records import STATUSES, ExerciseResult, Result

ADA = Result("ada", "00_start", "ok", "", (ExerciseResult("1", 1.5, 3, "3 of 17 numbers differ"), ExerciseResult("2", 2, 2)))
EVE = Result("eve", "00_start", "unreadable", "it is a zip file; hand in the notebook in it", ())
BOB = Result(
    "bob",
    "01_keyword_spotting",
    "repaired",
    "",
    (ExerciseResult("1", 1 / 3, 1, "a\nb"),),
    ("two cells were joined",),
    1.5,
    "bubblewrap",
)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_scores_have_a_row_for_each_exercise_and_a_total():
    assert report.scores([ADA, EVE, BOB]).splitlines() == [
        "student,lab,exercise,points,max_points,status,note",
        "ada,00_start,1,1.5,3,ok,3 of 17 numbers differ",
        "ada,00_start,2,2,2,ok,",
        "ada,00_start,total,3.5,5,ok,",
        "eve,00_start,total,0,0,unreadable,it is a zip file; hand in the notebook in it",
        "bob,01_keyword_spotting,1,0.33,1,repaired,a b",
        "bob,01_keyword_spotting,total,0.33,1,repaired,",
    ]


def test_all_files_are_there_and_writing_again_changes_nothing(tmp_path):
    out = tmp_path / "new" / "out"
    report.write([BOB, ADA, EVE], out)
    first = files(out)
    assert list(first) == [
        "feedback/ada/00_start.html",
        "feedback/bob/01_keyword_spotting.html",
        "feedback/eve/00_start.html",
        "index.html",
        "overview.png",
        "results.json",
        "scores.csv",
    ]
    report.write([ADA, EVE, BOB], out)
    assert files(out) == first
    assert report.read(out) == [ADA, EVE, BOB]
    assert b'href="feedback/ada/00_start.html"' in first["index.html"] and b"Sandbox" in first["index.html"]


def test_nothing_graded_leaves_scores_and_no_picture(tmp_path):
    report.write([EVE], tmp_path)
    assert "overview.png" not in files(tmp_path) and b"nothing was graded" in files(tmp_path)["index.html"]
    report.write([], tmp_path)
    assert files(tmp_path)["scores.csv"] == b"student,lab,exercise,points,max_points,status,note\n"


def test_scores_are_safe_before_anything_else_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(report.overview, "png", lambda results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.write([ADA], tmp_path)
    assert {"scores.csv", "results.json", "feedback/ada/00_start.html"} <= set(files(tmp_path))


def test_an_interrupted_write_leaves_the_old_scores(tmp_path, monkeypatch):
    report.write([ADA], tmp_path)
    before = files(tmp_path)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        report.write([ADA, BOB], tmp_path)
    assert files(tmp_path) == before


NASTY = [
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "CON",
    "con.txt",
    "nul",
    "COM1",
    "a/b",
    "a\\b",
    "x" * 5000,
    "日本 太郎",
    "Zoë",
    "Zoe\u0308",
    "",
]
NASTY += [
    "Ada",
    "ada",
    "ADA",
    "<b>",
    "a:b",
    "a?*|",
    "-rf",
    "=1+1",
    "\ud800",
    "a\x00b",
    "a\nb",
    "😀",
    "end.",
    "end ",
    "~",
    "%2e%2e",
    "aux.html",
    "ﬁ",
    "fi",
]


def test_no_name_leads_a_page_astray(tmp_path):
    results = [Result(name, lab, "ok", "", ADA.exercises) for name in NASTY for lab in ("00_start", "../../lab")]
    report.write(results, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    pages = [path for path in files(tmp_path / "out") if path.startswith("feedback/")]
    assert len(pages) == len(results) and all(len(path.split("/")) == 3 for path in pages)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "scores.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 3 * len(results)
    assert report.read(tmp_path / "out") == sorted(results, key=lambda result: (result.lab, result.student))


@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from(NASTY)), unique=True, max_size=8))
def test_file_names_are_safe_everywhere_and_different_everywhere(names):
    found = wording.file_names(names)
    assert len({unicodedata.normalize("NFKC", file.casefold()) for file in found.values()}) == len(names)
    for file in found.values():
        assert 0 < len(os.fsencode(f"{file}.html")) < 230  # a temporary file beside it has a longer name
        assert not set(file) & set('<>:"/\\|?*\0\n ') and file[0] != "." and file[-1] not in ". "
        assert file.split(".")[0].casefold() not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@pytest.mark.parametrize("name", ["ada", "Ada.Lovelace@uni.edu", "s-0042", "zoë", "ada_lovelace", "太郎"])
def test_ordinary_names_stay(name):
    assert wording.file_name(name) == name


@given(st.text(), st.text(), st.text(), st.sampled_from(STATUSES), st.floats(0, 100))
def test_a_program_reads_the_scores_back_and_a_spreadsheet_runs_nothing(student, lab, note, status, points):
    text = report.scores([Result(student, lab, status, note, (ExerciseResult("1", points, 100, note),))])
    head, *rows = csv.reader(io.StringIO(text))
    assert tuple(head) == report.COLUMNS and [row[2] for row in rows] == ["1", "total"]
    for row in rows:
        assert len(row) == len(head) and not any(cell.startswith(report.FORMULA) for cell in row)
        assert float(row[3]) == pytest.approx(points, abs=0.00501)
        assert row[0].removeprefix("'") == wording.clean(student).removeprefix("'")
    json.dumps(text.encode().decode())
