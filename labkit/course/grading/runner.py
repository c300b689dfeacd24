"""Runs a sheet and tells what came of each cell.

    outcomes = run(sheet, Limits(), hides=("labkit.data.features.frame",), workdir="graded/work")

Three processes take part. This one keeps a zygote warm, and forks a child in which pytest and nbval run the sheet; the kernel is
forked by the zygote, in the sandbox. The child reports through a pipe, and what it has reported stays true if it breaks.
"""

from __future__ import annotations

import ast
import atexit
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.course import source

source.jupytext()  # imports nbformat the fast way before nbval does

import nbval.plugin  # noqa: E402, F401  once here, not in every child
import pytest  # noqa: E402

from labkit.course.build import METADATA, _output  # noqa: E402
from labkit.course.grading import sandbox  # noqa: E402
from labkit.course.grading.forbidden import copy_without  # noqa: E402
from labkit.course.grading.nbval_sheet import Plugin  # noqa: E402
from labkit.course.grading.records import Limits, Outcome, Sheet  # noqa: E402
from labkit.course.grading.warm import GraderError, Warm  # noqa: E402

SPARE_S = 60  # over the notebook's own budget: starting kernels, comparing values
BROKEN = "not run, because the grader broke twice while it ran this notebook"
PYTEST = [
    "-p", "nbval.plugin", "-c", os.devnull, "--noconftest", "-s", "-q", "--tb=no", "--color=no",
    *(f"-pno:{name}" for name in ("cacheprovider", "doctest", "logging", "warnings", "junitxml", "faulthandler")),
    *(f"-pno:{name}" for name in ("unraisableexception", "threadexception")),
]  # fmt: skip
_warm: dict[tuple, Warm] = {}  # at most one: a class is graded lab by lab


def run(sheet: Sheet, limits: Limits, *, hides: Sequence[str] = (), workdir: str | Path, kind: str | None = None) -> list[Outcome]:
    """What came of each cell of `sheet`, in order; points are the earned ones.

    `hides` are dotted names of labkit that the kernel must not have. `workdir` keeps the copies of labkit without them. `kind` is
    "bubblewrap" or "none"; by default what `sandbox.available` says. Raises GraderError when the grader fails, never because of
    what a submission does.
    """
    kind = kind or sandbox.available()
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    lines: list[dict] = []
    for _ in range(2):  # a child that breaks gets a second chance
        try:
            lines = _in_child(sheet, limits, lambda fresh=False: warm(sheet, kind, hides, workdir, fresh))
        finally:
            _tidy()
        if len(lines) == len(sheet.cells):
            break
    return _outcomes(sheet, lines)


def warm(sheet: Sheet, kind: str, hides: Sequence[str], workdir: Path, fresh: bool = False) -> Warm:
    """The zygote of this process for a lab; started when there is none, or it has ended, or it shall be `fresh`."""
    key = (os.path.abspath(workdir), kind, tuple(sorted(hides)), sheet.lab)
    for other in [other for other in _warm if other != key or fresh or _warm[other].fate(0)]:
        _warm.pop(other).close()
    if key not in _warm:
        _warm[key] = Warm(kind, copy_without(hides, workdir), workdir / f"zygote-{os.getpid()}.log", _imports(sheet))
    return _warm[key]


def _imports(sheet: Sheet) -> str:
    """The import lines of the lab's own cells."""
    trees = [ast.parse(cell.source) for cell in sheet.cells if cell.kind == "given"]
    return "\n".join(
        ast.unparse(node) for tree in trees for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
    )


@atexit.register
def close() -> None:
    """Ends the zygote of this process."""
    while _warm:
        _warm.popitem()[1].close()


def _tidy() -> None:
    """Nothing of a submission outlives it, even if the child that ran it broke."""
    for key, zygote in list(_warm.items()):
        try:
            zygote.clear()
        except GraderError:
            del _warm[key]


def _in_child(sheet: Sheet, limits: Limits, source_of_warm) -> list[dict]:
    source_of_warm()  # before the fork: the next submission shall have it too
    read, write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="labsheet") as folder:
        notebook = Path(folder) / "sheet.ipynb"
        notebook.write_text(json.dumps(_notebook(sheet)), encoding="utf-8")
        child = os.fork()
        if child == 0:
            _be_child(notebook, limits, source_of_warm, write)
        os.close(write)
        lines = _listen(read, child, limits.notebook_s + SPARE_S)
    broken = next((line["broken"] for line in lines if "broken" in line), None)
    if broken:
        raise GraderError(f"the lab {sheet.lab} could not be run: {broken}")
    return lines


def _be_child(notebook: Path, limits: Limits, source_of_warm, write: int) -> None:
    """Runs pytest and ends. Whatever it prints is of no interest."""
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        sys.stdout = sys.stderr = open(1, "w", closefd=False)  # noqa: SIM115  theirs may be a notebook's
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os.environ.pop("PYTEST_ADDOPTS", None)
        os.chdir(notebook.parent)
        with open(write, "w", encoding="utf-8") as out:
            arguments = [*PYTEST, "--rootdir", str(notebook.parent), f"--nbval-cell-timeout={limits.cell_s}", str(notebook)]
            code = pytest.main(arguments, plugins=[Plugin(source_of_warm, limits, out)])
    finally:
        os._exit(int(code))


def _listen(read: int, child: int, seconds: float) -> list[dict]:
    """The lines a child writes until it ends; it is ended after `seconds`."""
    end, text = time.monotonic() + seconds, b""
    while (left := end - time.monotonic()) > 0:
        if select.select([read], [], [], left)[0]:
            part = os.read(read, 65536)
            if not part:
                break
            text += part
    os.close(read)
    if left <= 0:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return [json.loads(line) for line in text.split(b"\n")[:-1]]


def _outcomes(sheet: Sheet, lines: list[dict]) -> list[Outcome]:
    """An outcome for each cell. Those after a twofold end of the child count as failed: its only unusual input was this sheet."""
    missing = [Outcome(cell.id, cell.kind, cell.exercise, 0, False, 0.0, BROKEN) for cell in sheet.cells[len(lines) :]]
    return [Outcome(**line) for line in lines] + missing


def _notebook(sheet: Sheet) -> dict:
    """The sheet as a notebook for nbval; the expected values lie where it compares, in the outputs."""
    cells = []
    for cell in sheet.cells:
        about = {"role": cell.kind, "exercise": cell.exercise, "points": cell.points, "rtol": cell.rtol, "atol": cell.atol}
        cells.append({
            "cell_type": "code", "id": cell.id, "metadata": {"labkit": about}, "source": cell.source,
            "execution_count": 1 if cell.expected else None, "outputs": [_output(payload) for payload in cell.expected],
        })  # fmt: skip
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
