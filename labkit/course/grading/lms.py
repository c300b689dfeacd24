"""Points into the gradebook of Canvas or Moodle: a file exported there, filled in here, imported there again.

Only the cells of the lab's column change; all others stay byte for byte. A student is found by login, number or e-mail address,
else by name, and only where exactly one row fits: a wrong grade is worse than a missing one.

Layouts, from the programs that write and read them:
  Canvas (instructure/canvas-lms, lib/gradebook_exporter.rb and gradebook_importer.rb): Student (or LastName, FirstName), ID, SIS
  User ID, SIS Login ID, Integration ID, Root Account, Section, own columns, assignments "Name (id)", totals; then an optional row
  of "Manual Posting" and the row "    Points Possible". A column without an id becomes a new assignment when it is imported.
  Moodle (moodle/moodle, grade/export/txt): First name, Surname or Last name, ID number, Institution, Department, Email address,
  grades "Assignment: Name (Real)", Course total, Last downloaded from this course; delimited by comma, tab, semicolon or colon.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit import atomic
from labkit.course.grading import delimited, wording
from labkit.course.grading.delimited import Row, Table
from labkit.course.grading.records import Result
from labkit.naming import did_you_mean

NUMBERS = ("id", "sis user id", "sis login id", "integration id", "id number", "username", "email address", "email")
NAMES = ("student", "firstname", "lastname", "first name", "surname", "last name")
ABOUT = (*NUMBERS, *NAMES, "root account", "section", "institution", "department", "suspended")
TOTALS = re.compile(r"(current|final|override) (score|points|grade|status)|course total|last downloaded", re.IGNORECASE)
NO_STUDENT = re.compile(r"\s*(muted|manual posting.*)?\s*", re.IGNORECASE)
KEPT = ("EX", "N/A")  # Canvas: excused, and not assigned to this student
MOODLE_FOLDER = re.compile(r"(.+)_\d+_assignsubmission_\w*")  # how Moodle names the folders of "Download all submissions"


@dataclass(frozen=True)
class Student:
    """A row of the gradebook: who it is, and the keys that find it, from the surest to the vaguest."""

    row: Row
    name: str
    keys: tuple[frozenset[str], ...]


def fill(gradebook: str, results: Sequence[Result], *, lab: str | None = None) -> tuple[str, list[str]]:
    """The gradebook (the text of a CSV file) with the points of each lab, and sentences on what did not fit.

    `lab` names one lab ("01" or "01_keyword_spotting"), else all in `results` are filled in. A lab's column is the one called like
    it ("Lab 01", "Keyword spotting", "01_keyword_spotting"); there is none: it is added. Raises ValueError for a file that is no
    gradebook, and for an unknown lab.

    >>> from labkit.course.grading.records import ExerciseResult
    >>> book = "Student,ID,SIS Login ID,Section\\n  Points Possible,,,\\n\\"Lovelace, Ada\\",7,ada,A\\n"
    >>> print(fill(book, [Result("ada", "00_start", "ok", "", (ExerciseResult("1", 2, 3),))])[0], end="")
    Student,ID,SIS Login ID,Section,00_start
      Points Possible,,,,3
    "Lovelace, Ada",7,ada,A,2
    """
    table = delimited.parse(gradebook)
    students = _students(table)
    said: list[str] = []
    chosen = _labs(results, lab)
    found = _match(students, [result for result in results if result.lab in chosen], said)
    for name in chosen:
        _fill_lab(table, students, name, found[name], said)
    return str(table), said


def fill_file(gradebook: Path, results: Sequence[Result], out: Path, *, lab: str | None = None) -> list[str]:
    """`fill` from file to file."""
    try:
        text = Path(gradebook).read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{gradebook} is not UTF-8; export it again, or save it in Excel as CSV UTF-8") from None
    text, said = fill(text, results, lab=lab)
    atomic.write(Path(out), text)
    return said


def _students(table: Table) -> list[Student]:
    head = [delimited.value(cell).strip().casefold() for cell in table.rows[0].cells] if table.rows else []
    canvas = "id" in head and "section" in head and ("student" in head or "lastname" in head)
    moodle = {"email address", "id number", "username"} & set(head) and {"first name", "surname", "last name"} & set(head)
    if not canvas and not moodle:
        raise ValueError("this is no gradebook of Canvas or Moodle; export the grades there as CSV or plain text, in English")
    rows = [row for row in table.rows[1:] if not all(NO_STUDENT.fullmatch(delimited.value(cell)) for cell in row.cells)]
    return [_student(row, head) for row in rows if "Points Possible" not in row.cells[0]]


def _student(row: Row, head: list[str]) -> Student:
    cells = {name: delimited.value(cell).strip() for name, cell in zip(head, row.cells, strict=False)}
    numbers = frozenset(_fold(cells[name]) for name in NUMBERS if cells.get(name))
    mailboxes = frozenset(_mailbox(number) for number in numbers)
    given = " ".join(cells.get(name, "") for name in ("firstname", "first name"))
    family = " ".join(cells.get(name, "") for name in ("lastname", "surname", "last name"))
    name = cells.get("student", "").removeprefix('="').removesuffix('"') or " ".join(f"{given} {family}".split())
    words = _words(name)
    return Student(row, name, (numbers, mailboxes, frozenset({_name_key(name), "".join(words)}) if words else frozenset()))


def _match(students: list[Student], results: Sequence[Result], said: list[str]) -> dict[str, dict[int, Result]]:
    """For each lab the result of each student, by the number of the student's row."""
    index: list[dict[str, set[int]]] = [defaultdict(set), defaultdict(set), defaultdict(set)]
    for number, student in enumerate(students):
        for level, keys in enumerate(student.keys):
            for key in keys:
                index[level][key].add(number)
    rows = {name: _rows_of(name, index) for name in dict.fromkeys(result.student for result in results)}
    strangers = [wording.clean(name) for name, fitting in rows.items() if not fitting]
    if strangers:
        said.append(f"Not in the gradebook: {', '.join(strangers)}; enter these points by hand.")
    for name, fitting in rows.items():
        if len(fitting) > 1:
            who = "; ".join(wording.clean(students[number].name) for number in sorted(fitting))
            said.append(f"{wording.clean(name)} fits {len(fitting)} rows of the gradebook ({who}); enter these points by hand.")
    claims: dict[tuple[str, int], list[Result]] = defaultdict(list)
    for result in results:
        if len(rows[result.student]) == 1:
            claims[result.lab, next(iter(rows[result.student]))].append(result)
    found: dict[str, dict[int, Result]] = defaultdict(dict)
    for (lab, number), claimants in claims.items():
        if len(claimants) == 1:
            found[lab][number] = claimants[0]
        else:
            who = " and ".join(wording.clean(result.student) for result in claimants)
            said.append(f"{lab}: {who} both fit the row of {wording.clean(students[number].name)}; enter the right points by hand.")
    return found


