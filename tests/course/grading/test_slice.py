"""What is not run must not be missed: checks get the same values from a slice as from the whole lab."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labkit.course import trial
from labkit.course.grading.rebuild import rebuild
from labkit.course.grading.records import Cell
from labkit.course.grading.slice import needed
from labkit.course.grading.submission import load

from .toy import run

ROOT = Path(__file__).resolve().parents[3]
LABS = sorted(path.stem for path in (ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))


def kept(*sources, check="send(x)", kind="given"):
    """Which of `sources` a check needs, as a string of their numbers: "02"."""
    cells = [Cell(str(i), kind, source) for i, source in enumerate(sources)]
    return "".join(cell.id for cell in needed([*cells, Cell("check", "check", check)]) if cell.id != "check")


@pytest.mark.parametrize(
    ("sources", "want"),
    [
        (["x = 1", "y = 2"], "0"),
        (["a = 1", "x = a", "a = 2"], "01"),
        (["x = 1", "x = 2"], "1"),  # the first value is forgotten
        (["x = 1", "if True:\n    x = 2"], "01"),
        (["x = 1", "with check.needs('1'):\n    x = 2"], "01"),
        (["import x", "import y"], "0"),
        (["from m import *", "y = 1"], "0"),
        (["x = []", "x.append(1)", "print(x)", "len(x)"], "01"),
        (["x = []", "y = x", "y.append(1)"], "012"),
        (["x = []", "for y in [x]:\n    y.append(1)"], "01"),
        (["x = {}", "x['a'] = 1", "x.b.c = 2", "del x['a']"], "0123"),
        (["x = 1", "x += 1"], "01"),
        (["x = model()", "fit(x)", "np.mean(x)"], "012"),  # np is not imported here: it may be anything
        (["import numpy as np", "x = model()", "m = np.mean(x)"], "1"),
        (["import numpy as np", "x = np.zeros(3)", "np.add(x, 1, out=x)"], "012"),
        (["import numpy as np", "x = np.zeros(3)", "np.random.default_rng(0).shuffle(x)"], "012"),
        (["import matplotlib.pyplot as plt", "x = [1]", "plt.plot(x)"], "1"),
        (["from labkit.course import style", "import x", "style.use()"], "1"),
        (["import torch", "torch.set_num_threads(1)", "x = torch.zeros(1)"], "012"),
        (["import random", "random.seed(1)", "x = 0"], "2"),
        (["import random", "random.seed(1)", "y = random.random()", "x = random.random()"], "0123"),
        (["import random", "random.seed(1)", "y = random.random()", "random.seed(2)", "x = random.random()"], "034"),
        (["g = 1", "def x():\n    return g"], "01"),
        (["g = 1", "def f():\n    return g", "def h():\n    return f()", "x = h()"], "0123"),
        (["g = 1", "h = 2", "x = lambda g: g + h"], "12"),
        (["g = 1", "def x(g):\n    return [g for g in g]"], "1"),
        (["g = 1", "def x():\n    g = 2\n    return g"], "1"),
        (["g = 1", "@g\ndef x(): ...", "@h\ndef y(): ..."], "01"),
        (["g = 1", "def x(a=g): ...", "h = 1", "class y(h): ..."], "01"),
        (["def f():\n    global x\n    x = 1", "f()", "y = 2"], "01"),
        (["x = []", "def f():\n    x.append(1)", "def g():\n    f()", "g()", "h = f"], "01234"),
        (["class C:\n    n = 0\n    def up(self):\n        C.n += 1", "C().up()", "x = C.n"], "012"),
        (["x = [g for g in h]", "h = 1", "g = 1"], "0"),
        (["h = 1", "g = 1", "x = [g for g in h]"], "02"),
        (["g = 1", "x = f'{g}'"], "01"),
        (["g = 1", "(x := g)"], "01"),
        (["g = 1", "match g:\n    case [x, *y]: ..."], "01"),
        (["import os", "os.environ['A'] = '1'", "x = os.environ['A']"], "012"),
        (["x = 1 +"], ""),
    ],
)
def test_what_a_check_needs(sources, want):
    assert kept(*sources) == want  # a cell more than needed costs time; a cell less costs points


def test_a_demonstration_is_run_only_if_a_check_uses_its_names():
    trains = "with check.needs('1'):\n    model = train()\n    print(model)"
    assert kept("def train(): ...", trains, check="send(1)") == ""
    assert kept("def train(): ...", trains, check="send(model)") == "01"


def test_the_students_own_cells_count_like_the_labs():
    assert kept("h = 1", "def f(): return h", "while True: pass", "play = 3", check="send(f())", kind="extra") == "01"
    assert kept("exec('x = 1')", "globals()['x'] = 2", "y = 1", kind="extra") == "01"  # behind these may be any name
    cells = [Cell("g", "given", "data = load()"), Cell("a", "answer", "data.clear()"), Cell("b", "answer", "1 +")]
    assert needed(cells) == tuple(cells)


VARIABLES = st.sampled_from("xyz")
STATEMENTS = [
    "{a} = [{n}]",
    "{a} = {b}",
    "{a} = {b} + [{n}]",
    "{a}.append({n})",
    "{a} += [{n}]",
    "{a}[0:1] = [{n}]",
    "{a} = [*{b}]",
    "({a} := [{n}])",
    "{a}, {b} = {b}, {a}",
    "for v in [{a}, {b}]:\n    v.append({n})",
    "for {a} in [[{n}], {b}]:\n    pass",
    "[{a}.append(i) for i in range(2)]",
    "if {a}:\n    {b} = {a}\nelse:\n    {b}.append({n})",
    "while len({a}) < 3:\n    {a}.append({n})",
    "try:\n    {a} = [missing]\nexcept NameError:\n    {b}.append({n})",
    "with suppress(NameError):\n    {a}.append({n})\n    missing\n    {b}.append({n})",
    "def f(v=None):\n    global {a}\n    {a} = {a} + [{n}]",
    "def f(v=None):\n    {a}.append({n})\n    return {b}",
    "def f(v=None):\n    if v is not None:\n        v.append({n})\n    return v",
    "{a} = f({b}) or []",
    "f({a})",
    "f()",
    "h = lambda: {a}.append({n})",
    "h()",
    "def make():\n    def inner():\n        {a}.append({n})\n        return {b}\n    return inner",
    "m = make()",
    "{a} = m()",
    "holder = {{'k': {a}}}",
    "holder['k'].append({n})",
    "holder['f'] = f",
    "holder.get('f', f)({a})",
    "class C:\n    data = {a}\n    def add(self, v=None):\n        self.data.append({n})",
    "c = C()",
    "c.add()",
    "C.data = {b}",
    "random.seed({n})",
    "{a} = [random.random()]",
    "setattr(C, 'data', {a})",
    "list(map(f, [{a}]))",
    "{a} = sorted({b}, key=lambda v: len({a}))",
]
START = """\
import random
from contextlib import suppress
x, y, z = [1], [2], [3]
holder = {'k': x}
def f(v=None): return v
def make(): return f
h = m = f
class C:
    data = y
    def add(self): pass
