"""One picture of a class: who got which share of which exercise, and which exercise was hard."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from labkit.course import style
from labkit.course.grading import wording
from labkit.course.grading.records import Result

NAMED = 50  # students up to whom each row has a name, and each cell its number
LONGEST_NAME = 28
ROW, COLUMN, TALL = 0.27, 0.55, 8.0  # inches: a named row, an exercise, and the height of all rows when they have no names
LETTER = 0.085  # inches, of the labels


def shares(results: Sequence[Result]) -> tuple[list[str], list[tuple[str, str]], np.ndarray]:
    """Students (best first), exercises as (lab, exercise), and their share of points, 0 … 1, (students, exercises).

    NaN: not handed in, or unreadable. Students are ordered by their mean over all exercises, with 0 for what is missing.

    >>> from labkit.course.grading.records import ExerciseResult
    >>> ada = Result("ada", "00_start", "ok", "", (ExerciseResult("1", 1, 2), ExerciseResult("2", 3, 3)))
    >>> bob = Result("bob", "00_start", "unreadable", "", ())
    >>> shares([bob, ada])
    (['ada', 'bob'], [('00_start', '1'), ('00_start', '2')], array([[0.5, 1. ],
           [nan, nan]]))
    """
    graded = [result for result in results if result.status != "unreadable"]
    labs = sorted({result.lab for result in graded})
    columns = list(
        dict.fromkeys((lab, e.exercise) for lab in labs for r in graded if r.lab == lab for e in r.exercises if e.max_points)
    )
    students = sorted({result.student for result in results})
    table = np.full((len(students), len(columns)), np.nan)
    row, column = {name: i for i, name in enumerate(students)}, {name: i for i, name in enumerate(columns)}
    for result in graded:
        for exercise in result.exercises:
            if exercise.max_points:
                place = row[result.student], column[result.lab, exercise.exercise]
                table[place] = min(max(exercise.points / exercise.max_points, 0.0), 1.0)
    order = np.argsort(-np.nan_to_num(table).sum(axis=1), kind="stable")
    return [students[i] for i in order], columns, table[order]


def mean_shares(table: np.ndarray) -> np.ndarray:
    """Mean share of each exercise over the students who handed it in, (exercises,)."""
    return np.array([np.mean(column[~np.isnan(column)]) for column in table.T])


def sentence(results: Sequence[Result]) -> str:
    """The picture in a sentence.

    >>> from labkit.course.grading.records import ExerciseResult
    >>> sentence([Result("ada", "00_start", "ok", "", (ExerciseResult("1", 1, 2), ExerciseResult("2", 3, 3)))])
    '1 student; the hardest was exercise 1 of lab 00: start, with 50 % of its points.'
    """
    students, columns, table = shares(results)
    count = f"{len(students)} student{'s' if len(students) != 1 else ''}"
    if not columns:
        return f"{count}; nothing was graded."
    means = mean_shares(table)
    lab, exercise = columns[int(means.argmin())]
    title = wording.title(lab)
    hardest = f"exercise {wording.clean(exercise)} of {title[0].lower() + title[1:]}"
    return f"{count}; the hardest was {hardest}, with {100 * means.min():.0f} % of its points."


def draw(results: Sequence[Result]):
    """The picture as a matplotlib Figure; raises ValueError where nothing was graded."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    students, columns, table = shares(results)
    if not columns:
        raise ValueError("nothing was graded, so there is nothing to draw; look at the notes in scores.csv")
    rows, cols = table.shape
    with rc_context(style.RC):
        height = max(ROW * rows if rows <= NAMED else TALL, 1.1)  # of the heat map, in inches
        names = max(len(_short(name, LONGEST_NAME)) for name in students) if rows <= NAMED else 8
        figure = Figure(figsize=(max(COLUMN * cols, 5.0) + LETTER * names + 1.5, height + 2.9))
        top, heat = figure.subplots(2, 1, sharex=True, height_ratios=[1.4, height])
        _bars(top, columns, mean_shares(table))
        _heat(figure, heat, students, columns, table)
    return figure


def png(results: Sequence[Result]) -> bytes:
    """The picture as PNG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks shows boxes
        return style.png(draw(results))


def _bars(axes, columns: list, means: np.ndarray) -> None:
    hardest = int(means.argmin())
    axes.bar(
        range(len(means)), 100 * means, color=[style.OTHER if i == hardest else style.OURS for i in range(len(means))], width=0.72
    )
    for i, mean in enumerate(means):
        label = f"{100 * mean:.0f}" + ("\nhardest" if i == hardest and len(means) > 1 else "")
        axes.text(i, 100 * mean + 3, label, ha="center", va="bottom", fontsize=9)
    axes.set(ylim=(0, 140), yticks=[0, 50, 100], ylabel="% of points")
    axes.set_title("Mean share of the points, of those who handed in")
    axes.grid(visible=False)
    axes.tick_params(labelbottom=False, bottom=False)


def _heat(figure, axes, students: list[str], columns: list[tuple[str, str]], table: np.ndarray) -> None:
    from matplotlib import colormaps

    rows = len(students)
    colours = colormaps["viridis"].with_extremes(bad="#E5E5E5")
    image = axes.imshow(100 * table, cmap=colours, vmin=0, vmax=100, aspect="auto")
    axes.grid(visible=False)
    axes.set_title("Each student, best on top; grey: not handed in, or unreadable")
    axes.set_xticks(range(len(columns)), [_short(exercise, 8) for _, exercise in columns], parse_math=False)
    axes.set_xlabel("exercise", labelpad=18)
    _labs(axes, [lab for lab, _ in columns])
    if rows > NAMED:
        ranks = [1, *range(25, rows + 1, 25)]
        axes.set_yticks([rank - 1 for rank in ranks], ranks)
        axes.set_ylabel(f"{rows} students")
    else:
        axes.set_yticks(range(rows), [_short(name, LONGEST_NAME) for name in students], parse_math=False)
        for (row, column), share in np.ndenumerate(table):
            text, colour = ("–", "black") if np.isnan(share) else (f"{100 * share:.0f}", "black" if share > 0.6 else "white")
            number = axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
            number.set_in_layout(False)  # it lies inside; to measure thousands of them takes seconds
    figure.colorbar(image, ax=axes, label="% of points", fraction=0.05, pad=0.02)


def _labs(axes, labs: list[str]) -> None:
    """The name of each lab under its exercises, and a gap between two labs."""
    for lab in dict.fromkeys(labs):
        first, count = labs.index(lab), labs.count(lab)
        name = _short(lab, max(int(count * COLUMN / LETTER), 2))
        middle = (first + (count - 1) / 2, 0)
        style = {"ha": "center", "va": "top", "parse_math": False, "annotation_clip": False}
        axes.annotate(name, middle, (0, -22), xycoords=("data", "axes fraction"), textcoords="offset points", **style)
        if first:
            axes.axvline(first - 0.5, color="white", linewidth=4)


def _short(name: str, longest: int) -> str:
    name = wording.clean(name)
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
