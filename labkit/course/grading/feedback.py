"""The page a student gets back: points, what was wrong, and what to do next.

One HTML file without scripts and without anything from outside, so that it can be mailed, printed, and opened on any machine. It
shows no hidden source and no expected value, because a `Result` holds none. Everything that came from a student is escaped, and
the page's own policy forbids scripts and requests, should an escape ever be missing.
"""

from __future__ import annotations

from html import escape

from labkit.course import style
from labkit.course.grading import wording
from labkit.course.grading.one import failed
from labkit.course.grading.records import ExerciseResult, Result
from labkit.course.grading.wording import clean, number

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'"
CSS = f"""
:root {{ color-scheme: light; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; }}
body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: 0; }}
h2 {{ font-size: 1.15rem; margin: 1.8rem 0 .4rem; }}
.who {{ margin: .2rem 0 1.2rem; color: #555; overflow-wrap: anywhere; }}
.total {{ font-size: 1.3rem; margin: 0 0 .3rem; }}
.status {{ border-left: .3rem solid {style.OURS}; padding: .1rem 0 .1rem .8rem; margin: 1.2rem 0; }}
table {{ border-collapse: collapse; width: 100%; }}
caption {{ text-align: left; color: #555; padding-bottom: .4rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .55rem 1rem .55rem 0; border-top: 1px solid #ccc; }}
th, .points {{ white-space: nowrap; }}
.points, tbody th:not(.note) {{ width: 1%; }}
thead th {{ border-top: 0; }}
p, li, .note {{ white-space: normal; overflow-wrap: anywhere; }}
.mark {{ display: inline-block; width: 1.2rem; }}
svg {{ display: block; margin-top: .2rem; }}
@media print {{ body {{ margin: 0; max-width: none; }} tr, .status {{ break-inside: avoid; }} }}
"""


def page(result: Result, title: str | None = None) -> str:
    """The feedback page of one student and lab as HTML; `title` is the lab's, else made of its file name.

    >>> "2 of 3 points" in page(Result("ada", "00_start", "ok", "", (ExerciseResult("1", 2, 3, "a number differs"),)))
    True
    """
    title = wording.title(result.lab) if title is None else title
    body = [f"<h1>{_safe(title)}</h1>", f'<p class="who"><bdi>{_safe(result.student)}</bdi></p>', _total(result), _status(result)]
    if result.exercises and result.status != "unreadable":
        body.append(_table(result.exercises))
    if result.repairs:
        body.append(_section("What we noticed and put right", result.repairs))
    body.append(_section("What to do next", next_steps(result)))
    return document(f"{title}: feedback", "\n".join(body))


def document(title: str, body: str) -> str:
    """A whole page around `body`, which is HTML; `title` is text."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_safe(title)}</title>
<style>{CSS}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def next_steps(result: Result) -> list[str]:
    """What to do next, in sentences."""
    if failed(result):
        return ["Nothing, for now: you will hear from your teacher."]
    if result.status == "unreadable":
        again = "save the notebook in JupyterLab (File, Save Notebook), close it, open it once more to see that it is whole"
        return [f"Please hand in again: {again}, and send the file that ends in .ipynb."]
    missing = [exercise for exercise in result.exercises if exercise.points < exercise.max_points]
    if not missing:
        return ["Nothing is missing. Show somebody how you did it: that is the best way to keep it."]
    where = "exercise " if len(missing) == 1 else "exercises "
    where += _and([clean(exercise.exercise) for exercise in missing])
    steps = [f"Open the notebook at {where}, run the test below, and compare what it draws with the text of the exercise."]
    if result.status == "timed out":
        steps.append("Try slow code on a small input first. A loop that never ends often waits for a value that never changes.")
    if any(exercise.points > 0 for exercise in missing):
        steps.append(
            "Where you have some of the points, you are close: try other inputs, such as negative numbers or other shapes."
        )
    steps.append("A test shows one example and the grade comes from others, so write what works for any input.")
    return steps


def _total(result: Result) -> str:
    if not result.max_points or result.status == "unreadable":
        return ""
    words = f"{number(result.points)} of {number(result.max_points)} points"
    return f'<p class="total"><strong>{words}</strong></p>\n{_bar(result.points, result.max_points, 480, 18)}'


def _status(result: Result) -> str:
    note = "The grader failed on this file; it is not your fault." if failed(result) else wording.sentence(result.note)
    sentences = f"{note} {wording.MEANING[result.status]}"
    return f'<p class="status"><strong>{result.status.capitalize()}.</strong> {_safe(sentences)}</p>'


def _table(exercises: tuple[ExerciseResult, ...]) -> str:
    rows = "\n".join(_row(exercise) for exercise in exercises)
    return f"""<h2>Your exercises</h2>
<table>
<caption>✓ all points, ◐ some of the points, ○ none yet</caption>
<thead><tr><th scope="col">Exercise</th><th scope="col">Points</th><th scope="col">What we saw</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>"""


def _row(exercise: ExerciseResult) -> str:
    full = exercise.points >= exercise.max_points
    mark, words = ("✓", "all points") if full else ("◐", "some of the points") if exercise.points > 0 else ("○", "none yet")
    saw = wording.sentence(exercise.note) or ("Right." if full else "Not right yet.")
    points = f"{number(exercise.points)} of {number(exercise.max_points)}"
    bar = _bar(exercise.points, exercise.max_points, 120, 10)
    sign = f'<span class="mark" role="img" aria-label="{words}">{mark}</span>'
    cells = f'<td class="points">{sign}{points}{bar}</td><td class="note">{_safe(saw)}</td>'
    return f'<tr><th scope="row">{_safe(exercise.exercise)}</th>{cells}</tr>'


def _bar(points: float, max_points: float, width: int, height: int) -> str:
    """A bar as drawing, which browsers print where they leave out coloured backgrounds. The number beside it says the same."""
    share = min(max(points / max_points, 0), 1) if max_points else 0
    colour = style.RIGHT if share == 1 else style.OURS
    inside = f'<rect x="1" y="1" width="{share * (width - 2):.1f}" height="{height - 2}" fill="{colour}"/>'
    frame = f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" fill="none" stroke="#777"/>'
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" style="max-width:100%"'
    return f'<svg {size} aria-hidden="true">{inside}{frame}</svg>'


def _section(heading: str, sentences) -> str:
    items = "\n".join(f"<li>{_safe(wording.sentence(sentence))}</li>" for sentence in sentences)
    return f"<h2>{heading}</h2>\n<ul>\n{items}\n</ul>"


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _safe(text: str) -> str:
    return escape(clean(text), quote=True)
