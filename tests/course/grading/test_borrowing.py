# ruff: noqa: E501  an attack reads best in the fewest lines
"""Every lab of the course through the whole grader: its solution gets all points, the blank none, and labkit cannot be borrowed.

A lab names what of labkit does the very thing that an exercise asks for. While it is graded that is gone, by whatever way it is
looked for; all the rest of labkit works.
"""

import importlib.util
import json
from pathlib import Path

import pytest

from labkit.course.grading import runner, sandbox
from labkit.course.grading.forbidden import PACKAGE
from labkit.course.grading.one import Job, attempt
from labkit.course.grading.records import Limits, Result

ROOT = Path(__file__).resolve().parents[3]
LABS = [path.stem for path in sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))]
isolated = pytest.mark.skipif(sandbox.available() == "none", reason="isolation needs bubblewrap")

BORROW = """
import ast, gc, importlib, inspect, os, pickle, pkgutil, re, sys
import labkit
GONE = 'not available while exercises are graded'
found = set()
looked = 0

def is_empty(tree):
    # a function whose only statement raises the sentence
    return len(tree.body) == 1 and isinstance(tree.body[0], ast.Raise) and GONE in ast.unparse(tree.body[0])

def look(function, name, way):
    global looked
    looked += 1
    function = inspect.unwrap(getattr(function, '__func__', getattr(function, 'fget', None) or function))
    constants = [c for c in function.__code__.co_consts if isinstance(c, str)]
    if not any(GONE in c for c in constants) or len(function.__code__.co_code) > 60:
        found.add(f'{name} by {way}')

def functions(thing):
    if inspect.isclass(thing):
        return [v for v in vars(thing).values() if inspect.isfunction(v) and v.__module__ == thing.__module__
                and v.__code__.co_filename == inspect.getsourcefile(sys.modules[thing.__module__])
                or isinstance(v, (property, staticmethod, classmethod))]
    return [thing]

def resolve(name, load):
    parts = name.split('.')
    for n in range(len(parts), 0, -1):
        try:
            thing = load('.'.join(parts[:n]))
        except (ImportError, KeyError):
            continue
        for part in parts[n:]:
            thing = inspect.getattr_static(thing, part)
        return thing

for name in HIDES:
    for way, load in (('import', importlib.import_module), ('sys.modules', lambda n: sys.modules[n]), ('import again', lambda n: importlib.reload(importlib.import_module(n)))):
        thing = resolve(name, load)
        if inspect.ismodule(thing):
            things = [v for v in vars(thing).values() if getattr(v, '__module__', '') == thing.__name__ and (inspect.isclass(v) or inspect.isfunction(v))]
        else:
            things = [thing]
        for each in things:
            for function in functions(each):
                look(function, name, way)
        if inspect.isfunction(thing):
            for module in list(sys.modules.values()):
                other = getattr(module, name.rpartition('.')[2], None) if getattr(module, '__name__', '').startswith('labkit') else None
                if inspect.isfunction(other) and other.__module__ == thing.__module__:
                    look(other, name, 'its export by ' + module.__name__)
            look(pickle.loads(pickle.dumps(thing)), name, 'pickle')
            if GONE not in inspect.getsource(thing):
                found.add(name + ' by inspect.getsource')

# every file of labkit that can be read at all, wherever it lies
for at in {*sys.path, *REAL, '/', os.path.dirname(labkit.__file__)}:
    for name, lines in LINES.items():
        for path in (os.path.join(at or '.', *p) for p in (('labkit', *name.split('/')), name.split('/'))):
            try:
                text = open(path).read()
            except OSError:
                continue
            looked += 1
            if lines and all(line in text for line in lines):
                found.add('the source in ' + path)
for value in gc.get_objects():
    if isinstance(value, str) and len(value) > 500 and any(lines and all(line in value for line in lines) for lines in LINES.values()):
        if 'LINES' not in value:
            found.add('the source in memory')
raise RuntimeError(f'{looked > 0} {sorted(found) or "nothing"}')
"""

