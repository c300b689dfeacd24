"""`labkit check NN`: runs a student's notebook from top to bottom and prints how its visible tests came out.

The same tests and the same table as `check()` in a cell of the notebook, but from a fresh kernel: what passes here does not lean on
cells that ran in another order, or were deleted since. Nothing is written, neither into the notebook nor into the ledger.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from labkit.course import progress, source
from labkit.course.build import CELL_TIMEOUT_S
from labkit.course.grading.submission import Unreadable, load
from labkit.naming import did_you_mean

ROWS = "application/json"
ASK = f"from labkit.course import check\ncheck.publish({{{ROWS!r}: check.rows()}})"
MOST = 5  # errors that are shown; the first one is usually why the others happen


@dataclass(frozen=True)
class Findings:
    """`rows` of the table, and the cells that stopped with an error, a sentence each."""

    rows: list[dict]
    errors: list[str]


def run(lab: str, file: str | Path | None = None) -> int:
    """Prints the table. Returns 1 where a test failed and that counts (under CI=true or LABKIT_STRICT=1), else 0.

    ValueError in one sentence where there is no such notebook.
    """
    path = find(lab, Path(file) if file else None)
    findings = execute(read(path, lab), path.resolve().parent)
    print(f"{path.name}, its visible tests:")
    print(progress.table(findings.rows))
    for error in findings.errors[:MOST]:
        print(error)
    if len(findings.errors) > MOST:
        print(f"… and {len(findings.errors) - MOST} more cells that stopped.")
    return 1 if progress.judged() and progress.failed(findings.rows) else 0


def find(lab: str, file: Path | None = None, start: Path | None = None) -> Path:
    """The notebook of a lab (``"04"``, or its full name): `file`, or the one in this folder, or in notebooks/ here or above."""
    if file is not None:
        if not file.is_file():
            raise ValueError(f"there is no file {file}; labkit check {lab} PATH/TO/NOTEBOOK.ipynb")
        return file
    here = (start or Path.cwd()).resolve()
    seen: list[str] = []
    for folder in (here, *(above / "notebooks" for above in (here, *here.parents))):
        names = sorted(path for path in folder.glob("[0-9][0-9]_*.ipynb") if ".mine" not in path.name)
        for path in names:
            if lab in (path.stem, path.stem[:2]) or lab.zfill(2) == path.stem[:2]:
                return path
        seen += [path.stem for path in names]
    if seen:
        raise ValueError(f"there is no notebook of lab {lab!r}; {did_you_mean(lab, seen)}")
    raise ValueError(f"no notebooks here or above; go to the course's folder, or say labkit check {lab} PATH/TO/NOTEBOOK.ipynb")


def read(path: Path, lab: str) -> list[dict]:
    """The cells of the notebook in `path`. ValueError where it is no notebook, or one of another lab."""
    try:
        notebook = load(path)
    except Unreadable as why:
        raise ValueError(f"{path.name}: {why}") from None
    about = notebook["metadata"].get("labkit")
    name = str(about.get("lab", "")) if isinstance(about, dict) else ""
    if name and lab not in (name, name[:2]) and lab.zfill(2) != name[:2]:
        raise ValueError(f"{path.name} is lab {name}, not {lab}; say labkit check {name[:2]} {path}")
    return notebook["cells"]


def execute(cells: list[dict], folder: Path) -> Findings:
    """Runs all code cells in a fresh kernel in `folder`; an error stops its own cell only."""
    source.jupytext()  # imports nbformat the fast way before nbclient does
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError
    from tqdm import tqdm

    code = [
        (f"Cell {number} ({cell['id']})", cell["source"]) for number, cell in enumerate(cells, 1) if cell["cell_type"] == "code"
    ]
    code.append(("", ASK))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for _, text in code])
    where = {"metadata": {"path": str(folder)}}
    limit = {"timeout": CELL_TIMEOUT_S, "interrupt_on_timeout": True}
    client = NotebookClient(notebook, kernel_name="python3", allow_errors=True, resources=where, **limit)
    client.log.setLevel("CRITICAL")  # what it has to say about time limits stands in `errors`
    errors = []
    with tempfile.TemporaryDirectory() as scratch:
        env = {**os.environ, "LABKIT_STRICT": "0", "LABKIT_LEDGER": str(Path(scratch) / "ledger.json")}
        quiet = client.setup_kernel(env=env, stderr=subprocess.DEVNULL)
        with quiet, tqdm(total=len(code), unit="cell", leave=False, disable=not sys.stderr.isatty()) as bar:
            for position, (name, _) in enumerate(code):
                try:
                    client.execute_cell(notebook.cells[position], position)
                except DeadKernelError:
                    errors.append(f"{name} ended the kernel (exit, a crash, or too little memory); nothing after it ran.")
                    break
                errors += [
                    f"{name} {_sentence(output)}" for output in notebook.cells[position].outputs if output.output_type == "error"
                ]
                bar.update()
    answers = (output.data[ROWS] for output in notebook.cells[-1].outputs if ROWS in output.get("data", {}))
    return Findings(_with_missing(cells, next(answers, [])), errors)


def _with_missing(cells: list[dict], rows: list[dict]) -> list[dict]:
    """The rows in the order of the notebook, and one for each exercise none of whose tests ran."""
    abouts = [about for cell in cells if isinstance(about := cell["metadata"].get("labkit"), dict)]
    wanted = [str(about["exercise"]) for about in abouts if about.get("role") in ("answer", "test") and "exercise" in about]
    ran = {row["exercise"]: row for row in rows}
    none = {"passed": 0, "tests": 0, "todo": "none of its tests ran: look at the errors below, or bring back the test cell"}
    return [ran.get(exercise, {"exercise": exercise, **none}) for exercise in dict.fromkeys((*wanted, *ran))]


def _sentence(error) -> str:
    if error.ename == "KeyboardInterrupt":
        return f"took longer than {CELL_TIMEOUT_S} s and was stopped."
    return f"stopped with {error.ename}: {' '.join(error.evalue.split())[:200]}"
