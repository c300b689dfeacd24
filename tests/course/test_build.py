"""Two notebooks from one source; and whatever is not as a build leaves it is found without running anything."""

import json
import re
import time

import nbformat
import pytest

from labkit.course import build as builder
from labkit.course import source
from labkit.course.build import build, find_root, stored
from labkit.course.source import LabError

from .conftest import NAME, TOY


def notebook(root, folder):
    return json.loads((root / folder / f"{NAME}.ipynb").read_text(encoding="utf-8"))


def edit(root, folder, change):
    """Changes a notebook's JSON in place, in the layout it had."""
    content = notebook(root, folder)
    change({cell["id"]: cell for cell in content["cells"]}, content)
    path = root / folder / f"{NAME}.ipynb"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def test_solution_keeps_outputs_on_check_cells_only(built):
    content = notebook(built, "solutions")
    nbformat.validate(nbformat.from_dict(content))
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            continue
        is_check = cell["metadata"]["labkit"]["role"] == "check"
        assert bool(cell["outputs"]) == is_check
        assert cell["execution_count"] == (1 if is_check else None)
        assert cell["metadata"]["tags"] == ["nbval-check-output" if is_check else "nbval-ignore-output"]
    assert content["metadata"]["kernelspec"]["name"] == "python3"


def test_solution_stores_the_values_in_full(built):
    values = stored(built / "solutions" / f"{NAME}.ipynb")
    assert values["ex1-check-count"] == [{"dtype": "int64", "shape": [], "values": 98}]
    energies = values["ex2-check"][0]["values"]
    assert energies["energies"]["values"] == [14.0, 126.0] and energies["unit"]["values"] == "1"


def test_student_notebook_has_no_answer_check_or_output(built):
    content = notebook(built, "notebooks")
    nbformat.validate(nbformat.from_dict(content))
    ids = [cell["id"] for cell in content["cells"]]
    lab = source.parse(TOY, NAME)
    assert ids == [cell.name for cell in lab.cells if cell.role not in ("check", "wrong")]
    text = (built / "notebooks" / f"{NAME}.ipynb").read_text(encoding="utf-8")
    for secret in ("SOLUTION", "np.stack", "check.value", "# why", "output_type"):
        assert secret not in text
    for cell in content["cells"]:
        locked = cell["metadata"]["labkit"]["role"] != "answer"
        assert (cell["metadata"].get("editable") is False and cell["metadata"].get("deletable") is False) == locked
        assert cell.get("execution_count") is None and not cell.get("outputs")


def test_a_rebuild_writes_the_same_bytes_and_nothing_else(course, tmp_path):
    before = {path: path.read_bytes() for path in course.glob("*/*.ipynb")}
    assert len(before) == 2
    assert build("99", root=course) == []
    assert {path: path.read_bytes() for path in course.glob("*/*.ipynb")} == before
    assert {path.suffix for path in course.glob("*/*")} == {".py", ".ipynb"}
    assert not (tmp_path / "ledger.json").exists()  # where this process would keep its ledger


def test_check_passes_after_a_build_and_is_quick(built):
    start = time.perf_counter()
    assert build(check=True, root=built) == []
    assert time.perf_counter() - start < 2


def nulled(cells, _):
    cells["ex1-check"]["execution_count"] = None


def emptied(cells, _):
    cells["ex1-check"]["outputs"] = []


def printing(cells, _):
    cells["setup"]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hello"}]


def rewritten(cells, _):
    cells["ex1-test"]["source"] = ["pass"]


def untagged(cells, _):
    cells["ex1-check"]["metadata"]["tags"] = []


def dropped(cells, content):
    content["cells"].remove(cells["plot"])


def added(cells, content):
    content["cells"].append({**cells["plot"], "id": "more"})


def swapped(cells, content):
    content["cells"].reverse()


def renamed_kernel(_, content):
    content["metadata"]["kernelspec"]["name"] = "my-env"


