"""The source of a lab: what each line of it means, and what is refused."""

import json

import pytest

from labkit.course.build import render
from labkit.course.source import BEGIN, END, LabError, parse, stub

from .conftest import NAME, TOY


def test_cells_carry_what_their_line_says():
    lab = parse(TOY, NAME)
    check = next(cell for cell in lab.cells if cell.name == "ex1-check")
    assert (check.kind, check.role, check.exercise, check.points, check.rtol, check.atol) == ("code", "check", "1", 2, 1e-3, None)
    assert check.metadata == {"role": "check", "exercise": "1", "points": 2, "rtol": 1e-3}
    assert lab.cells[0].kind == "markdown" and lab.cells[0].source == "# Frames\ncopy a signal into windows"
    assert lab.exercises == ("1", "2") and lab.points == {"1": 3, "2": 3}


def test_a_comment_never_becomes_a_magic():
    """jupytext would turn "# copy the signal" into the magic %copy if it were left to its defaults."""
    setup = next(cell for cell in parse(TOY, NAME).cells if cell.name == "setup")
    assert "# copy the signal: a comment, not the magic %copy" in setup.source


def test_stub_keeps_what_stands_outside_the_markers_and_its_indent():
    text = f"class A:\n    def f(self):\n        y = 1\n        {BEGIN}\n        return y\n        {END}\n\n    def g(self):\n"
    text += f"        {BEGIN}\n        if 1:\n            return 2\n        {END}\n"
    cell = next(c for c in parse(TOY.replace(answer_of(TOY), text), NAME).cells if c.name == "ex1-answer")
    hole = 'raise NotImplementedError("exercise 1: replace this line with your code")'
    wanted = f"class A:\n    def f(self):\n        y = 1\n        {hole}\n\n    def g(self):\n        {hole}"
    assert stub(cell) == wanted


def test_an_answer_hides_what_it_must_not_borrow():
    hidden = parse(TOY.replace(ANSWER_LINE, ANSWER_LINE + ' hides="data.features.frame report.count"'), NAME)
    assert hidden.hides == ("labkit.data.features.frame", "labkit.report.count") and parse(TOY, NAME).hides == ()
    assert json.loads(render(hidden))["metadata"]["labkit"]["hides"] == list(hidden.hides)
    assert "hides" not in render(hidden, student=True) and "hides" not in render(parse(TOY, NAME))
    with pytest.raises(LabError, match="hides names what an answer must not borrow"):
        parse(TOY.replace('role="test" exercise="1"', 'role="test" exercise="1" hides="labkit.x"', 1), NAME)


def answer_of(text):
    start = text.index("def frame")
    return text[start : text.index("# %%", start)]


ANSWER_LINE = '# %% cell="ex1-answer" role="answer" exercise="1"'
REFUSED = {
    "no name": ('cell="setup"', "", "cell number 2 .* has no name"),
    "twice the same name": ('cell="plot-again"', 'cell="plot"', "cell 'plot': two cells have this name"),
    "a name that is no id": ('cell="setup"', 'cell="set up"', "letters, digits"),
    "unreadable line": ('cell="setup"', "cell=setup", "cannot read"),
    "unknown role": ('role="answer" exercise="1"', 'role="anser" exercise="1"', "unknown role 'anser'; did you mean answer"),
    "unknown key": ("points=2", "point=2", "unknown key 'point'; did you mean points"),
    "check without points": (" points=2 rtol=1e-3", "", "cell 'ex1-check': a check cell says what it is worth"),
    "points of nothing": ("points=2", "points=0", "a check cell says what it is worth"),
    "points in words": ("points=2", 'points="two"', "points is a number"),
    "negative tolerance": ("rtol=1e-3", "rtol=-1", "rtol is a number"),
    "tolerance on a test": ('role="test" exercise="2"', 'role="test" exercise="2" rtol=1', "belongs to a check cell"),
    "answer without exercise": (ANSWER_LINE, ANSWER_LINE[:-13], "says which exercise"),
    "test of no exercise": ('role="test" exercise="2"', 'role="test" exercise="3"', "there is no answer for exercise '3'"),
    "role on text": ('[markdown] cell="intro"', '[markdown] cell="intro" role="test" exercise="1"', "must be code"),
    "exercise without test": ('role="test" exercise="2"', "", "exercise 2 lacks a visible test"),
    "exercise without check": ('role="check" exercise="2" points=3', "", "exercise 2 lacks a check"),
    "exercise without wrong answer": ('role="wrong" exercise="2"', "", "exercise 2 lacks a planted wrong answer"),
    "wrong answer without why": ("# why: mean", "# it is the mean", 'starts with the line "# why: …"'),
    "answer without markers": (f"    {BEGIN}\n    n = 1", "    n = 1", "END SOLUTION without"),
    "nothing to hide": (
        f"    {BEGIN}\n    return (frame(x, window, hop) ** 2).sum(axis=1)\n    {END}",
        "    return 0",
        "an answer marks what to hide",
    ),
    "never closed": (f"    return (frame(x, window, hop) ** 2).sum(axis=1)\n    {END}", "    return 0", "never closed"),
    "nested": ("    n = 1 + ", f"    {BEGIN}\n    n = 1 + ", "within another"),
    "marker in a test": ('check.close("1"', f'{BEGIN}\n{END}\ncheck.close("1"', "belongs into cells of role answer"),
    "marker misspelt": (BEGIN, "# begin solution", "write the marker alone"),
    "marker behind code": (f"    {BEGIN}\n    n = 1", f"    n = 1  {BEGIN}\n    m = 1", "write the marker alone"),
    "magic": ("x = np.arange(6.0)", "%matplotlib inline", "line 7 is not plain Python"),
    "stub that stops Run All": (
        answer_of(TOY),
        f"{BEGIN}\nframe = len\n{END}\n",
        "put the markers inside a function",
    ),
}


@pytest.mark.parametrize("old, new, says", REFUSED.values(), ids=REFUSED)
def test_refused_with_a_sentence(old, new, says):
    assert old in TOY
    with pytest.raises(LabError, match=says) as error:
        parse(TOY.replace(old, new, 1), NAME)
    assert f"{NAME}.py" in str(error.value) and "\n" not in str(error.value)
