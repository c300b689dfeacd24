"""The picture of a class: the right shares in the right places, and legible whatever the class."""

import io
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from labkit.course.grading import overview
from labkit.course.grading.records import ExerciseResult, Result


def result(student, lab, *points, most=4.0, status="ok"):
    exercises = tuple(ExerciseResult(str(i), p, most) for i, p in enumerate(points, 1))
    return Result(student, lab, status, "", exercises)


CLASS = [
    result("bob", "01_b", 4, 0),
    result("ada", "01_b", 4, 2),
    result("ada", "00_a", 3),
    result("eve", "00_a", 0, status="unreadable"),
    result("bob", "00_a", 1),
]


def test_best_on_top_labs_in_order_and_what_is_missing_is_no_zero():
    students, columns, table = overview.shares(CLASS)
    assert students == ["ada", "bob", "eve"]
    assert columns == [("00_a", "1"), ("01_b", "1"), ("01_b", "2")]
    np.testing.assert_array_equal(table, [[0.75, 1, 0.5], [0.25, 1, 0], [np.nan] * 3])
    np.testing.assert_allclose(overview.mean_shares(table), [0.5, 1, 0.25])


def test_the_hardest_exercise_is_named():
    assert overview.sentence(CLASS) == "3 students; the hardest was exercise 2 of lab 01: b, with 25 % of its points."
    assert overview.sentence([result("eve", "00_a", status="unreadable")]) == "1 student; nothing was graded."
    bars = overview.draw(CLASS).axes[0]
    assert [round(bar.get_height()) for bar in bars.patches] == [50, 100, 25]
    assert [text.get_text() for text in bars.texts] == ["50", "100", "25\nhardest"]


def test_a_small_class_is_written_out():
    heat = overview.draw(CLASS).axes[1]
    assert [label.get_text() for label in heat.get_yticklabels()] == ["ada", "bob", "eve"]
    assert [text.get_text() for text in heat.texts if text.get_text() in "–0123456789"][-3:] == ["–"] * 3
    np.testing.assert_array_equal(heat.images[0].get_array().filled(-1), [[75, 100, 50], [25, 100, 0], [-1, -1, -1]])


def overlaps(boxes):
    return any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


@pytest.mark.parametrize("students", [1, 3, overview.NAMED, 200])
def test_labels_neither_overlap_nor_leave_the_picture(students):
    random = np.random.default_rng(students)
    labs = {"00_start": 3, "02_human_activity_with_a_very_long_name": 2, "03_one": 1, "04": 1}
    names = [f"student-{i:03}-with-a-long-name@uni.edu" for i in range(students)]
    figure = overview.draw([result(name, lab, *random.integers(0, 5, n)) for name in names for lab, n in labs.items()])
    assert max(figure.get_size_inches()) < 17
    FigureCanvasAgg(figure).draw()
    top, heat, *_ = figure.axes
    drawn = [heat.get_xticklabels(), heat.get_yticklabels(), [text for text in heat.texts if "_" in text.get_text()], top.texts]
    for texts in drawn:
        boxes = [text.get_window_extent() for text in texts]
        assert not overlaps(boxes)
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= figure.bbox.y0 for box in boxes)
    for title in (top._left_title, heat._left_title):
        assert title.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize("name", ["$\\frac$", "$x^", "日本 太郎", "\ud800", "a\nb", "x" * 500, ""])
def test_any_name_can_be_drawn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = overview.png([Result(name, name, "ok", "", (ExerciseResult(name, 1, 2), ExerciseResult("2", 2, 2)))])
    assert Image.open(io.BytesIO(png)).size > (500, 300)


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match=r"nothing was graded, so there is nothing to draw; look at the notes in scores\.csv"):
        overview.draw([result("eve", "00_a", status="unreadable")])
