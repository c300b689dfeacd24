"""How nbval runs a lab: one kernel per notebook, values compared outside of it, with the tolerance the cell names.

Three things differ from plain nbval. A check cell is judged by `compare.verdict`, and fails when no value is stored (nbval would
compare nothing) or none is sent. A dead kernel is noticed at once instead of after the whole time limit. The limit is two minutes
a cell instead of half an hour.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

from labkit.course.build import CELL_TIMEOUT_S
from labkit.course.compare import payloads, verdict

NBVAL_TIMEOUT_S = 2000  # nbval's own default: nobody chose it
POLL_S = 0.25


class LabKernel(RunningKernel):
    """A kernel whose death ends the wait for its answer."""

    def await_reply(self, msg_id, timeout=None):
        end = time.monotonic() + (timeout or CELL_TIMEOUT_S)
        while True:
            try:
                return super().await_reply(msg_id, timeout=POLL_S)
            except Empty:
                if not self.is_alive():
                    pytest.fail("the kernel died while it ran this cell (a crash, os._exit, or too little memory)", pytrace=False)
                if time.monotonic() >= end:
                    raise


class LabFile(IPyNbFile):
    """A notebook that `labkit build` wrote."""

    def setup(self):
        option = self.config.option
        if option.nbval_cell_timeout == NBVAL_TIMEOUT_S:
            option.nbval_cell_timeout = CELL_TIMEOUT_S
        self.scratch = tempfile.TemporaryDirectory()
        # in a solution a failing test is a failure; a student notebook must run through with its stubs
        strict = self.nb.metadata["labkit"].get("version") == "solution"
        with _environment(LABKIT_STRICT="1" if strict else "0", LABKIT_LEDGER=str(Path(self.scratch.name) / "ledger.json")):
            super().setup()
        self.kernel.__class__ = LabKernel

    def teardown(self):
        super().teardown()
        self.scratch.cleanup()

    def collect(self):
        for item in super().collect():
            name = f"{item.cell_num}:{item.cell.get('id', '')}"
            yield LabCell.from_parent(self, name=name, cell_num=item.cell_num, cell=item.cell, options=item.options)


class LabCell(IPyNbCell):
    """A cell of a lab; `labkit` is its role, exercise, points and tolerances."""

    @property
    def labkit(self) -> dict:
        return self.cell.metadata.get("labkit", {})

    @property
    def is_check(self) -> bool:
        return self.labkit.get("role") == "check"

    def runtest(self):
        if self.is_check:
            if self.cell.execution_count is None or not payloads(self.cell.outputs):
                pytest.fail(f"check cell {self.cell['id']!r} has no stored value to compare with; run labkit build", pytrace=False)
            self.options.update(check=True, skip=False)
        super().runtest()

    def compare_outputs(self, test, ref, skip_compare=None):
        if not self.is_check:
            return super().compare_outputs(test, ref, skip_compare)
        why = verdict(payloads(ref), payloads(test), self.labkit.get("rtol"), self.labkit.get("atol"))
        self.comparison_traceback = [f"{self.cell['id']}: {why}"]
        return not why


@contextmanager
def _environment(**values: str):
    """Sets variables for the kernel that is started inside the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