BORROWED = {  # lab: an exercise, and an answer that hands on what labkit has; each of them earns points where nothing is hidden
    "00_start": ("3", """
from labkit.hardware.battery import mean_power_uw
def average_power_uw(energy_uj, per_second, latency_ms, sleep_uw):
    return mean_power_uw(energy_uj, latency_ms, per_second, sleep_uw=sleep_uw)"""),
    "01_keyword_spotting": ("1", """
from labkit.data import features
class Config:
    def __init__(self, window, hop): self.window, self.hop = window, hop
    frames = staticmethod(lambda samples: samples)
def frame(signal, window, hop):
    return features.frame(np.asarray(signal), Config(window, hop))"""),
    "02_human_activity": ("1", """
import labkit.data.motion
def windows(recording, window, hop):
    return labkit.data.motion.windows(recording, window, hop)"""),
    "04_uniform_quantization": ("1", """
import sys, labkit.quantization.affine
class Format:
    def __init__(self, low, high): self.low, self.high, self.qmin, self.qmax = low, high, low, high
def quantize(x, scale, zero_point, low, high):
    return sys.modules['labkit.quantization.affine'].quantize(x, scale, zero_point, Format(low, high))
def dequantize(codes, scale, zero_point):
    return labkit.quantization.affine.dequantize(codes, scale, zero_point)"""),
    "05_power_of_two": ("1", """
from labkit.quantization.formats import PowerOfTwo
def nearest_power(x, bits):
    codes = PowerOfTwo(bits).levels
    return codes[np.argmin(np.abs(np.asarray(x)[..., None] - codes) + 1e-9 * np.abs(codes), axis=-1)]"""),
    "06_mixed_precision": ("5", """
import importlib
def pareto(costs, accuracies):
    return importlib.import_module('labkit.explorers.bits').pareto(costs, accuracies)"""),
    "07_binary_networks": ("1", """
from labkit.quantization import popcount
from labkit.quantization.binary import sign
def pack(signs):
    return popcount.pack(signs).view(np.uint32)[: -(-len(signs) // 32)]"""),
    "11_analog_memory": ("1", """
import labkit.analog
from labkit.analog import crossbar
def to_pairs(weights, g_max=25.0):
    return crossbar.to_pairs(np.asarray(weights, dtype=float), g_max)[:2]""" ),
}  # fmt: skip


@pytest.fixture(scope="module", params=LABS)
def lab(request):
    """All tests of a lab run one after the other, in one warm process."""
    yield request.param
    runner.close()


def hand_in(tmp_path: Path, lab: str, answers: dict[str, str]) -> Result:
    """The result of the student's notebook with these answers (cell -> source)."""
    notebook = json.loads((ROOT / "notebooks" / f"{lab}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    path = tmp_path / f"{lab}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return attempt(Job("ada", lab, str(path), str(ROOT / "solutions" / f"{lab}.ipynb"), Limits(), sandbox.available()))


def solved(lab: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """The right answers of a lab, the answer cell of each exercise, and what the lab hides."""
    notebook = json.loads((ROOT / "solutions" / f"{lab}.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["metadata"].get("labkit", {}).get("role") == "answer"]
    answers = {cell["id"]: "".join(cell["source"]) for cell in cells}
    by_exercise = {cell["metadata"]["labkit"]["exercise"]: cell["id"] for cell in cells}
    return answers, by_exercise, notebook["metadata"]["labkit"].get("hides", [])


def points(result: Result) -> dict[str, float]:
    return {exercise.exercise: exercise.points for exercise in result.exercises}


def test_the_solution_gets_all_and_the_blank_gets_nothing(tmp_path, lab):
    result = hand_in(tmp_path, lab, solved(lab)[0])
    assert {e.exercise: e.points for e in result.exercises} == {e.exercise: e.max_points for e in result.exercises}, result
    assert (result.status, result.repairs) == ("ok", ()) and result.max_points > 0
    blank = hand_in(tmp_path, lab, {})
    assert blank.points == 0 and all(exercise.note for exercise in blank.exercises)


@isolated
def test_what_a_lab_hides_cannot_be_found(tmp_path, lab):
    answers, by_exercise, hides = solved(lab)
    if not hides:
        pytest.skip("this lab asks for nothing that labkit has")
    files = {module_file(name) for name in hides}
    code = f"HIDES, REAL, LINES = {hides}, {[str(PACKAGE.parent)]}, { ({name: telling_lines(name, hides) for name in files}) }\n{BORROW}"
    first = min(by_exercise)
    result = hand_in(tmp_path, lab, {**answers, by_exercise[first]: code})
    assert result.exercises[0].note == "your code: it stopped with RuntimeError: True nothing"
    assert points(result)[first] == 0


def test_a_borrowed_answer_earns_nothing(tmp_path, lab):
    if lab not in BORROWED:
        pytest.skip("no function of labkit solves an exercise of this lab as it stands")
    answers, by_exercise, _ = solved(lab)
    exercise, code = BORROWED[lab]
    result = points(hand_in(tmp_path, lab, {**answers, by_exercise[exercise]: code}))
    assert result[exercise] == 0 and sum(result.values()) > 0


def module_file(name: str) -> str:
    """The file of the module that a dotted name lies in, relative to labkit."""
    parts = name.split(".")
    while parts:
        try:
            if spec := importlib.util.find_spec(".".join(parts)):
                return str(Path(spec.origin).relative_to(PACKAGE))
        except ModuleNotFoundError:
            pass
        parts.pop()
    raise ValueError(name)


def telling_lines(file: str, hides: list[str]) -> list[str]:
    """Lines that the file with the answers has, and the copy without them has not: they stand for its source."""
    import tempfile

    from labkit.course.grading.forbidden import copy_without

    with tempfile.TemporaryDirectory() as folder:
        copy = copy_without(hides, folder) / PACKAGE.name / file
        left = set(copy.read_text(encoding="utf-8").splitlines())
    lines = [line for line in (PACKAGE / file).read_text(encoding="utf-8").splitlines() if line not in left and len(line) > 30]
    return lines[:3]