def _rows_of(student: str, index: list[dict[str, set[int]]]) -> set[int]:
    """The rows that fit a student, at the surest level at which any does."""
    folder = MOODLE_FOLDER.fullmatch(student)
    name = folder[1] if folder else student
    folded = _fold(name)
    other = folded if "@" not in folded else _mailbox(folded) + "@"
    tries = ((0, folded), (1, other), (2, _name_key(name)), (2, folded))
    return next((index[level][key] for level, key in tries if key and key in index[level]), set())


def _fill_lab(table: Table, students: list[Student], lab: str, found: dict[int, Result], said: list[str]) -> None:
    if not found:
        said.append(f"{lab}: no row of the gradebook fits any result; nothing was filled in.")
        return
    most = max(result.max_points for result in found.values())
    columns = [i for i, cell in enumerate(table.rows[0].cells) if _is_column_of(delimited.value(cell), lab)]
    if len(columns) > 1:
        names = " and ".join(delimited.value(table.rows[0].cells[i]) for i in columns)
        said.append(f"{lab}: the columns {names} both look like this lab's; rename one and fill in again.")
        return
    column = columns[0] if columns else _add_column(table, lab, most)
    scale = _scale(table, column, most, lab, said)
    missing = []
    for number, student in enumerate(students):
        result = found.get(number)
        old = delimited.value(student.row.cells[column]) if column < len(student.row.cells) else ""
        if result is None:
            if student.name != "Student, Test":  # Canvas's own
                missing.append(wording.clean(student.name))
        elif result.status == "unreadable":
            said.append(f"{lab}: {wording.clean(student.name)} could not be graded; the cell is left as it was.")
        elif old.strip().upper() in KEPT:
            said.append(f"{lab}: {wording.clean(student.name)} has {old.strip()} in the gradebook; the cell is left as it was.")
        else:
            _set(table, student.row, column, wording.number(scale * result.points))
    if missing:
        said.append(f"{lab}: no result for {', '.join(missing)}; their cells are left as they were.")


