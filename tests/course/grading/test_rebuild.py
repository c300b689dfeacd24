"""Whatever happened to a notebook, the answers in it count, the lab's own cells are the lab's, and the damage is named."""

import copy
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.course import source
from labkit.course.grading.rebuild import rebuild
from labkit.course.grading.submission import load

from .toy import FULL, TOY, notebooks, run

SOLUTION, STUDENT = notebooks()
TRUSTED = json.loads(SOLUTION)
ANSWERS = {cell.name: cell.source for cell in source.parse(TOY, "99_toy").having("answer")}
FRAME, ENERGY = ANSWERS["ex1-answer"], ANSWERS["ex2-answer"]
FRAME_ONLY = FRAME.split("\n\n\n")[0]
WRONG_FRAME = "def frame(x, window, hop):\n    return np.zeros((2, 2))"
HELPER = "def starts(x, window, hop):\n    return range(0, len(x) - window + 1, hop)"
WITH_HELPER = """\
def frame(x, window, hop):
    return np.stack([x[i : i + window] for i in starts(x, window, hop)])


def count(windows):
    return len(windows)"""
TEST = 'six = np.arange(6.0)\ncheck.close("1", lambda: frame(six, 3, 2), [[0, 1, 2], [2, 3, 4]], title="on paper")'


@pytest.fixture(scope="session")
def solved(tmp_path_factory):
    """A function that gives the solved student notebook as `load` reads it, after `change(cells)`."""
    folder = tmp_path_factory.mktemp("handed_in")

    def make(change=None, answers=ANSWERS):
        notebook = json.loads(STUDENT)
        for cell in notebook["cells"]:
            if cell["id"] in answers:
                cell["source"] = answers[cell["id"]]
        if change:
            notebook["cells"] = change(notebook["cells"]) or notebook["cells"]
        path = folder / "99_toy.ipynb"
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return load(path)

    return make


def at(cells, name):
    return next(i for i, cell in enumerate(cells) if cell.get("id") == name)


def new(source, **more):
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source, **more}


def edit(name, source):
    def change(cells):
        cells[at(cells, name)]["source"] = source

    return change


def insert(name, *sources, below=True, **more):
    def change(cells):
        i = at(cells, name) + below
        cells[i:i] = [new(text, **more) for text in sources]

    return change


def both(*changes):
    def change(cells):
        for one in changes:
            cells = one(cells) or cells
        return cells

    return change


def delete(*names):
    return lambda cells: [cell for cell in cells if cell.get("id") not in names]


def forget(*keys):
    def change(cells):
        for cell in cells:
            for key in keys:
                cell.pop(key, None)
            cell.setdefault("metadata", {})

    return change


def kind(name, cell_type):
    def change(cells):
        cells[at(cells, name)]["cell_type"] = cell_type

    return change


def move(name, position):
    def change(cells):
        cells.insert(position, cells.pop(at(cells, name)))

    return change


def split(name, line, lost=False):
    """As JupyterLab splits a cell: the upper half gets a new id and the same metadata, the lower half keeps the id."""

    def change(cells):
        i = at(cells, name)
        lines = cells[i]["source"].split("\n")
        upper = {**copy.deepcopy(cells[i]), "id": "3f2a", "source": "\n".join(lines[:line])}
        cells[i]["source"] = "\n".join(lines[line:])
        if lost:
            upper["metadata"] = cells[i]["metadata"] = {}
            cells[i]["id"] = "77aa"
        cells.insert(i, upper)

    return change


def merge(*names, into):
    def change(cells):
        parts = [cells[at(cells, name)] for name in names]
        text = "\n".join(part["source"] if isinstance(part["source"], str) else "".join(part["source"]) for part in parts)
        keep = cells[at(cells, into)]
        keep["source"] = text
        return [cell for cell in cells if cell is keep or cell.get("id") not in names]

    return change


STUB = "".join(json.loads(STUDENT)["cells"][at(json.loads(STUDENT)["cells"], "ex1-answer")]["source"])

