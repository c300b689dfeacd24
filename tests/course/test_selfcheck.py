"""`labkit check`: a fresh run of a notebook says what its own cells say."""

import contextlib
import io
import json

import pytest

from labkit.course import check, selfcheck

from .conftest import NAME

FRAME = "def frame(x, window, hop):\n    return np.stack([x[i : i + window] for i in range(0, len(x) - window + 1, hop)])"


@pytest.fixture
def notebook(course, monkeypatch):
    """The toy lab: exercise 1 solved, exercise 2 not, and a cell of the student's own that fails."""
    monkeypatch.delenv("CI", raising=False)
    path = course / "notebooks" / f"{NAME}.ipynb"
    data = json.loads(path.read_text(encoding="utf-8"))
    for cell in data["cells"]:
        if cell["id"] == "ex1-answer":
            cell["source"] = FRAME
    own = {"cell_type": "code", "id": "mine", "metadata": {}, "source": "1 / 0", "outputs": [], "execution_count": None}
    data["cells"].append(own)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def in_one_process(path) -> list[dict]:
    """What `check()` would print at the end of the notebook, cells run by hand."""
    check.forget()
    namespace = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code" and cell["metadata"].get("labkit", {}).get("role") != "given":
                with contextlib.suppress(ZeroDivisionError):
                    exec(
                        "import numpy as np\nfrom labkit.course import check\nx = np.arange(6.0)\n" + "".join(cell["source"]),
                        namespace,
                    )
    rows = check.rows()
    check.forget()
    return rows


def test_the_table_is_that_of_check_and_counts_only_where_asked(notebook, monkeypatch, capsys):
    before = notebook.read_bytes()
    monkeypatch.chdir(notebook.parents[1])
    assert selfcheck.run("99") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{NAME}.ipynb, its visible tests:",
        "exercise  tests passed  what to do",
        "1         1 of 1        nothing, done",
        "2         0 of 1        on paper: there is no code of yours yet",
        "Exercise 2 is not done yet.",
        "Cell 11 (mine) stopped with ZeroDivisionError: division by zero",
    ]
    assert notebook.read_bytes() == before
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(selfcheck, "execute", lambda *_: selfcheck.Findings(in_one_process(notebook), []))
    assert selfcheck.run("99") == 1
    assert "2         0 of 1        on paper: there is no code of yours yet" in capsys.readouterr().out


def test_a_cell_without_end_is_stopped_and_a_dead_kernel_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(selfcheck, "CELL_TIMEOUT_S", 2)
    about = {"labkit": {"role": "test", "exercise": "1"}}
    sources = ["while True: pass", "import os; os._exit(1)", "print('never')"]
    cells = [{"cell_type": "code", "id": f"c{i}", "metadata": about, "source": source} for i, source in enumerate(sources)]
    findings = selfcheck.execute(cells, tmp_path)
    assert findings.errors[0] == "Cell 1 (c0) took longer than 2 s and was stopped."
    assert findings.errors[1].startswith("Cell 2 (c1) ended the kernel") and len(findings.errors) == 2
    (row,) = findings.rows
    assert (row["exercise"], row["passed"], row["tests"]) == ("1", 0, 0) and "none of its tests ran" in row["todo"]


def test_the_notebook_is_found_here_and_above(course, tmp_path):
    path = course / "notebooks" / f"{NAME}.ipynb"
    for start in (course, course / "notebooks"):
        assert selfcheck.find("99", start=start) == path
    assert selfcheck.find(NAME, start=course) == path
    with pytest.raises(ValueError, match="known: 99_toy"):
        selfcheck.find("04", start=course)
    with pytest.raises(ValueError, match="no notebooks here or above"):
        selfcheck.find("04", start=tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="there is no file"):
        selfcheck.find("04", tmp_path / "none.ipynb")


def test_a_file_that_cannot_be_run_gets_a_sentence(notebook, tmp_path):
    with pytest.raises(ValueError, match="is lab 99_toy, not 04; say labkit check 99"):
        selfcheck.read(notebook, "04")
    broken = tmp_path / "broken.ipynb"
    broken.write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken.ipynb: the notebook breaks off"):
        selfcheck.read(broken, "04")
