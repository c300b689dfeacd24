"""What the cells of a lab call: visible tests that draw what they compare, and values for the hidden checks.

A **test** cell is for the student. It prints one sentence, draws the comparison, and never raises in class, so that Run All goes
through. Hand it a `lambda`: then a stub, or an error in the student's code, becomes a sentence too.

    check.close("1", lambda: frame(x, 3, 2), by_hand, title="six samples, windows of 3, hop 2",
                hint="the last window must not run past the end")
    check.equal("1", lambda: frame(x, 3, 2).shape, (2, 3), title="shape")
    check.true("1", lambda: np.all(error <= scale / 2), "no number moves by more than half a step")

A **check** cell is for the grade. It sends a value; what is expected is stored in the solution notebook and never comes here.

    check.value(frame(np.arange(100.0), 25, 10))

A later cell that builds on an exercise says so. Until the tests of exercise 1 pass it prints "solve exercise 1 first" instead of an
error, and what it would have defined is not there (so cells that use that need the exercise as well):

    with check.needs("1"):
        features = frame(recording, 400, 160)
        plt.imshow(features.T)

``check()`` prints a table of the tests that ran so far; `labkit check 01` runs the notebook anew and prints the same table.

With ``LABKIT_STRICT=1`` (the build and nbval set it for solutions) a failing test raises, and `needs` hides nothing.
Titles tell the tests of an exercise apart, so give each its own.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from labkit.course import pictures, progress, style
from labkit.course.compare import ATOL, NUMBERS, RTOL, bundle, difference, encode

_ran: dict[str, dict[str, _Test]] = {}  # exercise -> title of a test -> how it came out when it last ran


def value(x: Any) -> None:
    """Sends the value of a check cell out of the kernel, without rounding: a number, string, array, tensor, list or dict."""
    publish(bundle(encode(x)))


def close(exercise: str, got: Any, want: Any, *, title: str = "", rtol: float = RTOL, atol: float = ATOL, hint: str = "") -> None:
    """Tests numbers: draws `got` (a value, or better a function without arguments that computes it) against `want`.

    An entry passes where ``|got − want| ≤ atol + rtol·|want|``.
    """
    with _test(exercise, title, hint) as test:
        want = _array(want)
        got = _array(_call(got))
        if got.shape != want.shape:
            return test.fails(f"its shape is {got.shape}, not {want.shape}")
        agree = np.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
        if agree.all():
            test.passes()
        elif want.ndim == 0:
            test.fails(f"it gives {got:.6g}, not {want:.6g}")
        else:
            first = tuple(int(i) for i in np.argwhere(~agree)[0])
            where = ", ".join(map(str, first))
            test.fails(f"{(~agree).sum()} of {agree.size} numbers differ; [{where}] is {got[first]:.6g}, not {want[first]:.6g}")
        if want.ndim and want.size:
            style.show(pictures.comparison(got, want, agree, title), f"your code, expected, and their difference: {test.outcome}")


def equal(exercise: str, got: Any, want: Any, *, title: str = "", hint: str = "") -> None:
    """Tests what must be the same to the last digit: names, shapes, counts, lists and dicts of them."""
    with _test(exercise, title, hint) as test:
        got = _call(got)
        if difference(encode(want), encode(got), rtol=0, atol=0):
            test.fails(f"it gives {_short(got)}, not {_short(want)}")
        else:
            test.passes(_short(got))


def true(exercise: str, claim: Callable[[], Any] | Any, says: str, *, title: str = "", hint: str = "") -> None:
    """Tests a property of the student's code: `claim` must come out true; `says` is the claim in words."""
    with _test(exercise, title or says, hint) as test:
        if bool(np.all(_array(_call(claim)))):
            test.passes()
        else:
            test.fails(f"not so: {says}" if title else "not so")


def done(*exercises: str) -> bool:
    """Whether all tests of these exercises that ran so far passed (and one ran at least)."""
    return all(_ran.get(exercise) and all(test.passed for test in _ran[exercise].values()) for exercise in exercises)