c = C()
random.seed(0)
"""


@st.composite
def labs(draw):
    cells = [Cell("start", "given", START)]
    for i in range(draw(st.integers(2, 14))):
        lines = draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=2))
        source = "\n".join(line.format(a=draw(VARIABLES), b=draw(VARIABLES), n=draw(st.integers(4, 9))) for line in lines)
        kind = draw(st.sampled_from(["given", "given", "given", "extra", "answer", "check"]))
        source += f"\nsend(repr({draw(VARIABLES)}))" if kind == "check" else ""
        cells.append(Cell(str(i), kind, source))
    return [*cells, Cell("last", "check", f"send(repr({draw(VARIABLES)}))")]


@settings(max_examples=100, deadline=None)
@given(labs())
def test_a_slice_computes_what_the_whole_does(cells):
    whole = sent(cells)
    assert sent(needed(cells)) == whole


def sent(cells):
    out = []
    namespace = {"send": out.append}
    for cell in cells:
        try:
            exec(compile(cell.source, cell.id, "exec"), namespace)
        except Exception as error:
            assume(cell.kind != "given")  # the lab's own cells run through
            if cell.kind == "check":
                out.append(type(error).__name__)
    return out


@pytest.mark.parametrize("name", LABS)
def test_the_solution_of_a_lab_keeps_all_points_when_it_is_sliced(name, tmp_path):
    """The student's notebook with the answers of the solution: in a moment it sends every stored value."""
    trusted = json.loads((ROOT / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8"))
    answers = {cell["id"]: cell["source"] for cell in trusted["cells"] if cell["metadata"]["labkit"].get("role") == "answer"}
    student = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in student["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    (tmp_path / "done.ipynb").write_text(json.dumps(student), encoding="utf-8")
    sheet = rebuild(trusted, load(tmp_path / "done.ipynb"))
    assert sheet.repairs == ()
    code = [cell for cell in trusted["cells"] if cell["cell_type"] == "code"]
    assert len(sheet.cells) < len(code) / 1.7
    begin = time.process_time()
    with trial._headless():
        points, errors = run(sheet.cells)
    assert points == sheet.points, errors
    assert time.process_time() - begin < 15, "a demonstration is run"
