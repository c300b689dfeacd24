"""What a grading leaves behind: scores, one page for each student and lab, and a picture of the class.

    OUT/scores.csv                        a row for each exercise, and a `total` for each student and lab
    OUT/results.json                      everything, for programs (`read`)
    OUT/index.html, OUT/overview.png      for the teacher: who, how much, a link to each page; which exercise was hard
    OUT/feedback/<student>/<lab>.html     for the student

Every file is replaced whole, and writing twice changes nothing. Scores come first: whatever happens to a picture, they are there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from labkit import atomic
from labkit.course.grading import feedback, overview, wording
from labkit.course.grading.records import Result
from labkit.course.grading.wording import clean, number

COLUMNS = ("student", "lab", "exercise", "points", "max_points", "status", "note")
FORMULA = tuple("=+-@\t\r＝＋－＠")  # a cell that starts so is run as a formula by Excel, LibreOffice or Google Sheets


def write(results: Sequence[Result], out: Path) -> None:
    """Writes all reports into the folder `out`, made if need be. Raises OSError where that fails."""
    results = sorted(results, key=lambda result: (result.lab, result.student))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    atomic.write(out / "scores.csv", scores(results))
    atomic.write(out / "results.json", json.dumps({"results": [result.to_dict() for result in results]}, indent=1) + "\n")
    pages = page_names(results)
    for result, page in zip(results, pages, strict=True):
        (out / page).parent.mkdir(parents=True, exist_ok=True)
        atomic.write(out / page, feedback.page(result))
    drawn = any(result.max_points for result in results if result.status != "unreadable")
    if drawn:
        atomic.write(out / "overview.png", overview.png(results))
    atomic.write(out / "index.html", index(results, pages, "overview.png" if drawn else None))


def read(out: Path) -> list[Result]:
    """The results that `write` left in the folder `out`."""
    data = json.loads((Path(out) / "results.json").read_text(encoding="utf-8"))
    return [Result.from_dict(result) for result in data["results"]]


def scores(results: Sequence[Result]) -> str:
    """The scores as CSV.

    >>> from labkit.course.grading.records import ExerciseResult
    >>> print(scores([Result("ada", "00_start", "ok", "", (ExerciseResult("1", 1.5, 3, "-1 is missing"),))]), end="")
    student,lab,exercise,points,max_points,status,note
    ada,00_start,1,1.5,3,ok,'-1 is missing
    ada,00_start,total,1.5,3,ok,
    """
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)
    for result in results:
        lines = [(e.exercise, e.points, e.max_points, e.note) for e in result.exercises]
        for exercise, points, most, note in [*lines, ("total", result.points, result.max_points, result.note)]:
            words = [cell(word) for word in (result.student, result.lab, exercise, result.status, note)]
            rows.writerow([*words[:3], number(points), number(most), *words[3:]])
    return file.getvalue()


def cell(text: str) -> str:
    """Text for a cell of a CSV file: in one line, and never a formula (OWASP, "CSV injection": a leading apostrophe).

    >>> cell('=HYPERLINK("http://x")'), cell("Ada")
    ('\\'=HYPERLINK("http://x")', 'Ada')
    """
    text = clean(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def page_names(results: Sequence[Result]) -> list[str]:
    """Where the page of each result lies under OUT."""
    students = wording.file_names({result.student for result in results})
    labs = wording.file_names({result.lab for result in results})
    return [f"feedback/{students[result.student]}/{labs[result.lab]}.html" for result in results]


def index(results: Sequence[Result], pages: Sequence[str], picture: str | None) -> str:
    """The teacher's page: the picture, and a line for each student and lab with a link to the feedback."""
    summary = escape(overview.sentence(results))
    image = f'<p><img src="{picture}" alt="{summary}" style="max-width:100%"></p>' if picture else ""
    rows = "\n".join(_line(result, page) for result, page in zip(results, pages, strict=True))
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Student", "Lab", "Points", "Status", "Sandbox", "Note"))
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    return feedback.document("Grading overview", f"<h1>Grading overview</h1>\n<p>{summary}</p>\n{image}\n{table}")


def _line(result: Result, page: str) -> str:
    link = f'<a href="{escape(quote(page))}"><bdi>{escape(clean(result.student))}</bdi></a>'
    points = f"{number(result.points)} of {number(result.max_points)}" if result.status != "unreadable" else "–"
    words = (result.lab, points, result.status, result.sandbox)
    cells = "".join(f'<td class="points">{escape(clean(word))}</td>' for word in words)
    note = f'<td class="note">{escape(wording.sentence(result.note))}</td>'
    return f'<tr><th scope="row" class="note">{link}</th>{cells}{note}</tr>'
