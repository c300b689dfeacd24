"""A toy lab for the grader's tests, its notebooks as `labkit build` renders them, and a run of a sheet in one namespace."""

import contextlib
import io
import json
from functools import cache
from unittest import mock

from labkit.course import build, check, source
from labkit.course.compare import MIME, verdict

TOY = '''\
# %% [markdown] cell="intro"
# # Frames
# %% cell="setup"
import numpy as np

from labkit.course import check

trained = []
# %% [markdown] cell="frame-text"
# ## Exercise 1
# %% cell="ex1-answer" role="answer" exercise="1"
def frame(x, window, hop):
    """Cut `x` (samples,) into windows (n, window)."""
    # BEGIN SOLUTION
    n = 1 + (len(x) - window) // hop
    return np.stack([x[i * hop : i * hop + window] for i in range(n)])
    # END SOLUTION


def count(windows):
    """How many windows there are; given."""
    return len(windows)
# %% cell="ex1-test" role="test" exercise="1"
six = np.arange(6.0)
check.close("1", lambda: frame(six, 3, 2), [[0, 1, 2], [2, 3, 4]], title="on paper")
# %% cell="ex1-check" role="check" exercise="1" points=2 rtol=1e-3
check.value(frame(np.linspace(0, 1, 20), 5, 3))
# %% cell="ex1-check-count" role="check" exercise="1" points=1
check.value(count(frame(np.zeros(1000), 25, 10)))
# %% cell="ex1-wrong" role="wrong" exercise="1"
# why: ignores the hop
def frame(x, window, hop):
    return np.stack([x[i : i + window] for i in range(len(x) - window + 1)])
# %% [markdown] cell="plot-text"
# Look at it.
# %% cell="plot"
with check.needs("1"):
    loud = frame(six, 2, 1)
    trained.append("plot")
# %% [markdown] cell="energy-text"
# ## Exercise 2
# %% cell="ex2-answer" role="answer" exercise="2"
def energy(x):
    """The mean square of a signal."""
    # BEGIN SOLUTION
    return float(np.mean(np.square(x)))
    # END SOLUTION


def peak(x):
    """The largest magnitude."""
    # BEGIN SOLUTION
    return float(np.abs(x).max())
    # END SOLUTION
# %% cell="ex2-test" role="test" exercise="2"
check.close("2", lambda: energy([1, 2]), 2.5, title="on paper")
# %% cell="ex2-check" role="check" exercise="2" points=3
check.value([energy(np.arange(5.0)), peak(np.array([1.0, -7.0]))])
# %% cell="ex2-wrong" role="wrong" exercise="2"
# why: sums
def energy(x):
    return float(np.sum(np.square(x)))
# %% cell="end"
print("the end")
'''
FULL = {"1": 3, "2": 3}


def run(cells) -> tuple[dict[str, float], dict[str, Exception]]:
    """Points of each exercise, and the errors of cells, after running cells in order in one namespace."""
    namespace: dict = {"__name__": "__main__"}
    points: dict[str, float] = {}
    errors: dict[str, Exception] = {}
    for cell in cells:
        sent: list = []
        with (
            mock.patch.object(check, "publish", lambda data, sent=sent: sent.append(data[MIME])),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            try:
                exec(compile(cell.source, cell.id, "exec"), namespace)
            except Exception as error:
                errors[cell.id] = error
        if cell.kind == "check":
            right = not verdict(list(cell.expected), sent, cell.rtol, cell.atol)
            points[cell.exercise] = points.get(cell.exercise, 0) + cell.points * right
    return points, errors


@cache
def notebooks() -> tuple[str, str]:
    """The solution and the student's notebook of the lab, as JSON, made without a kernel."""
    lab = source.parse(TOY, "99_toy")
    cells = [cell for cell in lab.cells if cell.kind == "code" and cell.role != "wrong"]
    sent: list = []
    namespace: dict = {"__name__": "__main__"}
    values: dict[str, list] = {}
    with mock.patch.object(check, "publish", lambda data: sent.append(data[MIME])), contextlib.redirect_stdout(io.StringIO()):
        for cell in cells:
            exec(compile(cell.source, cell.name, "exec"), namespace)
            values[cell.name] = json.loads(json.dumps(sent))
            sent.clear()
    return build.render(lab, values), build.render(lab, student=True)
