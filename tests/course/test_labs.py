"""Every lab of the course: solved earns all points, blank none, every planted wrong answer loses; the notebooks are as built."""

import re
from pathlib import Path

import pytest

from labkit.course import build, source, trial

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "solutions").glob("[0-9][0-9]_*.py"))
HTML = re.compile(r"</?(?!https?:)[a-zA-Z][^<>\n]*>")

labs = pytest.mark.parametrize("name", NAMES)


def read(name):
    return source.read(ROOT / "solutions" / f"{name}.py")


def values(name):
    return build.stored(ROOT / "solutions" / f"{name}.ipynb")


@labs
def test_notebooks_are_as_built(name):
    assert build.problems(ROOT, name) == []


@labs
def test_it_reads_as_a_lab_should(name):
    lab = read(name)
    long = [cell.name for cell in lab.cells if cell.kind == "code" and len(cell.source.splitlines()) > 25]
    assert not long, f"{name}: more than 25 lines in {', '.join(long)}"
    markup = [cell.name for cell in lab.cells if cell.kind == "markdown" and HTML.search(cell.source)]
    assert not markup, f"{name}: HTML in {', '.join(markup)}"
    assert len(lab.exercises) >= 3, f"{name} has {len(lab.exercises)} graded exercises"


@labs
def test_solved_earns_everything_and_planted_wrong_answers_lose(name):
    lab = read(name)
    solution = {cell.name: cell.source for cell in lab.having("answer")}
    with trial.Trial(lab, values(name), solution) as solved:
        assert solved.points() == lab.points
        for wrong in lab.having("wrong"):
            assert solved.plant(wrong) < lab.points[wrong.exercise], f"{name}: {wrong.name} keeps all points of its exercise"


@labs
def test_blank_runs_through_and_earns_nothing(name):
    lab = read(name)
    assert trial.score(lab, values(name)) == dict.fromkeys(lab.exercises, 0)
