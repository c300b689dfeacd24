"""`labkit build`: from the source of a lab to its two notebooks.

    solutions/NN_name.py  ──►  solutions/NN_name.ipynb   executed; outputs kept on check cells only (the expected values)
                          └──►  notebooks/NN_name.ipynb   what a student opens: no outputs, answers, checks or wrong answers

A rebuild writes the same bytes. `--check` executes nothing: it renders both notebooks again around the stored values and compares
the files, so a source that changed after the last build cannot pass.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from labkit import atomic
from labkit.course import source
from labkit.course.compare import MIME, bundle, payloads
from labkit.course.source import Cell, Lab, LabError
from labkit.naming import did_you_mean

CELL_TIMEOUT_S = 120  # a lab's cell takes at most 30 s on two cores; a busy machine gets four times that
SLOW_S = 30
ANSI = re.compile(r"\x1b\[[0-9;]*m")  # the colours of a traceback
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def build(lab: str | None = None, check: bool = False, root: str | Path | None = None) -> list[str]:
    """Builds one lab (``"01"`` or its full name) or all of them. Returns what `check` finds wrong, a sentence each; else nothing.

    With `check` nothing is executed or written. LabError where a source cannot be built; its notebooks are then left as they were.
    """
    root = Path(root) if root else find_root()
    names = _names(root, lab)
    if check:
        found = [sentence for name in names for sentence in problems(root, name)]
        return found + (_strays(root) if lab is None else [])
    for name in names:
        _build_one(root, name)
    return []


def problems(root: Path, name: str) -> list[str]:
    """What differs between a lab's source and its two notebooks, a sentence each. Empty when they are in step."""
    lab = source.read(root / "solutions" / f"{name}.py")
    found = []
    for folder in ("solutions", "notebooks"):
        path = root / folder / f"{name}.ipynb"
        if not path.exists():
            found.append(f"{folder}/{name}.ipynb is missing; run labkit build {name[:2]}")
            continue
        text = path.read_text(encoding="utf-8")
        if folder == "notebooks":
            wanted = render(lab, student=True)
        else:
            try:
                wanted = render(lab, stored(path))
            except LabError as error:
                found.append(str(error))
                continue
        if text != wanted:
            found.append(f"{folder}/{name}.ipynb {_first_difference(text, wanted)}; run labkit build {name[:2]}")
    return found


def stored(path: Path) -> dict[str, list[dict]]:
    """The values stored in an executed solution notebook: ``{check cell: [payload, …]}``. LabError where one is missing."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise LabError(f"{path.name} is not a notebook; run labkit build {path.name[:2]}") from None
    values = {}
    for cell in cells:
        if cell.get("metadata", {}).get("labkit", {}).get("role") != "check":
            continue
        # nbval compares nothing where execution_count is null: such a check could not fail
        values[cell["id"]] = payloads(cell.get("outputs", [])) if cell.get("execution_count") else []
        if not values[cell["id"]]:
            why = f"no value is stored, so the check cannot fail; run labkit build {path.name[:2]}"
            raise LabError(f"{path.name}, cell {cell['id']!r}: {why}")
    return values


def render(lab: Lab, values: dict[str, list[dict]] | None = None, *, student: bool = False) -> str:
    """The text of one of the two notebooks: the student's, or the solution around `values`."""
    hidden = ("wrong", "check") if student else ("wrong",)
    cells = [_node(cell, (values or {}).get(cell.name, []), student) for cell in lab.cells if cell.role not in hidden]
    about = {"lab": lab.name, "version": "student" if student else "solution"}
    if lab.hides and not student:
        about["hides"] = list(lab.hides)
    metadata = {**METADATA, "labkit": about}
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def execute(lab: Lab, folder: Path, progress: bool = True) -> dict[str, list[dict]]:
    """Runs the solved lab in a fresh kernel in `folder`, and returns what its check cells emit. LabError where a cell fails.

    Tests raise (``LABKIT_STRICT``), and the ledger of whoever builds stays untouched.
    """
    source.jupytext()  # imports nbformat the fast way before nbclient does
    import nbformat
    from nbclient import NotebookClient
    from tqdm import tqdm

    notebook = nbformat.reads(render(lab), as_version=4)
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    values = {}
    with tempfile.TemporaryDirectory() as scratch:
        env = {**os.environ, "LABKIT_STRICT": "1", "LABKIT_LEDGER": str(Path(scratch) / "ledger.json")}
        quiet = client.setup_kernel(env=env, stderr=subprocess.DEVNULL)  # the kernel's own log; a cell's stderr is an output
        with quiet, tqdm(total=len(notebook.cells), desc=lab.name, unit="cell", disable=not progress) as bar:
            for position, cell in enumerate(notebook.cells):
                start = time.perf_counter()
                _run(client, cell, position, where := f"{lab.name}.py, cell {cell.id!r}")
                seconds = time.perf_counter() - start
                if seconds > SLOW_S:
                    bar.write(f"{where} took {seconds:.0f} s; a cell should stay under {SLOW_S} s")
                if cell.metadata["labkit"]["role"] == "check":
                    values[cell.id] = _emitted(cell, where)
                bar.update()
    return values


