"""`pytest --nbval`: with the plug-in a lab is judged by its values; without it nothing breaks."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from queue import Empty

import pytest

from labkit.course.compare import MIME
from labkit.course.nbval_lab import NBVAL_TIMEOUT_S, LabKernel

from .conftest import NAME

REPO = Path(__file__).resolve().parents[2]


def nbval(folder, *plugins):
    """Outcome of each cell, ``{(notebook, cell): outcome}``, and the whole text."""
    code = "import sys; sys.modules['rfc3987_syntax'] = None; import pytest; pytest.main(sys.argv[1:])"  # saves its 3 s import
    command = [sys.executable, "-c", code, *(f"-p{plugin}" for plugin in ("nbval.plugin", *plugins, "no:cacheprovider"))]
    command += ["--nbval", "--doctest-modules", "-rA", "--tb=short", "--color=no"]
    command += ["-c", os.devnull, f"--rootdir={folder}", str(folder)]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    text = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False).stdout
    line = r"^(PASSED|FAILED|ERROR|XFAIL|XPASS) \S*?(\w+)\.ipynb::(?:\d+:)?([\w -]+?)(?: - .*)?$"
    found = re.findall(line, text, flags=re.MULTILINE)
    return {(notebook, cell): outcome for outcome, notebook, cell in found}, text


def cells_of(built, version="solutions"):
    content = json.loads((built / version / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    return content, {cell["id"]: cell for cell in content["cells"]}


def light(cells):
    """Without matplotlib and widgets a kernel starts faster."""
    for name in ("predict", "ex2-test", "plot", "plot-again", "reveal"):
        cells[name]["source"] = ""
    cells["setup"]["source"] = "import numpy as np\nfrom labkit.course import check"


def dirty_checks(built):
    """The solution with five more check cells, each off in its own way."""
    content, cells = cells_of(built)
    light(cells)
    for name in ("almost", "shifted", "unrun", "silent", "skipping"):
        cells[name] = {**copy.deepcopy(cells["ex1-check"]), "id": name}
        content["cells"].append(cells[name])
    for name, off in {"almost": 5e-4, "shifted": 5e-3}.items():  # the cell allows 1e-3
        cells[name]["outputs"][0]["data"][MIME]["values"][1][1] *= 1 + off
    cells["unrun"] |= {"outputs": [], "execution_count": None}
    cells["silent"]["source"] = "x = 1"
    cells["skipping"]["source"] = "# NBVAL_SKIP\nx = 1"
    cells["skipping"]["metadata"]["tags"] = []
    return content


def wrong_answer(built):
    content, cells = cells_of(built)
    light(cells)
    cells["ex1-answer"]["source"] = "def frame(x, window, hop):\n    return np.zeros((9, 9, 9))"
    cells["ex2-check"]["source"] = "import os\nos._exit(1)"
    return content


@pytest.fixture(scope="module")
def judged(built, tmp_path_factory):
    """One run of pytest over variants of the toy lab."""
    folder = tmp_path_factory.mktemp("judged") / "solutions"
    folder.mkdir()
    (folder / "98_source.py").write_text("raise RuntimeError('a source was imported')", encoding="utf-8")
    variants = {
        "solved": cells_of(built)[0],
        "blank": cells_of(built, "notebooks")[0],
        "dirty": dirty_checks(built),
        "wrong": wrong_answer(built),
    }
    for name, content in variants.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(content), encoding="utf-8")
    return nbval(folder, "labkit.course.plugin")


def outcomes(judged, notebook):
    return {cell: outcome for (name, cell), outcome in judged[0].items() if name == notebook}


def test_the_solution_passes_and_its_cells_go_by_name(judged):
    assert outcomes(judged, "solved").keys() >= {"setup", "ex1-answer", "ex1-check", "ex1-check-count", "ex2-check", "reveal"}
    assert set(outcomes(judged, "solved").values()) == {"PASSED"}


def test_a_blank_student_notebook_runs_through(judged):
    assert set(outcomes(judged, "blank").values()) == {"PASSED"} and len(outcomes(judged, "blank")) == 9


def test_tolerance_of_the_cell_holds(judged):
    assert outcomes(judged, "dirty")["almost"] == "PASSED"
    assert outcomes(judged, "dirty")["shifted"] == "FAILED"
    assert "shifted: 1 of 30 numbers differ, the first at [1, 1]" in judged[1]


@pytest.mark.parametrize("name", ["unrun", "silent", "skipping"])
def test_a_check_that_compares_nothing_fails(judged, name):
    assert outcomes(judged, "dirty")[name] == "FAILED"
    assert outcomes(judged, "dirty")["ex2-check"] == "PASSED"


def test_a_wrong_answer_fails_its_test_and_its_checks(judged):
    found = outcomes(judged, "wrong")
    assert [found[cell] for cell in ("ex1-answer", "ex1-test", "ex1-check", "ex1-check-count")] == ["PASSED"] + ["FAILED"] * 3


def test_a_dead_kernel_is_noticed_at_once(judged):
    assert outcomes(judged, "wrong")["ex2-check"] == "FAILED"
    assert "the kernel died while it ran this cell" in judged[1]  # and the run ended: nbval alone would wait 2000 s


def test_a_cell_without_end_runs_into_the_limit(monkeypatch, pytestconfig):
    class Silent(LabKernel):
        def __init__(self):
            """No kernel: one that never answers."""

        def get_message(self, stream, timeout=None):
            raise Empty

        def is_alive(self):
            return True

    monkeypatch.setattr("labkit.course.nbval_lab.POLL_S", 0.01)
    with pytest.raises(Empty):
        Silent().await_reply("id", timeout=0.05)
    assert pytestconfig.getoption("nbval_cell_timeout") == NBVAL_TIMEOUT_S  # the default that LabFile knows to replace


def test_plain_nbval_passes_the_solution_too(built, tmp_path):
    shutil.copy(built / "solutions" / f"{NAME}.ipynb", tmp_path)
    found, text = nbval(tmp_path)
    assert len(found) == 12 and set(found.values()) == {"PASSED"}, text


def test_pytest_finds_the_plugin_by_itself():
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"]["labkit"] == "labkit.course.plugin"


def test_the_plugin_costs_nothing_without_labs():
    code = "import sys, labkit.course.plugin; print({m.split('.')[0] for m in sys.modules} & {'nbval', 'numpy', 'torch'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
