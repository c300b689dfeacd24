"""What the cells of a lab call: one sentence and a picture in class, an error where a solution is judged."""

import base64
import linecache

import numpy as np
import pytest
import torch

from labkit.course import check


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv("CI", raising=False)  # some of these tests are about it
    check.forget()
    yield
    check.forget()


@pytest.fixture
def shown(monkeypatch):
    """What cells display."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: bundles.append(data))
    return bundles


def stub(*_):
    raise NotImplementedError("exercise 1: replace this line with your code")


def test_a_right_answer_passes_and_is_drawn(shown, capsys):
    check.close("1", lambda: torch.eye(3), np.eye(3), title="identity")
    assert capsys.readouterr().out == "exercise 1: passed (identity)\n"
    assert base64.b64decode(shown[0]["image/png"]).startswith(b"\x89PNG")
    assert check.done("1") and not check.done("2") and not check.done("1", "2")


@pytest.mark.parametrize(
    "got, says",
    [
        (lambda: [[1, 2], [3, 5]], "1 of 4 numbers differ; [1, 1] is 5, not 4"),
        (lambda: [1, 2, 3, 4], "its shape is (4,), not (2, 2)"),
        (lambda: None, "TypeError: nothing is returned"),
        (lambda: "four", "TypeError: the result is a str"),
        (lambda: [[1, 2], [3, float("nan")]], "[1, 1] is nan, not 4"),
        (stub, "there is no code of yours yet"),
        (lambda: 1 / 0, "your code stopped with ZeroDivisionError: division by zero"),
    ],
)
def test_a_wrong_answer_gets_a_sentence_and_no_error(shown, capsys, got, says):
    check.close("1", got, [[1, 2], [3, 4]], title="t", hint="look again")
    printed = capsys.readouterr().out
    assert printed.startswith("exercise 1: not yet (t): ") and says in printed
    assert not check.done("1")


def test_a_hint_follows_what_is_wrong(shown, capsys):
    check.close("1", 1.0, 2.0, hint="divide by two")
    assert capsys.readouterr().out == "exercise 1: not yet: it gives 1, not 2\n  Hint: divide by two\n"
    assert shown == []  # nothing to draw about one number


def test_an_error_is_quoted_with_the_line_of_the_student(capsys):
    code = "def f(x):\n    y = x + 1\n    return y['a']\n"
    linecache.cache["<cell answer>"] = (len(code), None, code.splitlines(keepends=True), "<cell answer>")
    namespace = {}
    exec(compile(code, "<cell answer>", "exec"), namespace)
    check.true("1", lambda: namespace["f"](np.ones(3)), "f works")
    assert "(line 3 of f: return y['a'])" in capsys.readouterr().out


def test_equal_is_exact(capsys):
    check.equal("1", lambda: (4, 3), (4, 3), title="shape")
    check.equal("1", lambda: ["a", 1], ["a", 2], title="list")
    check.equal("1", 1.0, 1.0 + 1e-9, title="last digit")
    assert [line[:20] for line in capsys.readouterr().out.splitlines()] == [
        "exercise 1: passed (",
        "exercise 1: not yet ",
        "exercise 1: not yet ",
    ]


def test_a_claim_is_said_in_words(capsys):
    check.true("1", lambda: np.array([True, True]), "both hold")
    check.true("1", lambda: np.array([True, False]), "the error stays below half a step", title="bound")
    assert "passed (both hold)" in (printed := capsys.readouterr().out)
    assert "not yet (bound): not so: the error stays below half a step" in printed


def test_a_test_run_again_counts_anew():
    check.equal("1", 1, 2, title="a")
    check.equal("1", 1, 1, title="b")
    assert not check.done("1")
    check.equal("1", 1, 1, title="a")
    assert check.done("1")


def test_strict_raises(monkeypatch):
    monkeypatch.setenv("LABKIT_STRICT", "1")
    check.equal("1", 1, 1, title="right")
    for got in (2, stub, lambda: 1 / 0):
        with pytest.raises(AssertionError, match="exercise 1: not yet"):
            check.equal("1", got, 1, title="wrong")
    check.equal("1", 1, 1, title="right")  # another test that failed is not this one's fault


def test_needs_waits_for_the_exercise(capsys):
    with check.needs("1"):
        features = stub()
    with check.needs("1"):
        print(features)  # not defined, as in the cell after the one that failed
    assert capsys.readouterr().out == "Solve exercise 1 first, then run this cell again.\n" * 2
    with check.needs("1", "2"):
        np.zeros(3)[5]
    printed = capsys.readouterr().out
    assert printed.startswith("Solve exercise 1 and 2 first") and "IndexError" in printed


def test_needs_hides_nothing_once_solved(monkeypatch):
    check.equal("1", 1, 1)
    with pytest.raises(ZeroDivisionError), check.needs("1"):
        1 / 0  # noqa: B018
    check.forget()
    monkeypatch.setenv("LABKIT_STRICT", "1")
    with pytest.raises(NotImplementedError), check.needs("1"):
        stub()


def test_value_sends_what_it_is_given(shown):
    check.value({"shape": (2, 3), "name": "dw"})
    (bundle,) = shown
    sent = bundle["application/vnd.labkit.value+json"]
    assert sent["values"]["shape"]["values"] == [2, 3] and sent["values"]["name"]["values"] == "dw"


@pytest.fixture
def half(capsys):
    """Exercise 1 is done, exercise 2 half."""
    check.equal("1", 1, 1, title="one")
    check.equal("2", 1, 1, title="first")
    check.true("2", lambda: False, "the sum is 1", hint="divide by it")
    capsys.readouterr()


def test_check_prints_a_table_of_the_tests_that_ran(half, capsys):
    assert check() is None
    assert capsys.readouterr().out.splitlines() == [
        "exercise  tests passed  what to do",
        "1         1 of 1        nothing, done",
        "2         1 of 2        the sum is 1: not so (hint: divide by it)",
        "Exercise 2 is not done yet.",
    ]


def test_check_before_any_test_says_so(capsys):
    check()
    assert capsys.readouterr().out == "No test ran yet; run the notebook's cells from the top.\n"


@pytest.mark.parametrize("variable, value", [("CI", "true"), ("LABKIT_STRICT", "1")])
def test_check_raises_where_it_counts(half, monkeypatch, capsys, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(AssertionError, match="Exercise 2 is not done yet"):
        check()
    assert "1 of 2" in capsys.readouterr().out  # the table comes first
    monkeypatch.setenv("LABKIT_STRICT", "0")  # said in so many words, this is a class, even in continuous integration
    check()
    monkeypatch.setenv("LABKIT_STRICT", "1")
    check.equal("2", 1, 1, title="the sum is 1")
    check()


def test_a_long_sentence_stays_in_its_column(capsys):
    check.true("1", lambda: False, "word " * 40)
    check()
    lines = capsys.readouterr().out.splitlines()[-4:-1]
    assert all(len(line) <= 100 and line.startswith(" " * 24 + "word") for line in lines[1:])
