"""Whose is each file, and of which lab; nothing is left out in silence, and nothing outside of the folder is read."""

import json
import os
import shutil

import pytest

from labkit.course.grading.collect import find
from labkit.course.grading.records import Limits

from . import toy
from .classroom import LAB, course, hand_in

BLANK = toy.notebooks()[1]
OTHER = "98_other"


@pytest.fixture
def root(tmp_path):
    root = course(tmp_path / "course")
    shutil.copy(root / "solutions" / f"{LAB}.ipynb", root / "solutions" / f"{OTHER}.ipynb")
    return root


@pytest.fixture
def box(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def of(lab: str | None) -> str:
    """A notebook that says it is of this lab; of none with None."""
    notebook = json.loads(BLANK)
    notebook["metadata"]["labkit"]["lab"] = lab
    return json.dumps(notebook)


def seen(box, root, **about):
    jobs, strange = find(box, root, **about)
    return [(job.student, job.lab) for job in jobs], strange


def test_both_layouts_and_names_of_all_kinds(box, root):
    hand_in(box / "Ada Löve" / f"{LAB}.ipynb", BLANK)
    hand_in(box / "bob" / "week 3" / f"{OTHER}.ipynb", of(OTHER))
    hand_in(box / "bob" / f"{LAB}.ipynb", BLANK)
    hand_in(box / f"x__y__{LAB}.ipynb", BLANK)
    hand_in(box / f"Lo\u0308ve, Eva__{LAB}.IPYNB", BLANK)  # as macOS spells ö
    hand_in(box / "lovelaceada_LATE_123_4567_99_toy-2.ipynb", BLANK)
    assert seen(box, root) == (
        [("bob", OTHER), ("Ada Löve", LAB), ("Löve, Eva", LAB), ("bob", LAB), ("lovelaceada", LAB), ("x__y", LAB)],
        [],
    )
    jobs, _ = find(box, root, limits=Limits(cell_s=3), sandbox="none")
    assert all(job.limits.cell_s == 3 and job.sandbox == "none" and os.path.isabs(job.submission) for job in jobs)


def test_two_of_one_name_are_told_apart_by_canvas_number(box, root):
    hand_in(box / f"loveada_12_99_{LAB}.ipynb", BLANK)
    hand_in(box / f"loveada_34_98_{LAB}.ipynb", BLANK)
    assert seen(box, root)[0] == [("12", LAB), ("34", LAB)]


@pytest.mark.parametrize(
    "name, text, lab",
    [
        ("final version.ipynb", BLANK, LAB),  # renamed: the notebook says what it is
        ("99_toy (1).ipynb", of(None), LAB),
        ("99.ipynb", of("no such lab"), LAB),
        ("98_other.ipynb", "{broken", OTHER),
    ],
)
def test_the_lab_of_a_renamed_file(box, root, name, text, lab):
    hand_in(box / "ada" / name, text)
    assert seen(box, root) == ([("ada", lab)], [])


def test_a_file_with_another_lab_in_it_is_graded_as_that_and_the_student_is_told(box, root):
    hand_in(box / "ada" / f"{OTHER}.ipynb", BLANK)
    (job,), strange = find(box, root)
    said = f"The file {OTHER}.ipynb holds lab {LAB} and was graded as that."
    assert (job.lab, job.remarks, strange) == (LAB, (said,), [f"ada: {said}"])


def test_of_two_files_the_newest_is_graded_and_said(box, root):
    hand_in(box / "ada" / f"{LAB}.ipynb", BLANK, age_s=60)
    newest = hand_in(box / "ada" / "again.ipynb", BLANK, age_s=10)
    hand_in(box / f"ada__{LAB}.ipynb", BLANK, age_s=30)
    (job,), strange = find(box, root)
    assert job.submission == str(newest)
    assert job.remarks == ("Of 3 files for this lab the newest was graded, again.ipynb.",) and len(strange) == 1


def test_what_cannot_be_graded_is_named(box, root):
    hand_in(box / "ada" / "essay.pdf", "x")
    hand_in(box / "ada" / "all.zip", "x")
    hand_in(box / "ada" / "notes.ipynb", of(None))
    hand_in(box / f"{LAB}.ipynb", BLANK)
    (box / "eve").mkdir()
    os.mkfifo(box / "eve" / f"{LAB}.ipynb")
    jobs, strange = find(box, root)
    assert jobs == [] and strange == [
        "ada/all.zip: this is not a notebook (.ipynb); unpack it first.",
        "ada/essay.pdf: this is not a notebook (.ipynb).",
        "eve/99_toy.ipynb: this is a link or no plain file; it was not followed.",
        "99_toy.ipynb: whose is it? Put it into a folder called like the student, or call it STUDENT__99_toy.ipynb.",
        "ada/notes.ipynb: which lab is it? Call it like the lab, 98_other.ipynb for example.",
        "ada: there is no notebook to grade.",
        "eve: there is no notebook to grade.",
    ]


def test_a_link_is_not_followed(box, root):
    """A link in a student's archive could lead to the solutions."""
    (box / "eve").mkdir()
    (box / "eve" / f"{LAB}.ipynb").symlink_to(root / "solutions" / f"{LAB}.ipynb")
    (box / "mallory").symlink_to(root / "solutions")
    jobs, strange = find(box, root)
    assert jobs == [] and strange == [
        "mallory: this is a link or no plain file; it was not followed.",
        "eve/99_toy.ipynb: this is a link or no plain file; it was not followed.",
        "eve: there is no notebook to grade.",
    ]


def test_what_systems_leave_behind_is_no_submission(box, root):
    for name in (
        ".ipynb_checkpoints/99_toy.ipynb",
        "ada/.ipynb_checkpoints/99_toy.ipynb",
        "ada/.DS_Store",
        "__MACOSX/ada/._99_toy.ipynb",
    ):
        hand_in(box / name, BLANK)
    hand_in(box / "ada" / f"{LAB}.ipynb", BLANK)
    assert seen(box, root) == ([("ada", LAB)], [])


def test_one_lab_of_several(box, root):
    hand_in(box / "ada" / f"{LAB}.ipynb", BLANK)
    hand_in(box / "ada" / f"{OTHER}.ipynb", of(OTHER))
    hand_in(box / "bob" / f"{LAB}.ipynb", BLANK)
    assert seen(box, root, lab="98") == ([("ada", OTHER)], ["bob: there is no notebook to grade."])
    assert seen(box, root, lab=LAB)[0] == [("ada", LAB), ("bob", LAB)]


def test_what_is_wrong_with_the_words_or_the_course_is_one_sentence(box, root, tmp_path):
    hand_in(box / "ada" / f"{LAB}.ipynb", BLANK)
    with pytest.raises(ValueError, match="there is no folder"):
        find(tmp_path / "nowhere", root)
    with pytest.raises(ValueError, match="there is no lab '97'; known: 98_other, 99_toy"):
        find(box, root, lab="97")
    with pytest.raises(ValueError, match="holds no built labs; run labkit build"):
        find(box, box)
    solution = root / "solutions" / f"{LAB}.ipynb"
    solution.write_text(
        solution.read_text(encoding="utf-8").replace('"execution_count": 1', '"execution_count": null'), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="no value is stored"):
        find(box, root)