@pytest.mark.parametrize(
    "folder, change, says",
    [
        ("solutions", nulled, "'ex1-check': no value is stored"),
        ("solutions", emptied, "'ex1-check': no value is stored"),
        ("solutions", printing, "output in cell 'setup'"),
        ("solutions", rewritten, r"cell 'ex1-test' \(source\)"),
        ("solutions", untagged, r"cell 'ex1-check' \(metadata\)"),
        ("solutions", dropped, "see 'plot'"),
        ("solutions", renamed_kernel, "metadata or layout"),
        ("notebooks", printing, "output in cell 'setup'"),
        ("notebooks", rewritten, r"cell 'ex1-test' \(source\)"),
        ("notebooks", dropped, "see 'plot'"),
        ("notebooks", added, "see 'more'"),
        ("notebooks", swapped, "another order"),
    ],
)
def test_check_finds_a_dirty_notebook(course, folder, change, says):
    edit(course, folder, change)
    (sentence,) = build(check=True, root=course)
    assert sentence.startswith((f"{folder}/{NAME}.ipynb", f"{NAME}.ipynb"))
    assert re.search(says, sentence)


def test_check_finds_a_source_that_moved_on(course):
    path = course / "solutions" / f"{NAME}.py"
    path.write_text(TOY.replace("np.linspace(0, 1, 20)", "np.linspace(0, 2, 20)"), encoding="utf-8")
    (sentence,) = build(check=True, root=course)
    assert "differs from the source in cell 'ex1-check'" in sentence  # the student notebook has no check cells


def test_check_finds_missing_and_extra_notebooks(course):
    (course / "notebooks" / f"{NAME}.ipynb").rename(course / "notebooks" / "98_old.ipynb")
    found = build(check=True, root=course)
    assert [sentence.split(" ")[0] for sentence in found] == [f"notebooks/{NAME}.ipynb", "notebooks/98_old.ipynb"]


def test_check_survives_files_that_are_no_notebooks(course):
    for folder in ("solutions", "notebooks"):
        (course / folder / f"{NAME}.ipynb").write_text("[]", encoding="utf-8")
    assert ["is not a notebook" in sentence for sentence in build(check=True, root=course)] == [True, True]


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("n = 1 + (len(x)", "n = (len(x)", "cell 'ex1-test' raises AssertionError: exercise 1: not yet"),  # tests are strict here
        ("check.value(len(", "print(len(", "a check shows nothing but check.value"),
        ("check.value(len(frame(np.zeros(1000), 25, 10)))", "None", "must send a value"),
        (TOY, '# %% cell="odd"\n1 / 0\n', "cell 'odd' raises ZeroDivisionError"),
        (TOY, '# %% cell="odd"\nimport os\nos._exit(1)\n', "cell 'odd' ends its kernel"),
    ],
)
def test_a_lab_that_fails_is_not_written(course, old, new, says):
    before = {path: path.read_bytes() for path in course.glob("*/*.ipynb")}
    (course / "solutions" / f"{NAME}.py").write_text(TOY.replace(old, new), encoding="utf-8")
    with pytest.raises(LabError, match=says):
        build("99", root=course)
    assert {path: path.read_bytes() for path in course.glob("*/*.ipynb")} == before


def test_a_cell_without_end_is_stopped(course, monkeypatch):
    monkeypatch.setattr(builder, "CELL_TIMEOUT_S", 1)
    (course / "solutions" / f"{NAME}.py").write_text('# %% cell="loop"\nwhile True:\n    pass\n', encoding="utf-8")
    with pytest.raises(LabError, match="cell 'loop' takes longer than 1 s"):
        build("99", root=course)


def test_work_in_a_student_notebook_is_kept(course, capsys, monkeypatch):
    monkeypatch.setattr(builder, "execute", lambda lab, folder: stored(folder / f"{NAME}.ipynb"))
    edit(course, "notebooks", printing)
    worked = (course / "notebooks" / f"{NAME}.ipynb").read_text(encoding="utf-8")
    build("99", root=course)
    assert (course / "notebooks" / f"{NAME}.mine.ipynb").read_text(encoding="utf-8") == worked
    assert "kept as" in capsys.readouterr().out
    assert build(check=True, root=course) == []  # and does not count as an extra notebook


def test_unknown_lab_is_named(built):
    with pytest.raises(LabError, match="there is no lab '98'; known: 99_toy"):
        build("98", check=True, root=built)


def test_root_is_found_from_below(built, tmp_path):
    assert find_root(built / "solutions") == built.resolve()