REPAIRED = {
    "tests deleted": (delete("ex1-test", "ex2-test"), "Deleted cells of the lab were put back: ex1-test, ex2-test."),
    "given deleted": (delete("setup", "plot"), "put back: setup, plot."),
    "test edited": (edit("ex1-test", "check.close = None"), "your changes there were left out: ex1-test."),
    "given edited": (edit("setup", "import sys; sys.exit()"), "your changes there were left out: setup."),
    "answer split between functions": (split("ex1-answer", 7), None),
    "answer split within a function": (split("ex1-answer", 3), "split in two was joined again: ex1-answer."),
    "answer split, ids lost": (split("ex1-answer", 4, lost=True), "split in two was joined again"),
    "answer split before its body": (split("ex1-answer", 1, lost=True), "split in two was joined again"),
    "test pasted": (insert("ex2-answer", TEST), "Copies of the lab's cells were left out: ex1-test."),
    "answers moved": (move("ex2-answer", 0), "put back in the order of the lab"),
    "reversed": (lambda cells: cells[::-1], "put back in the order of the lab"),
    "answer as text": (kind("ex1-answer", "markdown"), "turned into text, and was read as code: ex1-answer."),
    "answer as raw": (kind("ex2-answer", "raw"), "read as code: ex2-answer."),
    "answer as text, ids lost": (
        both(kind("ex1-answer", "markdown"), forget("id", "metadata")),
        "read as code: cell 4 of the notebook.",
    ),
    "given as text": (kind("setup", "markdown"), "read as code: setup."),
    "answer merged with its test": (
        merge("ex1-answer", "ex1-test", into="ex1-answer"),
        "merged with yours were taken out again: ex1-test.",
    ),
    "answer merged into its test": (merge("ex1-answer", "ex1-test", into="ex1-test"), "found in a cell of the lab"),
    "two answers in one cell": (merge("ex1-answer", "ex2-answer", into="ex2-answer"), "found by the name that it defines: frame."),
    "all answers in one new cell": (
        both(delete("ex1-answer", "ex2-answer"), insert("end", FRAME + "\n" + ENERGY)),
        "found by the name",
    ),
    "answer in a new cell below": (both(edit("ex1-answer", STUB), insert("ex1-answer", FRAME_ONLY)), "found by the name"),
    "answer below its test": (both(edit("ex1-answer", STUB), insert("ex1-test", FRAME_ONLY)), "found by the name"),
    "answer at the very end": (both(edit("ex1-answer", STUB), insert("end", FRAME_ONLY)), "found by the name"),
    "answer retyped, cell deleted": (both(insert("ex1-answer", FRAME_ONLY), delete("ex1-answer")), "found by the name"),
    "answer in a test": (
        both(edit("ex1-answer", STUB), edit("ex1-test", FRAME_ONLY + "\nprint(frame(six, 3, 2))")),
        "found in a cell of the lab",
    ),
    "answer above a broken leftover": (
        both(edit("ex1-answer", "def frame(x:\n  ?"), insert("frame-text", FRAME)),
        "found by the name",
    ),
    "old attempt left above": (both(edit("ex1-answer", WRONG_FRAME), insert("ex1-answer", FRAME)), "the last one counts: frame."),
    "ids lost": (forget("id"), "lost their names (ids)"),
    "metadata lost": (forget("metadata"), "lost their metadata"),
    "ids and metadata lost": (forget("id", "metadata"), "lost their names (ids)"),
    "ids lost, blank copy below": (both(insert("ex1-answer", STUB), forget("id", "metadata")), "lost their names (ids)"),
    "id twice, blank copy below": (insert("ex1-answer", STUB, id="ex1-answer"), "the same name (id): ex1-answer."),
    "id twice, blank copy above": (insert("ex1-answer", STUB, id="ex1-answer", below=False), "the same name (id): ex1-answer."),
    "magics in an answer": (
        edit("ex1-answer", "%%time\n%matplotlib inline\n!pip install numpy\n" + FRAME + "\nframe?"),
        "left out: %%time, %matplotlib inline, !pip install numpy, frame?.",
    ),
    "helper twice, in the way of a name": (
        insert("ex1-answer", "check = 3\nnp = None"),
        "for the checks it was put back: check, np.",
    ),
    "given part of an answer deleted": (edit("ex1-answer", FRAME_ONLY), None),
    "answers in format 3": (None, None),
    "helper above": (both(edit("ex1-answer", WITH_HELPER), insert("ex1-answer", HELPER, below=False)), None),
    "helper below": (both(edit("ex1-answer", WITH_HELPER), insert("ex1-answer", HELPER)), None),
    "helper at the end": (both(edit("ex1-answer", WITH_HELPER), insert("end", HELPER)), None),
    "helper at the top": (both(edit("ex1-answer", WITH_HELPER), insert("intro", HELPER, below=False)), None),
    "helper in a text cell": (both(edit("ex1-answer", WITH_HELPER), edit("frame-text", HELPER), kind("frame-text", "code")), None),
    "helper with a magic": (
        both(edit("ex1-answer", WITH_HELPER), insert("setup", "%load_ext autoreload\n" + HELPER)),
        "left out: %load_ext autoreload.",
    ),
    "a cell that nothing needs": (insert("setup", "while True: pass"), None),
    "mark that nbval obeys": (edit("ex1-answer", "# NBVAL_SKIP\n" + FRAME + "\n    #NBVAL_RAISES_EXCEPTION"), None),
    "own text": (insert("ex1-answer", "def frame is hard for me", cell_type="markdown"), None),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_a_right_answer_keeps_its_points_and_the_damage_is_named(name, solved):
    change, says = REPAIRED[name]
    sheet = rebuild(TRUSTED, solved(change))
    points, errors = run(sheet.cells)
    assert points == FULL == sheet.points, errors
    if says is None:
        assert not [s for s in sheet.repairs if "found" in s or "Deleted" in s]
    else:
        assert [s for s in sheet.repairs if says in s], sheet.repairs
    assert all(re.fullmatch(r"[A-Z][^\n]*\.", sentence) for sentence in sheet.repairs)
    assert_trusted(sheet)


def assert_trusted(sheet):
    """Check and given cells are the trusted ones, in their order; ids differ; nothing expected is in a source."""
    trusted = {cell["id"]: "".join(cell["source"]) for cell in TRUSTED["cells"]}
    order = list(trusted)
    mine = [cell.id for cell in sheet.cells if cell.kind in ("given", "check") and cell.id in trusted]
    assert mine == sorted(mine, key=order.index)
    assert all(trusted[name] == cell.source for name in mine for cell in sheet.cells if cell.id == name)
    assert {cell.id for cell in sheet.cells if cell.kind == "check"} == {"ex1-check", "ex1-check-count", "ex2-check"}
    assert all(bool(cell.expected) == (cell.kind == "check") == (cell.points > 0) for cell in sheet.cells)
    assert len({cell.id for cell in sheet.cells}) == len(sheet.cells)


def test_an_untouched_solution_needs_no_repair(solved):
    sheet = rebuild(TRUSTED, solved())
    assert sheet.repairs == () and sheet.lab == "99_toy" and run(sheet.cells) == (FULL, {})
    assert [(cell.id, cell.kind) for cell in sheet.cells] == [
        ("setup", "given"),
        ("ex1-answer", "answer"),
        ("ex1-check", "check"),
        ("ex1-check-count", "check"),
        ("ex2-answer", "answer"),
        ("ex2-check", "check"),
    ]
    check = sheet.cells[2]
    assert (check.exercise, check.points, check.rtol, check.atol, check.expected[0]["shape"]) == ("1", 2, 1e-3, None, [6, 5])


def test_a_blank_notebook_is_blank(solved):
    sheet = rebuild(TRUSTED, solved(answers={}))
    assert sheet.repairs == () and run(sheet.cells)[0] == {"1": 0, "2": 0}


def test_an_answer_that_is_gone_is_blank_and_said_to_be_missing(solved):
    sheet = rebuild(TRUSTED, solved(delete("ex1-answer")))
    points, errors = run(sheet.cells)
    assert points == {"1": 0, "2": 3} and isinstance(errors["ex1-check"], NotImplementedError)
    assert "No answer was found where the lab asks for one: ex1-answer." in sheet.repairs


def test_everything_deleted_is_still_a_sheet(solved):
    sheet = rebuild(TRUSTED, solved(lambda cells: [new("x = 1")]))
    assert run(sheet.cells)[0] == {"1": 0, "2": 0} and sheet.points == FULL


@pytest.mark.parametrize(
    "broken",
    [
        "def frame(x, window, hop)\n    return x",
        "%%script false\n" + FRAME,
        "%%bash\n" + FRAME,
        "(" * 90_000,
        "x\0y",
        "-" * 9000 + "1",
        "1/0",
        "raise SystemError",
        "x" * 200_000,
        "%%html\n<b>frame</b>",
        "if True:\n        def frame(x, window, hop): pass\n   x = 1",
    ],
    ids=lambda text: text[:14],
)
def test_a_cell_that_cannot_run_loses_its_exercise_only(broken, solved):
    sheet = rebuild(TRUSTED, solved(edit("ex1-answer", broken)))
    assert run(sheet.cells)[0] == {"1": 0, "2": 3}
    assert_trusted(sheet)


def test_the_last_definition_of_an_exercise_counts(solved):
    sheet = rebuild(TRUSTED, solved(insert("ex1-answer", WRONG_FRAME)))
    assert run(sheet.cells)[0]["1"] == 0 and "more than one of your cells; the last one counts: frame." in sheet.repairs[-1]
    far = rebuild(TRUSTED, solved(insert("end", WRONG_FRAME)))  # played with after everything was solved
    assert run(far.cells)[0] == FULL


ATTACKS = {
    "check replaced": "from labkit.course import check\ncheck = type('c', (), {'value': print})",
    "names deleted": "del np, check",
    "globals": "globals()['check'] = None",
    "import": "import os as check, sys as np",
    "the checks' ids": "",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_in_a_submission_changes_what_the_lab_runs(name, solved):
    attack = ATTACKS[name]
    sheet = rebuild(TRUSTED, solved(edit("ex1-answer", WRONG_FRAME + "\n" + attack)))
    assert_trusted(sheet)
    assert run(sheet.cells)[0]["1"] == 0
    forged = [new("check.value([])", id="ex1-check", metadata={"labkit": {"role": "check", "exercise": "1", "points": 99}})]
    sheet = rebuild(TRUSTED, solved(lambda cells: forged + cells + forged))
    assert_trusted(sheet)
    assert run(sheet.cells)[0] == FULL


def test_an_accident_with_a_name_of_the_lab_costs_nothing(solved):
    """`check` and `np` are put back for the checks, also when a name is deleted."""
    sheet = rebuild(TRUSTED, solved(edit("ex2-answer", ENERGY + "\ncheck = energy([1, 2])")))
    assert run(sheet.cells)[0] == FULL
    assert "Your code uses a name of the lab for something else; for the checks it was put back: check." in sheet.repairs


def test_the_wrong_lab_is_said_to_be_wrong(solved):
    submission = solved()
    submission["metadata"]["labkit"]["lab"] = "98_other"
    assert rebuild(TRUSTED, submission).repairs[0].startswith("This is the notebook of lab 98_other, and not of the lab")


def test_a_lab_without_values_cannot_grade(solved):
    trusted = json.loads(SOLUTION)
    trusted["cells"][at(trusted["cells"], "ex1-check")]["execution_count"] = None
    with pytest.raises(ValueError, match="99_toy, cell 'ex1-check': no value is stored"):
        rebuild(trusted, solved())


NAMES = [cell["id"] for cell in json.loads(STUDENT)["cells"]]
OTHERS = [name for name in NAMES if name not in ANSWERS]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(NAMES),
    twice=st.lists(st.sampled_from(OTHERS), max_size=4),
    gone=st.sets(st.sampled_from(OTHERS), max_size=6),
    lost=st.sampled_from([(), ("id",), ("metadata",), ("id", "metadata")]),
    helper=st.none() | st.integers(0, len(NAMES)),
)
def test_shuffling_doubling_and_deleting_never_costs_a_right_answer(solved, order, twice, gone, lost, helper):
    def change(cells):
        by_name = {cell["id"]: cell for cell in cells}
        cells = [copy.deepcopy(by_name[name]) for name in [*order, *twice] if name not in gone]
        if helper is not None:
            cells.insert(helper, new(HELPER, id="mine"))
        forget(*lost)(cells)
        return cells

    answers = ANSWERS if helper is None else {**ANSWERS, "ex1-answer": WITH_HELPER}
    sheet = rebuild(TRUSTED, solved(change, answers))
    assert [cell.source for cell in sheet.cells if cell.kind == "answer"] == list(answers.values())
    points, errors = run(sheet.cells)
    assert points == FULL, errors
    assert_trusted(sheet)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="def frame(x,):\n =%!#?'\"[]{}@*\\0123\t", max_size=60), cell=st.sampled_from(NAMES))
def test_any_text_in_any_cell_is_rebuilt(solved, text, cell):
    sheet = rebuild(TRUSTED, solved(edit(cell, text)))
    assert_trusted(sheet)
    if cell not in ANSWERS:
        assert run(sheet.cells)[0] == FULL
