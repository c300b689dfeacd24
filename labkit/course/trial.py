"""Tries a lab: runs it with given answers and counts the points, and plants its wrong answers to see whether they lose.

A lab that grades must give every point to the solution, none to a blank sheet, and less to each mistake it was written against
(mutation testing: DeMillo, Lipton and Sayward, "Hints on test data selection", Computer 11(4), 1978). Cells run in one namespace of
this process, like in one kernel; a planted wrong answer is defined over the right one, the checks of its exercise run again, and
the namespace is put back. What a check sends is compared as nbval compares it (`compare.verdict`).
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import tempfile
from pathlib import Path
from unittest import mock

from labkit.course import check, source
from labkit.course.compare import MIME, verdict
from labkit.course.source import Cell, Lab

Values = dict[str, list[dict]]  # check cell -> the values stored in the solution notebook


def score(lab: Lab, stored: Values, answers: dict[str, str] | None = None) -> dict[str, float]:
    """Points per exercise for `answers` (answer cell -> code; a cell without one keeps its stub), after running the whole lab.

    Raises what a given or test cell raises: a lab must run through with any answers.
    """
    with Trial(lab, stored, answers or {}) as trial:
        return trial.points()


class Trial:
    """A lab that ran with `answers`, up to its end; close it to give back the output and environment of this process."""

    def __init__(self, lab: Lab, stored: Values, answers: dict[str, str]):
        self.lab, self.stored, self.answers = lab, stored, answers
        self.solved = all(answers.get(cell.name) == cell.source for cell in lab.having("answer"))
        self.namespace: dict = {"__name__": "__main__"}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Trial:
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            environment = {"LABKIT_LEDGER": str(Path(scratch) / "ledger.json"), "LABKIT_STRICT": "1" if self.solved else "0"}
            stack.enter_context(mock.patch.dict(os.environ, environment))
            stack.enter_context(_headless())
            stack.callback(check.forget)
            check.forget()
            ran = [cell for cell in self.lab.cells if cell.kind == "code" and cell.role != "wrong"]
            self._earned = {cell.name: self._run_cell(cell) for cell in ran}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def points(self) -> dict[str, float]:
        """Points of each exercise, as the checks came out when the lab ran."""
        return self._sum(self._earned, self.lab.exercises)

    def plant(self, wrong: Cell) -> float:
        """Points of its exercise after the wrong answer is defined over the right one. Raises what the wrong cell itself raises."""
        before = dict(self.namespace)
        try:
            self._execute(wrong.name, wrong.source)
            checks = self.lab.having("check", wrong.exercise)
            return self._sum({cell.name: self._check(cell) for cell in checks}, (wrong.exercise,))[wrong.exercise]
        finally:
            self.namespace.clear()
            self.namespace.update(before)

    def _run_cell(self, cell: Cell) -> bool:
        if cell.role == "check":
            return self._check(cell)
        text = self.answers.get(cell.name, source.stub(cell)) if cell.role == "answer" else cell.source
        self._execute(cell.name, text)
        return True

    def _check(self, cell: Cell) -> bool:
        """Whether a check cell sends the stored values. An error in it only loses its points."""
        sent: list[dict] = []
        with mock.patch.object(check, "publish", lambda data: sent.append(data[MIME])):
            try:
                self._execute(cell.name, cell.source)
            except Exception:
                return False
        return not verdict(self.stored.get(cell.name, []), sent, cell.rtol, cell.atol)

    def _execute(self, name: str, text: str) -> None:
        file = f"<cell {name}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # so that errors can quote the line
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, file, "exec", dont_inherit=True), self.namespace)  # not with this file's __future__

    def _sum(self, earned: dict[str, bool], exercises: tuple[str, ...]) -> dict[str, float]:
        checks = {exercise: self.lab.having("check", exercise) for exercise in exercises}
        return {exercise: sum(cell.points for cell in cells if earned[cell.name]) for exercise, cells in checks.items()}


@contextlib.contextmanager
def _headless():
    """No windows, no figure kept, and this process's figure style as it was."""
    import matplotlib.pyplot as plt

    backend = plt.get_backend()
    plt.switch_backend("agg")
    try:
        with plt.rc_context(), mock.patch.object(plt, "show", lambda *args, **options: plt.close("all")):
            yield
    finally:
        plt.close("all")
        plt.switch_backend(backend)
