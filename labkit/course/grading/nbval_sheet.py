"""How nbval runs a submission: its file, cell and plug-in, for a kernel in a sandbox.

Every cell becomes one line of JSON, written as soon as it is known, to a pipe that no kernel can reach. pytest's own report is not
used: to nbval a cell without an error has passed, here a check has passed when its values are the expected ones.
"""

from __future__ import annotations

import builtins
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import IO

import pytest
from nbval.plugin import IPyNbFile, NbCellError

from labkit.course.compare import payloads, verdict
from labkit.course.grading.kernel import SandboxKernel, Stopped
from labkit.course.grading.payload import well_formed
from labkit.course.grading.records import Limits, Outcome
from labkit.course.grading.warm import GraderError, Warm
from labkit.course.nbval_lab import LabCell

MESSAGE_CHARACTERS = 300


class SheetFile(IPyNbFile):
    """A submission: one kernel, replaced when a cell breaks it; the exercise of that cell is not run again."""

    plugin: Plugin  # set when collected

    def setup(self):
        self.limits, self.deadline = self.plugin.limits, time.monotonic() + self.plugin.limits.notebook_s
        self.banned: dict[str, str] = {}  # exercise or cell -> why it does not run any more
        self.ran: list[SheetCell] = []
        self.revivals, self.spent = 0, ""
        self.kernel = self._new_kernel()
        self.setup_sanitize_files()

    def collect(self):
        for item in super().collect():
            yield SheetCell.from_parent(
                self, name=item.cell["id"], cell_num=item.cell_num, cell=item.cell,
                options={"check": item.cell.metadata["labkit"]["role"] == "check", "skip": False, "check_exception": False},
            )  # fmt: skip

    def teardown(self):
        if self.kernel is not None:
            self.kernel.stop()

    def why_not(self, cell: SheetCell) -> str:
        """Why a cell does not run; empty when it does."""
        if not self.spent and time.monotonic() >= self.deadline:
            self.spent = f"the notebook took longer than {self.limits.notebook_s:g} s"
        return self.spent or self.banned.get(cell.blame, "")

    def look_after(self) -> None:
        """A kernel may end after its last cell has answered; then that cell's exercise is to blame, and not the next."""
        if self.ran and not self.spent and not self.kernel.is_alive():
            self.lose(self.ran[-1], Stopped(self.kernel.fate, alive=False))

    def lose(self, cell: SheetCell, stop: Stopped) -> str:
        """A cell was stopped: its exercise is over, and a broken kernel is replaced. Returns what to tell the student."""
        why = self._sentence(stop.why)
        self.banned[cell.blame] = f"not run, because a cell of this exercise was stopped before: {why}"
        if not stop.alive:
            self._revive()
        return why

    def _revive(self) -> None:
        """A new kernel that has run what ran before, without what broke one; again without the next culprit, while it may."""
        while not self.spent:
            self.kernel.stop()
            if self.revivals == self.limits.revivals:
                self.spent = f"not run, because the kernel had to be started {self.revivals + 1} times"
                return
            self.revivals += 1
            self.kernel = self._new_kernel()
            culprit = next(filter(self._breaks, [cell for cell in self.ran if not cell.is_check]), None)
            if culprit is None:
                return

    def _breaks(self, cell: SheetCell) -> bool:
        """Runs a cell again. True when that broke the kernel."""
        if self.why_not(cell):
            return False
        try:
            request = self.kernel.execute_cell_input(cell.cell.source)
            try:
                self.kernel.await_reply(request, self.limits.cell_s)
            except Exception as error:
                if isinstance(error, Stopped):
                    raise
                self.kernel.interrupt()
        except Stopped as stop:
            self.banned[cell.blame] = f"not run, because a cell of this exercise was stopped before: {self._sentence(stop.why)}"
            return not stop.alive
        return False

    def _new_kernel(self) -> SandboxKernel:
        try:
            return SandboxKernel(self.plugin.warm(), self.limits, self.deadline)
        except GraderError:  # the last submission may have left the warm process in a bad state
            return SandboxKernel(self.plugin.warm(fresh=True), self.limits, self.deadline)

    def _sentence(self, why: str) -> str:
        if why == "time" and time.monotonic() >= self.deadline:
            return f"the notebook took longer than {self.limits.notebook_s:g} s"
        return {
            "time": f"it took longer than {self.limits.cell_s:g} s and was stopped",
            "died": "it ended the Python process it ran in",
            "memory": f"it needed more than {self.limits.memory_mb} MB of memory and was stopped",
            "processes": "it started too many processes and was stopped",
        }[why]


