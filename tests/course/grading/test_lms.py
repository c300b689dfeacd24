"""Gradebooks: the layouts that Canvas and Moodle export, filled in without a change elsewhere and never for the wrong student."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.course.grading import delimited, lms
from labkit.course.grading.records import ExerciseResult, Result

CANVAS = '''\
Student,ID,SIS User ID,SIS Login ID,Section,Notes,Lab 00 (501),Project (502),Assignments Current Score,Current Score,Final Score\r
,,,,,,Manual Posting,,,,\r
    Points Possible,,,,,,3,10,(read only),(read only),(read only)\r
"Lovelace, Ada",7,S-001,alovelace,"TinyML, group 1","late
on Monday",,8,80.00,80,80\r
"Turing, Alan",8,S-002,aturing,TinyML,,EX,,,,\r
"Hopper, Grace",9,S-003,ghopper,TinyML,"she said ""hi""",1,9,90.00,90,90\r
"Student, Test",99,,f00,TinyML,,,,,,\r
'''
MOODLE_HEAD = '"First name",Surname,"ID number",Institution,Department,"Email address",'
MOODLE_HEAD += '"Assignment: 00_start (Real)","Course total (Real)","Last downloaded from this course"'
MOODLE = f"""\
\ufeff{MOODLE_HEAD}
Ada,Lovelace,4711,Uni,CS,ada@uni.edu,-,-,1763822222
Alan,Turing,4712,Uni,CS,alan@uni.edu,2.50,2.50,1763822222
Zoë,"van der Berg",,Uni,CS,zoe.berg@uni.edu,-,-,1763822222
"""


def result(student, points=2.0, lab="00_start", status="ok", most=3.0):
    return Result(student, lab, status, "", (ExerciseResult("1", points, most),))


def rows(text):
    """As Python's own csv module reads it."""
    text = text.removeprefix("\ufeff")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";" if text.count(";") > text.count(",") else ","))


def column(text, name):
    head, *body = rows(text)
    return [row[head.index(name)] for row in body if row]


def test_canvas_fills_its_column_and_nothing_else():
    text, said = lms.fill(CANVAS, [result("alovelace"), result("S-003", 1.5), result("8")])
    assert text == CANVAS.replace('on Monday",,8', 'on Monday",2,8').replace('""hi""",1,9', '""hi""",1.5,9')
    assert said == ["00_start: Turing, Alan has EX in the gradebook; the cell is left as it was."]


def test_canvas_gets_a_new_column_before_the_totals():
    text, said = lms.fill(CANVAS, [result("ghopper", 4, "01_keyword_spotting", most=5), result("nobody", 1, "01_keyword_spotting")])
    head, posting, possible, ada, _, grace, test = rows(text)
    assert head[7:10] == ["Project (502)", "01_keyword_spotting", "Assignments Current Score"]
    assert (posting[8], possible[8], ada[8], grace[8], test[8]) == ("", "5", "", "4", "")
    without = [[cell for i, cell in enumerate(row) if i != 8] for row in rows(text)]
    assert without == rows(CANVAS)
    assert said == [
        "Not in the gradebook: nobody; enter these points by hand.",
        "01_keyword_spotting: no result for Lovelace, Ada, Turing, Alan; their cells are left as they were.",
    ]


def test_canvas_with_two_name_columns_and_no_sis_id():
    book = "LastName,FirstName,ID,SIS Login ID,Section\n    Points Possible,,,,\nLovelace,Ada,7,al,A\n"
    text, said = lms.fill(book, [result("ada_lovelace")])
    assert rows(text)[1:] == [["    Points Possible", "", "", "", "", "3"], ["Lovelace", "Ada", "7", "al", "A", "2"]] and not said


def test_points_are_scaled_to_what_canvas_counts_and_it_is_said():
    text, said = lms.fill(CANVAS.replace(",,3,10,", ",,100,10,"), [result("alovelace")])
    assert column(text, "Lab 00 (501)")[2] == "66.67"
    assert said[0] == "00_start: the gradebook gives it 100 points and the lab has 3; all were scaled."


def test_moodle_by_number_address_and_the_folder_of_its_download():
    results = [result("4711"), result("alan@uni.edu", 3), result("Zoë van der Berg_90210_assignsubmission_file", 1)]
    text, said = lms.fill(MOODLE, results)
    changed = {"ada@uni.edu,-": "ada@uni.edu,2", "alan@uni.edu,2.50": "alan@uni.edu,3", "zoe.berg@uni.edu,-": "zoe.berg@uni.edu,1"}
    expected = MOODLE
    for old, new in changed.items():
        expected = expected.replace(old, new)
    assert text == expected and not said


def test_moodle_semicolons_decimal_commas_and_a_later_heading():
    book = '"First name";"Last name";"ID number";"Email address";"Quiz: A (Real)";"Last downloaded from this course"\r\n'
    book += 'Ada;Lovelace;;ada@uni.edu;"7,50";1763822222\r\n'
    text, said = lms.fill(book, [result("ada", 1.25)])
    assert rows(text) == [
        ["First name", "Last name", "ID number", "Email address", "Quiz: A (Real)", "00_start", "Last downloaded from this course"],
        ["Ada", "Lovelace", "", "ada@uni.edu", "7,50", "1,25", "1763822222"],
    ]
    assert not said


ADA = ["ada@uni.edu", "ADA@uni.edu", "ada", "4711", "Ada Lovelace", "lovelace_ada", "Lovelace, Ada", "adalovelace"]


@pytest.mark.parametrize("student", ADA)
def test_one_student_under_many_names(student):
    text, _ = lms.fill(MOODLE, [result(student)])
    assert column(text, "Assignment: 00_start (Real)") == ["2", "2.50", "-"]


@pytest.mark.parametrize("student", ["ada@gmail.com", "adalovelac", "love lace", "", "-", "2.50", "Uni", "47", "assignsubmission"])
def test_a_stranger_gets_nobodys_row(student):
    text, said = lms.fill(MOODLE, [result(student)])
    assert text == MOODLE and said[0].startswith("Not in the gradebook: ")


def test_two_who_share_a_name_are_not_guessed():
    book = MOODLE + "Ada,Lovelace,4799,Uni,CS,al2@uni.edu,-,-,1\n"
    text, said = lms.fill(book, [result("Ada Lovelace"), result("al2@uni.edu", 1)])
    assert text == book.replace("al2@uni.edu,-", "al2@uni.edu,1")
    assert said[0] == "Ada Lovelace fits 2 rows of the gradebook (Ada Lovelace; Ada Lovelace); enter these points by hand."


def test_two_results_for_one_row_fill_neither():
    text, said = lms.fill(MOODLE, [result("4711", 1), result("ada@uni.edu", 3)])
    assert text == MOODLE and "4711 and ada@uni.edu both fit the row of Ada Lovelace" in said[0]


def test_an_unreadable_file_is_no_zero():
    text, said = lms.fill(MOODLE, [result("4711"), Result("4712", "00_start", "unreadable", "not a notebook", ())])
    assert column(text, "Assignment: 00_start (Real)")[1] == "2.50"
    assert "00_start: Alan Turing could not be graded; the cell is left as it was." in said


@pytest.mark.parametrize(
    "name", ["00_start", "Lab 00", "lab 0", "Start", "Lab 0: Start", "00 start (12)", "Assignment: Lab 00 – Start (Real)"]
)
def test_columns_called_like_the_lab(name):
    assert lms._is_column_of(name, "00_start")


@pytest.mark.parametrize("name", ["ID", "Lab 01", "Start (Percentage)", "Start (Feedback)", "Quick start", "Lab", "", "Section"])
def test_columns_called_otherwise(name):
    assert not lms._is_column_of(name, "00_start")


def test_two_columns_of_one_lab_are_not_guessed():
    book = MOODLE.replace("Course total (Real)", "Lab 00")
    text, said = lms.fill(book, [result("4711")])
    assert text == book and "both look like this lab's" in said[0]


def test_one_lab_of_several_and_an_unknown_one():
    results = [result("4711"), result("4711", 5, "01_keyword_spotting", most=9)]
    assert column(lms.fill(MOODLE, results, lab="00")[0], "Assignment: 00_start (Real)")[0] == "2"
    assert column(lms.fill(MOODLE, results)[0], "01_keyword_spotting")[0] == "5"
    with pytest.raises(ValueError, match="no result for lab '01_keyword'; did you mean 01_keyword_spotting"):
        lms.fill(MOODLE, results, lab="01_keyword")


@pytest.mark.parametrize("text", ["", "\n", "a,b\n1,2\n", "<html>", '{"cells": []}', "Vorname,Nachname,E-Mail-Adresse\nA,L,a@b\n"])
def test_what_is_no_gradebook(text):
    with pytest.raises(ValueError, match="no gradebook of Canvas or Moodle; export the grades there"):
        lms.fill(text, [result("ada")])


def test_from_file_to_file(tmp_path):
    (tmp_path / "in.csv").write_bytes(CANVAS.encode())
    assert lms.fill_file(tmp_path / "in.csv", [result("alovelace")], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == CANVAS.replace('on Monday",,8', 'on Monday",2,8').encode()
    (tmp_path / "old.csv").write_bytes(MOODLE.encode("latin-1", "replace"))
    with pytest.raises(ValueError, match=r"old\.csv is not UTF-8; export it again"):
        lms.fill_file(tmp_path / "old.csv", [result("ada")], tmp_path / "out.csv")


@given(st.text(alphabet=st.sampled_from('ab",;\t\r\n :\ufeff=é')))
def test_any_text_is_its_own_table(text):
    assert str(delimited.parse(text)) == text


nasty = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
lines = st.lists(st.lists(nasty, min_size=3, max_size=3), min_size=1, max_size=5)


@given(lines, st.sampled_from(",;\t"), st.sampled_from(["\r\n", "\n"]))
def test_cells_are_read_as_the_csv_module_wrote_them(table, delimiter, end):
    head = ["Student", "ID", "Section"]
    file = io.StringIO()
    quoting = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL  # else the writer leaves a lone \\r bare
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([head, *table])
    parsed = delimited.parse(file.getvalue())
    assert parsed.delimiter == delimiter
    assert [[delimited.value(cell) for cell in row.cells] for row in parsed.rows] == [head, *table]


@given(st.lists(st.tuples(nasty, nasty, st.uuids().map(str)), min_size=1, max_size=4, unique_by=lambda row: row[2]), st.randoms())
def test_whatever_students_are_called_only_their_cells_change(people, random):
    file = io.StringIO()
    rows_in = [[f"{family}, {given}", str(i), login, "A"] for i, (family, given, login) in enumerate(people)]
    csv.writer(file).writerows([["Student", "ID", "SIS Login ID", "Section"], ["    Points Possible", "", "", ""], *rows_in])
    graded = {login: float(random.randint(0, 3)) for *_, login in people}
    text, said = lms.fill(file.getvalue(), [result(login, points) for login, points in graded.items()])
    out = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[:4] for row in out[2:]] == rows_in
    assert [float(row[4]) for row in out[2:]] == [graded[row[2]] for row in out[2:]] and not said
