"""No attack earns a point, takes one from another exercise or from the next student, or outlasts its limits.

All submissions of this file are graded by one worker, so they share a warm process, as in a class.
"""

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.course.compare import encode, verdict
from labkit.course.grading import one, runner, sandbox
from labkit.course.grading.one import Job, attempt
from labkit.course.grading.payload import well_formed
from labkit.course.grading.records import Cell, Limits, Result, Sheet

from . import attacks
from .classroom import ANSWERS, LAB, WRONG, course, hand_in, submission

LIMITS = Limits(cell_s=4, notebook_s=40, memory_mb=2048)
SLACK_S = 25  # on top of the notebook's budget, on a busy machine: a new sandbox has to import PyTorch
NONE, FULL = {"1": 0, "2": 0}, {"1": 3, "2": 3}
ALL_WRONG = {**WRONG, "ex2-answer": WRONG["ex2-answer"] + "\n\ndef peak(x):\n    return 77.0"}
isolated = pytest.mark.skipif(sandbox.available() == "none", reason="isolation needs bubblewrap")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A course whose lab takes one of labkit's functions away."""
    root = course(tmp_path_factory.mktemp("course"))
    trusted = root / "solutions" / f"{LAB}.ipynb"
    notebook = json.loads(trusted.read_text(encoding="utf-8"))
    notebook["metadata"]["labkit"]["hides"] = ["labkit.data.features.frame"]
    trusted.write_text(json.dumps(notebook), encoding="utf-8")
    yield root
    runner.close()


def grade(root, text: str, limits: Limits = LIMITS) -> Result:
    path = hand_in(root / "submissions" / "mallory" / f"{LAB}.ipynb", text)
    job = Job("mallory", LAB, str(path), str(root / "solutions" / f"{LAB}.ipynb"), limits, sandbox.available())
    start = time.monotonic()
    result = attempt(job)
    assert time.monotonic() - start < limits.notebook_s + SLACK_S
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    return result


def points(result: Result) -> dict[str, float]:
    return {exercise.exercise: exercise.points for exercise in result.exercises}


def with_extra(answers: dict[str, str], extra: str) -> str:
    """The student's notebook with a cell of their own above the first answer."""
    notebook = json.loads(submission(answers))
    at = next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == "ex1-answer")
    notebook["cells"].insert(at, {"cell_type": "code", "id": "mine", "metadata": {}, "source": extra, "outputs": []})
    return json.dumps(notebook)


def the_next_student_gets_all(root):
    result = grade(root, submission(ANSWERS))
    assert (points(result), result.status) == (FULL, "ok"), result


def test_what_is_no_right_value_earns_nothing_and_hurts_no_other_exercise(root):
    """All in one kernel: an exercise each, and after each an exercise solved right."""
    cells, all_points = [Cell("setup", "given", "import numpy as np\nfrom labkit.course import check")], {}
    expected = (encode([1.0, 2.0, 3.0]),)
    for name, code in attacks.VALUES.items():
        for exercise, answer in ((name, code), (f"after {name}", "def f(x):\n    return x + 1")):
            number = len(all_points)
            cells.append(Cell(f"nothing-{number}", "given", "f = None"))
            cells.append(Cell(f"answer-{number}", "answer", answer, exercise))
            cells.append(Cell(f"check-{number}", "check", "check.value(f(np.arange(3.0)))", exercise, 1, 1e-6, expected=expected))
            all_points[exercise] = 1.0
    limits = Limits(cell_s=3, notebook_s=60, memory_mb=4096)
    outcomes = runner.run(Sheet(LAB, tuple(cells), (), all_points), limits, workdir=one._workdir().name, kind=sandbox.available())
    earned = {outcome.exercise: outcome.points for outcome in outcomes if outcome.kind == "check"}
    assert [name for name in attacks.VALUES if earned[name]] == []
    assert [name for name in attacks.VALUES if not earned[f"after {name}"]] == []
    assert all(len(outcome.message) <= 300 for outcome in outcomes)


@isolated
def test_a_submission_sees_nothing_that_it_must_not_see(root):
    hand_in(root / "submissions" / "grace" / f"{LAB}.ipynb", submission(ANSWERS))
    places = (str(root / "solutions"), str(root / "submissions"), one._workdir().name)
    code = f"COURSE, SUBMISSIONS, OUT = {places}\nPROBES = {attacks.PROBES}\n{attacks.PROBE}"
    result = grade(root, submission({**ANSWERS, "ex1-answer": code}), Limits(cell_s=30))
    assert result.exercises[0].note == f"your code: it stopped with RuntimeError: {len(attacks.PROBES)} looked, found nothing"
    assert points(result) == {"1": 0, "2": 3}


@pytest.mark.parametrize("first", range(0, len(attacks.FORGERIES), 6))
def test_a_forgery_earns_nothing(root, first):
    for name in list(attacks.FORGERIES)[first : first + 6]:
        assert points(grade(root, with_extra(ALL_WRONG, attacks.FORGERIES[name]))) == NONE, name
    the_next_student_gets_all(root)


@isolated
@pytest.mark.parametrize("name", attacks.HANGS)
def test_what_hangs_costs_its_own_exercise_only(root, name):
    result = grade(root, submission({**ANSWERS, "ex1-answer": attacks.HANGS[name]}))
    assert points(result) == {"1": 0, "2": 3} and result.exercises[0].note, result