def _run(client, cell, position: int, where: str) -> None:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    try:
        client.execute_cell(cell, position)
    except CellExecutionError as error:
        trace = "\n".join(next(output.traceback for output in cell.outputs if output.output_type == "error"))
        raise LabError(f"{where} raises {error.ename}: {error.evalue}\n{ANSI.sub('', trace)}") from None
    except CellTimeoutError:
        raise LabError(f"{where} takes longer than {CELL_TIMEOUT_S} s; make it lighter") from None
    except DeadKernelError:
        raise LabError(f"{where} ends its kernel; it may need too much memory") from None


def _emitted(cell, where: str) -> list[dict]:
    """The values a check cell shows; it may show nothing else, or a plain nbval would compare that too."""
    for output in cell.outputs:
        if MIME not in output.get("data", {}):
            what = output.get("text") or output.get("data", {}).get("text/plain", "")
            raise LabError(f"{where}: a check shows nothing but check.value(…), and this one shows {str(what)[:80]!r}")
    values = payloads(cell.outputs)
    if not values:
        raise LabError(f"{where}: a check cell must send a value with check.value(…)")
    return json.loads(json.dumps(values))  # plain dicts, as they come back from the file


def find_root(start: Path | None = None) -> Path:
    """The folder that holds ``solutions/`` and ``notebooks/``: here or above, or the one this package lies in."""
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "solutions").is_dir() and (folder / "notebooks").is_dir():
            return folder
    raise LabError(f"no solutions/ and notebooks/ in {here} or above; run this inside the course's folder")


def _names(root: Path, lab: str | None) -> list[str]:
    known = sorted(path.stem for path in (root / "solutions").glob("[0-9][0-9]_*.py"))
    if lab is None:
        return known
    chosen = [name for name in known if lab in (name, name[:2]) or lab.zfill(2) == name[:2]]
    if not chosen:
        raise LabError(f"there is no lab {lab!r}; {did_you_mean(lab, known)}")
    return chosen


def _build_one(root: Path, name: str) -> None:
    lab = source.read(root / "solutions" / f"{name}.py")
    solution, student = root / "solutions" / f"{name}.ipynb", root / "notebooks" / f"{name}.ipynb"
    text = render(lab, execute(lab, root / "solutions"))
    _keep_work(student)
    atomic.write(solution, text)
    atomic.write(student, render(lab, student=True))


def _node(cell: Cell, values: list[dict], student: bool) -> dict:
    """A cell as nbformat 4.5 writes it."""
    locked = {"editable": False, "deletable": False} if student and cell.role != "answer" else {}
    text = source.stub(cell) if student and cell.role == "answer" else cell.source
    metadata = {"labkit": cell.metadata, **locked}
    node = {"cell_type": cell.kind, "id": cell.name, "metadata": metadata, "source": text.splitlines(keepends=True)}
    if cell.kind == "markdown":
        return node
    # nbval runs every cell, and compares the outputs of check cells only
    node["metadata"]["tags"] = ["nbval-check-output" if cell.role == "check" else "nbval-ignore-output"]
    node["execution_count"] = 1 if values else None
    node["outputs"] = [_output(payload) for payload in values]
    return node


def _output(payload: dict) -> dict:
    return {"output_type": "display_data", "data": bundle(payload), "metadata": {}}


def _first_difference(text: str, wanted: str) -> str:
    """Where a notebook leaves the source: the end of a sentence that starts with the file."""
    try:
        have, want = (json.loads(t)["cells"] for t in (text, wanted))
    except (json.JSONDecodeError, KeyError, TypeError):
        return "is not a notebook"
    ids, wanted_ids = [cell.get("id") for cell in have], [cell["id"] for cell in want]
    for cell in have:
        if cell.get("outputs") and cell["outputs"] != next((w.get("outputs") for w in want if w["id"] == cell.get("id")), None):
            return f"has an output in cell {cell.get('id')!r} that does not belong there"
    if ids != wanted_ids:
        odd = next((i for i in wanted_ids if i not in ids), None) or next((i for i in ids if i not in wanted_ids), None)
        return f"has not the cells of the source (see {odd!r})" if odd else "has the cells of the source in another order"
    for cell, other in zip(have, want, strict=True):
        for key in sorted(cell.keys() | other.keys()):
            if cell.get(key) != other.get(key):
                return f"differs from the source in cell {cell['id']!r} ({key})"
    return "differs from what a build writes (metadata or layout)"


def _strays(root: Path) -> list[str]:
    known = set(_names(root, None))
    return [
        f"{folder}/{path.name} has no source solutions/{path.stem}.py; delete it or add the source"
        for folder in ("solutions", "notebooks")
        for path in sorted((root / folder).glob("*.ipynb"))
        if path.stem not in known and ".mine" not in path.name
    ]


def _keep_work(path: Path) -> None:
    """A student notebook that was run holds somebody's work: keep it beside the new one."""
    if not path.exists() or '"output_type"' not in path.read_text(encoding="utf-8"):
        return
    number = len(list(path.parent.glob(f"{path.stem}.mine*.ipynb")))
    kept = path.with_name(f"{path.stem}.mine{number or ''}.ipynb")
    shutil.copy2(path, kept)
    print(f"{path.name} has been worked in; that version is kept as {kept.name}")