class SheetCell(LabCell):
    """A cell of a submission."""

    def setup(self):
        """Not nbval's: there, all cells after a time-out are expected to fail."""

    @property
    def blame(self) -> str:
        """What is not run again when this cell breaks the kernel: its exercise, or else the cell itself."""
        return f"exercise {self.labkit['exercise']}" if self.labkit["exercise"] else self.cell["id"]

    def runtest(self):
        self.parent.look_after()
        why = self.parent.why_not(self)
        if why:
            pytest.fail(why, pytrace=False)
        self.parent.ran.append(self)
        try:
            super().runtest()
        except Stopped as stop:
            pytest.fail(self.parent.lose(self, stop), pytrace=False)

    def compare_outputs(self, test, ref, skip_compare=None):
        self.comparison_traceback = [self._difference(payloads(test), payloads(ref))]
        return not self.comparison_traceback[0]

    def _difference(self, got: list, want: list[dict]) -> str:
        """Why a check fails, in words of the grader only. Empty when it passes."""
        if not all(map(well_formed, got)):
            return "what it sent is not a value"
        try:
            why = verdict(want, got, self.labkit["rtol"], self.labkit["atol"])
        except (ValueError, TypeError, OverflowError):
            return "the value cannot be compared"
        if not why or why == "the cell produced no value":
            return why
        if why.startswith("the cell produced"):
            return "it sent more or fewer values than it should"
        kinds = {"its shape": "its shape is not the expected one", "its keys": "its keys are not the expected ones"}
        return next((kinds[key] for key in kinds if key in why), "its value is not the expected one")

    def message(self, error: BaseException) -> str:
        """One sentence for the student.

        An error's text is the submission's to choose, and once a check has run it could carry what the check asks; then only the
        kind of the error is told.
        """
        raised = [output for output in self.test_outputs or [] if output["output_type"] == "error"]
        if not isinstance(error, NbCellError):
            return _one_line(str(error))
        if not raised:
            return self.comparison_traceback[0]
        name, text = raised[-1]["ename"], raised[-1]["evalue"]
        if not any(cell.is_check for cell in self.parent.ran):
            return _one_line(f"it stopped with {name}: {text}")
        known = isinstance(getattr(builtins, name, None), type) and issubclass(getattr(builtins, name), BaseException)
        return f"it stopped with {'an' if name[0] in 'AEIOU' else 'a'} {name}" if known else "it stopped with an error"


def _one_line(text: str) -> str:
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f]", " ", text[: 10 * MESSAGE_CHARACTERS]).split())
    return text if len(text) <= MESSAGE_CHARACTERS else text[: MESSAGE_CHARACTERS - 1] + "…"


class Plugin:
    """Collects the one file, and writes what came of each cell. `warm(fresh=False)` gives the warm process to fork kernels from."""

    def __init__(self, warm: Callable[..., Warm], limits: Limits, out: IO[str]):
        self.warm, self.limits, self.out = warm, limits, out

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_file(self, file_path, parent):
        file = SheetFile.from_parent(parent, path=file_path)
        file.plugin = self
        return file

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if call.when == "setup" and call.excinfo:
            self._write({"broken": f"{call.excinfo.typename}: {call.excinfo.value}"})
        elif call.when == "call":
            error, lab = call.excinfo and call.excinfo.value, item.labkit
            earned = lab.get("points", 0) if error is None else 0
            message = "" if error is None else item.message(error)
            self._write(
                asdict(Outcome(item.cell["id"], lab["role"], lab["exercise"], earned, error is None, call.duration, message))
            )
        return report

    def _write(self, line: dict) -> None:
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()