@isolated
@pytest.mark.parametrize("name", attacks.SABOTAGE)
def test_sabotage_costs_its_own_exercise_only(root, name):
    result = grade(root, submission({**ANSWERS, "ex1-answer": attacks.SABOTAGE[name]}))
    assert points(result) == {"1": 0, "2": 3} and result.exercises[0].note, result
    the_next_student_gets_all(root)


def test_the_budget_of_the_notebook_ends_what_no_cell_exceeds(root):
    slow = "import time\ntime.sleep(1)"
    notebook = json.loads(submission(ANSWERS))
    at = next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == "ex1-answer")
    notebook["cells"][at:at] = [
        {"cell_type": "code", "id": f"mine{i}", "metadata": {}, "source": slow + f"\nexec('x = {i}')", "outputs": []}
        for i in range(9)
    ]
    result = grade(root, json.dumps(notebook), Limits(cell_s=2, notebook_s=4, memory_mb=2048))
    assert (points(result), result.status) == (NONE, "timed out") and "longer than 4 s" in result.note


@pytest.mark.parametrize("name", attacks.FILES)
def test_a_hostile_file_is_unreadable_and_gets_a_sentence(root, name):
    path = hand_in(root / "submissions" / "mallory" / f"{LAB}.ipynb", "")
    path.write_bytes(attacks.FILES[name])
    start = time.monotonic()
    result = attempt(Job("mallory", LAB, str(path), str(root / "solutions" / f"{LAB}.ipynb"), LIMITS, "none"))
    assert result.status == "unreadable" and points(result) == NONE and "hand" in result.note
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_not_read(root, kind):
    """A link could lead to the solution itself."""
    path, trusted = root / "submissions" / kind / f"{LAB}.ipynb", root / "solutions" / f"{LAB}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    {"link": lambda: path.symlink_to(trusted), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()
    result = attempt(Job("mallory", LAB, str(path), str(trusted), LIMITS, "none"))
    assert result.status == "unreadable" and points(result) == NONE


def _claims(notebook: dict) -> None:
    """Another lab, other points and tolerances, roles and ids of the grader's own cells."""
    notebook["metadata"]["labkit"] = {"lab": "00_start", "hides": [], "version": "solution", "points": 99}
    for cell in notebook["cells"]:
        about = {"role": "check", "exercise": "1", "points": 99, "rtol": 1e9, "atol": 1e9, "hidden": False}
        cell["metadata"] = {"labkit": about, "tags": ["raises-exception", "nbval-skip"]}
    for name in ("ex1-check", "ex1-check", "ex2-check", "student-1", "setup"):
        notebook["cells"].append(_cell(name, "check.value(0)", {"labkit": {"role": "check", "exercise": "2", "points": 99}}))


def _collides(notebook: dict) -> None:
    for cell in notebook["cells"]:
        cell["id"] = "ex1-check"


def _bombs(notebook: dict) -> None:
    """What is slow or deep to parse."""
    sources = [
        "(" * 29_000,
        "1" + "+1" * 14_000,
        "f'" + "{a}" * 9_000 + "'",
        "a" + ".b" * 14_000,
        "not " * 7_000 + "1",
        "x = 9**9**9**9",
    ]
    notebook["cells"] += [_cell(f"bomb{i}", source) for i, source in enumerate(sources)]
    notebook["cells"] += [_cell("", f"def h{i}(x): return h{i + 1}(x)") for i in range(300)]
    notebook["cells"].append({"cell_type": ["code"], "id": {"a": 1}, "metadata": [], "source": {"x": 1}})
    notebook["cells"] += [None, 7, "code", {}]


def _cell(name: str, source: str, metadata: dict | None = None) -> dict:
    return {"cell_type": "code", "id": name, "metadata": metadata or {}, "source": source, "outputs": []}


@pytest.mark.parametrize("change", [_claims, _collides, _bombs])
def test_what_a_notebook_claims_about_itself_changes_no_points(root, change):
    for answers, expected in ((ANSWERS, FULL), (ALL_WRONG, NONE)):
        notebook = json.loads(submission(answers))
        change(notebook)
        result = grade(root, json.dumps(notebook))
        assert (points(result), result.max_points) == (expected, 6), result
        assert result.status == "repaired" or change is _bombs


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["nan", "inf", "-inf"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
payloads = st.fixed_dictionaries({
    "dtype": st.sampled_from(["float64", "int64", "bool", "str", "none", "dict", "list", "object", ""]) | json_values,
    "shape": st.lists(st.integers(-1, 4), max_size=3) | json_values,
    "values": json_values,
})  # fmt: skip


@given(payloads | json_values, st.sampled_from([[0.125, -3.5, 7.75], [[2.5]], 1.375, 7, [3, -4], {"a": 2.5}, [1.5, "x"]]))
@settings(deadline=None, max_examples=400)
def test_no_payload_equals_what_it_was_not_made_for(payload, want):
    """Whatever JSON stands in place of a value: it is refused, cannot be compared, or differs."""
    if not well_formed(payload):
        return
    try:
        why = verdict([encode(want)], [payload])
    except (ValueError, TypeError, OverflowError):  # nbval_sheet takes these for a difference
        return
    assert why or payload["values"] == encode(want)["values"]