@contextmanager
def needs(*exercises: str):
    """Runs a block that builds on exercises. Where it fails while they are not solved, it says so and goes on."""
    try:
        yield
    except Exception as error:
        missing = [exercise for exercise in exercises if not done(exercise)]
        if _strict() or not (missing or isinstance(error, NotImplementedError)):
            raise
        missing = missing or list(exercises)
        print(f"Solve exercise {' and '.join(missing)} first, then run this cell again.")
        if not isinstance(error, (NotImplementedError, NameError)):
            print(f"(It stopped with {_sentence(error)}.)")


def rows() -> list[dict]:
    """What `check()` prints, an exercise a row: how many of its tests passed, and what is wrong in the first that did not."""
    rows = []
    for exercise, tests in _ran.items():
        failed = [test.todo for test in tests.values() if not test.passed]
        rows.append({"exercise": exercise, "passed": len(tests) - len(failed), "tests": len(tests), "todo": next(iter(failed), "")})
    return rows


def publish(data: dict) -> None:
    """Shows a bundle of representations under the cell."""
    from IPython.display import display

    display(data, raw=True)


def forget() -> None:
    """Forgets which tests ran, as a restarted kernel does."""
    _ran.clear()


class _Test:
    """One test while it runs: says what came out, and remembers it for `needs`."""

    def __init__(self, exercise: str, title: str, hint: str):
        self.exercise, self.title, self.hint = str(exercise), title, hint
        self.passed, self.outcome, self.todo = False, "", ""

    def passes(self, note: str = "") -> None:
        self._ends(True, f"passed{self._about}" + (f": {note}" if note else ""))

    def fails(self, why: str) -> None:
        self.todo = f"{self.title}: {why}" if self.title else why
        if self.hint:
            self.todo += f" (hint: {self.hint})"
        self._ends(False, f"not yet{self._about}: {why}" + (f"\n  Hint: {self.hint}" if self.hint else ""))

    @property
    def _about(self) -> str:
        return f" ({self.title})" if self.title else ""

    def _ends(self, passed: bool, outcome: str) -> None:
        self.passed, self.outcome = passed, outcome
        _ran.setdefault(self.exercise, {})[self.title] = self
        print(f"exercise {self.exercise}: {outcome}")


@contextmanager
def _test(exercise: str, title: str, hint: str):
    test = _Test(exercise, title, hint)
    try:
        yield test
    except NotImplementedError:
        test.fails("there is no code of yours yet")
    except Exception as error:
        test.fails(f"your code stopped with {_sentence(error)}")
    if _strict() and not test.passed:
        raise AssertionError(f"exercise {test.exercise}: {test.outcome}")


def _strict() -> bool:
    return os.environ.get("LABKIT_STRICT") == "1"


def _call(got: Any) -> Any:
    return got() if callable(got) else got


def _array(x: Any) -> np.ndarray:
    """Numbers as an array of floats; TypeError in words when they are none."""
    if x is None:
        raise TypeError("nothing is returned")
    array = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"the result is a {type(x).__name__}, not an array of numbers")
    return array.astype(np.float64)


def _sentence(error: Exception) -> str:
    """An error in one sentence: what, and the last line of the notebook that was running."""
    text = f"{type(error).__name__}: {error}".rstrip(". ") if str(error) else type(error).__name__
    cells = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<") or "ipykernel_" in f.filename]
    if not cells:
        return text
    name = "" if cells[-1].name.startswith("<") else f" of {cells[-1].name}"
    code = f": {cells[-1].line}" if cells[-1].line else ""
    return f"{text} (line {cells[-1].lineno}{name}{code})"


def _short(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= 120 else text[:117] + "..."


class _Callable(ModuleType):
    """This module can be called: in a notebook ``check()`` is the shortest name for the question."""

    def __call__(self) -> None:
        """Prints how the tests that ran so far came out. One that failed raises under ``CI=true`` or ``LABKIT_STRICT=1``."""
        so_far = rows()
        print(progress.table(so_far) if so_far else "No test ran yet; run the notebook's cells from the top.")
        if progress.failed(so_far) and progress.judged():
            raise AssertionError(progress.verdict(so_far))


sys.modules[__name__].__class__ = _Callable
