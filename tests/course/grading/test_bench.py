"""The race is run on a class whose points are known; how fast it is, is for ``labkit bench grade`` to say."""

import json

import pytest

from labkit.course import source
from labkit.course.build import find_root
from labkit.course.grading import bench, peers
from labkit.course.grading.rebuild import rebuild
from labkit.course.grading.records import ExerciseResult, Result
from labkit.course.grading.submission import Unreadable, load
from labkit.course.grading.synthetic_class import KINDS, Student, make


def test_the_class_has_every_kind_and_its_mistakes_are_the_planted_ones(tmp_path):
    root = find_root()
    students = make(root, bench.LAB, 40, tmp_path)
    assert len(students) == 40 and {student.kind for student in students} == set(KINDS)
    lab = source.read(root / "solutions" / f"{bench.LAB}.py")
    for student in students:
        if student.kind == "truncated":
            with pytest.raises(Unreadable):
                load(student.path)
            continue
        sources = [cell["source"] for cell in load(student.path)["cells"]]
        if student.kind == "one wrong":
            assert any(cell.source in sources for cell in lab.having("wrong", student.wrong))
        if student.kind == "right":
            assert all(cell.source in sources for cell in lab.having("answer"))


@pytest.mark.parametrize(
    ("kind", "wrong", "points", "fair"),
    [("right", None, (2, 3), True), ("right", None, (2, 1), False), ("one wrong", "1", (0, 3), True),
     ("one wrong", "1", (2, 3), False), ("one wrong", "1", (0, 0), False), ("blank", None, (0, 0), True),
     ("blank", None, (2, 0), False)],
)  # fmt: skip
def test_who_deserves_what(kind, wrong, points, fair):
    exercises = tuple(ExerciseResult(str(i + 1), got, most) for i, (got, most) in enumerate(zip(points, (2, 3), strict=True)))
    result = Result("ada", bench.LAB, "ok", "graded", exercises)
    assert bench.deserved(Student("ada", kind, wrong, None), result) is fair


def test_a_check_of_the_peers_compares_inside():
    path = find_root() / "solutions" / f"{bench.LAB}.ipynb"
    sheet = rebuild(json.loads(path.read_text(encoding="utf-8")), load(path))
    namespace: dict = {}
    for cell in sheet.cells:
        exec(peers.judged_inside(cell) if cell.kind == "check" else cell.source, namespace)
    first = next(cell for cell in sheet.cells if cell.kind == "check")
    namespace["quantize"] = namespace["dequantize"] = lambda *args: 0
    with pytest.raises(AssertionError):
        exec(peers.judged_inside(first), namespace)


def test_missing_peers_are_named_not_invented():
    result = {"lab": bench.LAB, "workers": 2, "sandbox": "none", "lost": 0, "wrong": [], "rows": []}
    assert "LABKIT_NBGRADER" in bench.table(result) and "times as fast" not in bench.table(result)