def _is_column_of(header: str, lab: str) -> bool:
    """Whether a column is called like the lab, apart from what Canvas and Moodle put around a name."""
    if header.strip().casefold() in ABOUT:
        return False
    name = re.sub(r"\s*\((\d+|real)\)\s*$", "", re.sub(r"^\s*assignment:", "", header, flags=re.IGNORECASE), flags=re.IGNORECASE)
    words, (number, *title) = _lab_words(name), _lab_words(lab)
    return words in ([number, *title], title or [number], [number])


def _lab_words(name: str) -> list[str]:
    return [str(int(word)) if word.isdecimal() else word for word in _words(name) if word != "lab"] or [""]


def _add_column(table: Table, lab: str, most: float) -> int:
    """Adds an empty column before the totals; gives its place."""
    head = table.rows[0].cells
    place = next((i for i, cell in enumerate(head) if TOTALS.search(delimited.value(cell))), len(head))
    for row in table.rows:
        if row.cells != [""]:
            row.cells += [""] * (place - len(row.cells))
            row.cells.insert(place, "")
    head[place] = table.quoted(lab)
    for row in table.rows[1:]:
        if "Points Possible" in row.cells[0]:
            _set(table, row, place, wording.number(most))
    return place


def _scale(table: Table, column: int, most: float, lab: str, said: list[str]) -> float:
    """What a point of the lab counts in the gradebook: 1, unless Canvas gives the assignment another number of points."""
    possible = [row.cells[column] for row in table.rows[1:] if "Points Possible" in row.cells[0] and column < len(row.cells)]
    try:
        points = float(delimited.value(possible[0]).replace(",", ".")) if possible else most
    except ValueError:
        return 1.0
    if not most or not points or points == most:
        return 1.0
    said.append(
        f"{lab}: the gradebook gives it {wording.number(points)} points and the lab has {wording.number(most)}; all were scaled."
    )
    return points / most


def _set(table: Table, row: Row, column: int, text: str) -> None:
    row.cells += [""] * (column + 1 - len(row.cells))
    row.cells[column] = table.quoted(text.replace(".", table.decimal_mark))


def _labs(results: Sequence[Result], lab: str | None) -> list[str]:
    names = sorted({result.lab for result in results})
    chosen = [name for name in names if lab in (None, name, name.split("_")[0])]
    if lab is not None and not chosen:
        raise ValueError(f"there is no result for lab {lab!r}; {did_you_mean(lab, names)}")
    return chosen


def _fold(text: str) -> str:
    """Without case, accents and outer space: how two spellings of one key compare."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.strip().casefold()


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", _fold(text))


def _mailbox(key: str) -> str:
    """What finds a login by an e-mail address, and an address by a login; two different addresses never meet.

    >>> _mailbox("ada@uni.edu"), _mailbox("ada")
    ('ada', 'ada@')
    """
    return key.split("@")[0] if "@" in key else f"{key}@"


def _name_key(name: str) -> str:
    """The words of a name in alphabetical order: "Lovelace, Ada" is ada.lovelace."""
    return " ".join(sorted(_words(name)))
