"""nbgrader and otter-grader on the same exercises: what `labkit bench grade` races against.

Both judge in the student's kernel, with asserts, so a check that sends a value becomes one that compares it there. They get the
sheet that our own grader runs (`rebuild`), not the whole lab: the race is between graders, not between lengths of notebooks.
Install each in an environment of its own and put its command on the PATH, or name it in LABKIT_NBGRADER and LABKIT_OTTER.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from labkit.course.grading.records import Cell, Sheet

KERNEL = "labkit-bench"
ASSERT = """\
import json
from labkit.course.compare import difference, encode
_expected = json.loads({expected!r})
class check:
    @staticmethod
    def value(x):
        assert not difference(_expected.pop(0), encode(x), {rtol!r}, {atol!r})
{source}
assert not _expected
"""


def command(name: str) -> str | None:
    """Where a peer's program is, None where it is not installed."""
    return os.environ.get(f"LABKIT_{name.upper()}") or shutil.which(name)


def judged_inside(cell: Cell) -> str:
    """A check cell as code that compares in the student's own kernel."""
    return ASSERT.format(expected=json.dumps(cell.expected), rtol=cell.rtol, atol=cell.atol, source=cell.source)


def code(text: str, **metadata) -> dict:
    return {"cell_type": "code", "source": text, "metadata": metadata, "outputs": [], "execution_count": None}


def raw(text: str) -> dict:
    return {"cell_type": "raw", "source": text, "metadata": {}}


def notebook(cells: Sequence[dict]) -> str:
    kernel = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
    return json.dumps({"cells": list(cells), "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4})


def kernel_environment(folder: Path, extra_packages: str | None = None) -> dict[str, str]:
    """Variables under which a peer finds a kernel of *this* Python, so that both run the same code in the same place.

    otter looks for itself inside the kernel; `extra_packages` goes to the end of its path, behind everything of ours.
    """
    spec, shim = folder / "jupyter" / "kernels" / KERNEL, folder / "shim"
    spec.mkdir(parents=True)
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(f"import sys; sys.path.append({extra_packages!r})\n" if extra_packages else "")
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": KERNEL, "language": "python", "env": {"PYTHONPATH": str(shim), "OMP_NUM_THREADS": "1"}}
    (spec / "kernel.json").write_text(json.dumps(kernel))
    return {**os.environ, "JUPYTER_PATH": str(folder / "jupyter")}


def _run(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    """RuntimeError with the last thing that a peer said, when it fails."""
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).splitlines()[-3:])
        raise RuntimeError(f"{' '.join(words[1:])} ended with {done.returncode}: {said}")


def nbgrader(solution: Sheet, submissions: Sequence[Sheet], folder: Path) -> tuple[float, list[float]]:
    """Seconds for autograding all submissions in one command, and their scores."""
    program, environment = command("nbgrader"), kernel_environment(folder)
    environment["PATH"] = f"{Path(program).parent}{os.pathsep}{environment['PATH']}"  # it calls its own alembic

    def cells(sheet: Sheet) -> list[dict]:
        made = []
        for number, cell in enumerate(sheet.cells):
            about = {"schema_version": 3, "grade_id": f"cell-{number}", "task": False}
            if cell.kind == "answer":
                made.append(code(cell.source, nbgrader={**about, "grade": False, "solution": True, "locked": False}))
            elif cell.kind == "check":
                graded = {**about, "grade": True, "solution": False, "locked": True, "points": cell.points}
                made.append(code(judged_inside(cell), nbgrader=graded))
            else:
                made.append(code(cell.source))
        return made

    def write(path: Path, sheet: Sheet) -> None:
        path.parent.mkdir(parents=True)
        path.write_text(notebook(cells(sheet)))

    (folder / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'bench'\nc.Execute.timeout = 300\n"  # a busy machine is no reason to fail
    )
    write(folder / "source" / "lab" / "lab.ipynb", solution)
    _run([program, "generate_assignment", "lab"], folder, environment)
    for i, sheet in enumerate(submissions):
        write(folder / "submitted" / f"student-{i:03d}" / "lab" / "lab.ipynb", sheet)
    started = perf_counter()
    _run([program, "autograde", "lab"], folder, environment)
    seconds = perf_counter() - started
    _run([program, "export", "--to=grades.csv"], folder, environment)
    lines = (folder / "grades.csv").read_text().splitlines()
    score = lines[0].split(",").index("score")
    return seconds, [float(line.split(",")[score]) for line in sorted(lines[1:], key=lambda line: line.split(",")[3])]


def otter(solution: Sheet, submissions: Sequence[Sheet], folder: Path) -> tuple[float, list[float]]:
    """Seconds for ``otter run`` on one submission after the other, and their scores."""
    program = command("otter")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = Path(program).resolve().parents[1] / "lib" / version / "site-packages"
    environment = kernel_environment(folder, str(packages if packages.is_dir() else sysconfig.get_path("purelib")))
    (folder / "master.ipynb").write_text(notebook(_otter_master(solution)))

    _run([program, "assign", "master.ipynb", "dist"], folder, environment)
    tests = next((folder / "dist" / "autograder").glob("*.zip"))
    seconds, scores = 0.0, []
    for i, sheet in enumerate(submissions):
        (folder / f"{i}.ipynb").write_text(notebook([code(cell.source) for cell in sheet.cells if cell.kind != "check"]))
        (folder / f"out-{i}").mkdir()
        started = perf_counter()
        _run([program, "run", f"{i}.ipynb", "-a", str(tests), "-o", f"out-{i}"], folder, environment)
        seconds += perf_counter() - started
        results = json.loads((folder / f"out-{i}" / "results.json").read_text())["tests"]
        scores.append(sum(test.get("score", 0.0) for test in results))
    return seconds, scores


def _otter_master(solution: Sheet) -> list[dict]:
    """The sheet as ``otter assign`` wants it: a question for each exercise, with hidden tests."""
    cells = [raw("# ASSIGNMENT CONFIG\nrun_tests: false\ngenerate: true\ncheck_all_cell: false\nexport_cell: false\n")]
    checks: dict[str, list[Cell]] = {}
    for cell in solution.cells:
        if cell.kind == "check":
            checks.setdefault(cell.exercise, []).append(cell)
    for cell in solution.cells:
        if cell.kind == "answer" and cell.exercise in checks:
            tests = checks.pop(cell.exercise)
            points = sum(test.points for test in tests)
            cells.append(raw(f"# BEGIN QUESTION\nname: q{cell.exercise}\npoints: {points}"))
            cells += [raw("# BEGIN SOLUTION"), code(cell.source), raw("# END SOLUTION")]
            cells += [raw("# BEGIN TESTS"), *(code(f"# HIDDEN\n{judged_inside(test)}") for test in tests), raw("# END TESTS")]
            cells.append(raw("# END QUESTION"))
        elif cell.kind != "check":
            cells.append(code(cell.source))
    return cells
