"""Trials: every point for the solution, none for a blank sheet, less for a mistake; and nothing left changed in this process."""

import os

import matplotlib.pyplot as plt
import pytest

from labkit.course import check, ledger
from labkit.course.build import stored
from labkit.course.source import parse
from labkit.course.trial import Trial, score

from .conftest import NAME, TOY


@pytest.fixture(scope="module")
def lab():
    return parse(TOY, NAME)


@pytest.fixture(scope="module")
def values(built):
    return stored(built / "solutions" / f"{NAME}.ipynb")


@pytest.fixture
def solution(lab):
    return {cell.name: cell.source for cell in lab.having("answer")}


def test_the_solution_earns_everything_and_a_blank_sheet_nothing(lab, values, solution):
    assert score(lab, values, solution) == lab.points == {"1": 3, "2": 3}
    assert score(lab, values) == {"1": 0, "2": 0}


def test_points_go_to_the_exercise_that_was_solved(lab, values, solution):
    assert score(lab, values, {"ex1-answer": solution["ex1-answer"]}) == {"1": 3, "2": 0}
    # exercise 2 is right, but builds on frame, which is not there
    assert score(lab, values, {"ex2-answer": solution["ex2-answer"]}) == {"1": 0, "2": 0}
    half = "def frame(x, window, hop):\n    return np.zeros((1 + (len(x) - window) // hop, window))"
    assert score(lab, values, {"ex1-answer": half}) == {"1": 1, "2": 0}  # the count is right, the numbers are not


def test_planted_wrong_answers_lose_and_are_taken_back(lab, values, solution):
    with Trial(lab, values, solution) as trial:
        for wrong in lab.having("wrong") * 2:
            assert trial.plant(wrong) == 0
        assert trial.points() == lab.points


def test_a_wrong_answer_reaches_the_functions_that_call_it(lab, values, solution):
    """energies, defined before, must see the planted frame: as in a kernel, both live in one namespace."""
    wrong = lab.having("wrong", "1")[0]
    with Trial(lab, values, solution) as trial:
        namespace = trial.namespace
        before = namespace["energies"]([0, 1, 2, 3, 4, 5], 3, 3)
        trial.plant(wrong)
        assert list(namespace["energies"]([0, 1, 2, 3, 4, 5], 3, 3)) == list(before)
        seen = []
        planted = type(wrong)("w", "code", wrong.source + "\nseen.append(len(energies([0., 1, 2, 3, 4, 5], 3, 3)))", "wrong", "1")
        namespace["seen"] = seen
        trial.plant(planted)
        assert seen == [4]  # a hop of 1 instead of 3


def test_a_harmless_wrong_answer_is_found_out(lab, values, solution):
    harmless = lab.having("answer", "1")[0]
    with Trial(lab, values, solution) as trial:
        assert trial.plant(harmless) == lab.points["1"]


def test_a_wrong_answer_that_does_not_even_run_is_an_error(lab, values, solution):
    broken = type(lab.cells[0])("w", "code", "def frame(x) -> nonsense: ...", "wrong", "1")
    with Trial(lab, values, solution) as trial, pytest.raises(NameError):
        trial.plant(broken)


def test_a_lab_that_stops_is_an_error(values):
    lab = parse(TOY.replace('with check.needs("1", "2"):\n    loud', "if True:\n    loud"), NAME)
    with pytest.raises(NotImplementedError):
        score(lab, values)


def test_without_stored_values_nothing_is_earned(lab, solution):
    assert score(lab, {}, solution) == {"1": 0, "2": 0}


def test_nothing_is_left_behind(lab, values, solution, capsys, tmp_path):
    backend = plt.get_backend()
    score(lab, values, solution)
    assert capsys.readouterr().out == ""
    assert not ledger.path().exists() and os.environ["LABKIT_LEDGER"] == str(tmp_path / "ledger.json")
    assert plt.get_fignums() == [] and plt.get_backend() == backend
    assert not check.done("1")
