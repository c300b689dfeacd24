"""Reads the source of a lab, ``solutions/NN_name.py``, and refuses one that would teach or grade wrongly.

The source is a jupytext percent script. Every cell has a name, which becomes its id; a role where it matters:

    # %% [markdown] cell="intro"
    # # Keyword spotting
    # %% cell="ex1-answer" role="answer" exercise="1"
    def quantize(x, scale):
        \"\"\"The assignment.\"\"\"
        # BEGIN SOLUTION
        return np.round(x / scale)
        # END SOLUTION
    # %% cell="ex1-test" role="test" exercise="1"
    check.close("1", lambda: quantize(x, 0.5), by_hand, title="on paper")
    # %% cell="ex1-check" role="check" exercise="1" points=2 rtol=1e-6
    check.value(quantize(np.linspace(-40, 40, 17), 0.25))
    # %% cell="ex1-wrong-floor" role="wrong" exercise="1"
    # why: floors instead of rounding
    def quantize(x, scale):
        return np.floor(x / scale)

Cells are plain Python without magics, so that a lab can be linted, and tried without a kernel.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from labkit.naming import did_you_mean

ROLES = ("given", "answer", "test", "check", "wrong")
KEYS = ("cell", "role", "exercise", "points", "rtol", "atol", "hides")
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
CELL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what nbformat allows as an id
FORMAT = {"extension": ".py", "format_name": "percent", "comment_magics": False}  # else "# copy the array" becomes the magic %copy


class LabError(ValueError):
    """A lab's source or notebooks are not as they must be. The sentence names the file and the cell."""


@dataclass(frozen=True)
class Cell:
    """One cell. `kind` is "code" or "markdown"; `points` count for check cells only.

    `hides` names labkit's own implementations of what an answer asks for (modules, classes, functions, methods, without the
    "labkit."); grading takes them away.
    """

    name: str
    kind: str
    source: str
    role: str = "given"
    exercise: str | None = None
    points: float = 0
    rtol: float | None = None
    atol: float | None = None
    hides: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict:
        """What the notebook stores under ``metadata.labkit``."""
        values = {"role": self.role, "exercise": self.exercise, "rtol": self.rtol, "atol": self.atol}
        return {key: value for key, value in values.items() if value is not None} | ({"points": self.points} if self.points else {})


@dataclass(frozen=True)
class Lab:
    """A lab's cells in order. `name` is the file's stem, ``01_keyword_spotting``."""

    name: str
    cells: tuple[Cell, ...]

    def having(self, role: str, exercise: str | None = None) -> list[Cell]:
        return [cell for cell in self.cells if cell.role == role and exercise in (None, cell.exercise)]

    @property
    def exercises(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.exercise for cell in self.having("answer")))

    @property
    def hides(self) -> tuple[str, ...]:
        """Everything that grading this lab takes away, as full names."""
        return tuple(dict.fromkeys(f"labkit.{name}" for cell in self.having("answer") for name in cell.hides))

    @property
    def points(self) -> dict[str, float]:
        """Points of each exercise."""
        return {exercise: sum(cell.points for cell in self.having("check", exercise)) for exercise in self.exercises}


def read(path: str | Path) -> Lab:
    """The lab in `path`. Raises LabError, one sentence that names the file and the cell."""
    path = Path(path)
    return parse(path.read_text(encoding="utf-8"), path.stem)


def parse(text: str, name: str) -> Lab:
    """The lab whose source is `text`.

    >>> lab = parse('# %% cell="setup"\\nimport numpy as np', "00_toy")
    >>> lab.cells[0].name, lab.cells[0].role, lab.exercises
    ('setup', 'given', ())
    """
    notebook = jupytext().reads(text, fmt=FORMAT)
    cells = tuple(_cell(node, name, position) for position, node in enumerate(notebook.cells, 1))
    lab = Lab(name, cells)
    _check_names(lab)
    for cell in cells:
        _check_markers(lab, cell)
        _check_python(lab, cell)
    for cell in cells:
        if cell.exercise is not None and cell.exercise not in lab.exercises:
            meant = did_you_mean(cell.exercise, lab.exercises)
            raise _error(name, cell.name, f"there is no answer for exercise {cell.exercise!r}; {meant}")
    for exercise in lab.exercises:
        _check_exercise(lab, exercise)
    return lab


def stub(cell: Cell) -> str:
    """An answer cell as the student gets it: what stands between the markers becomes one `raise`.

    >>> print(stub(Cell("a", "code", "def f(x):\\n    # BEGIN SOLUTION\\n    return x\\n    # END SOLUTION", "answer", "1")))
    def f(x):
        raise NotImplementedError("exercise 1: replace this line with your code")
    """
    block = re.compile(rf"^([ \t]*){BEGIN}[ \t]*\n.*?^[ \t]*{END}[ \t]*$", flags=re.MULTILINE | re.DOTALL)
    return block.sub(rf'\1raise NotImplementedError("exercise {cell.exercise}: replace this line with your code")', cell.source)


def jupytext():
    """jupytext, imported without the three seconds that `rfc3987_syntax` takes to build grammars nobody here uses.

    nbformat imports jsonschema, which imports it only if it is there (jsonschema issue 1428).
    """
    hidden = "rfc3987_syntax" not in sys.modules
    if hidden:
        sys.modules["rfc3987_syntax"] = None
    try:
        import jupytext
    finally:
        if hidden:
            del sys.modules["rfc3987_syntax"]
    return jupytext


def _error(lab: str, cell: str, sentence: str) -> LabError:
    return LabError(f"{lab}.py, cell {cell!r}: {sentence}")


def _cell(node, lab: str, position: int) -> Cell:
    written = {key: value for key, value in node.metadata.items() if not key.startswith("lines_to_")}
    name = written.get("cell")
    first = next(iter(node.source.splitlines()), "")
    if "incorrectly_encoded_metadata" in written:
        line = written["incorrectly_encoded_metadata"]
        raise LabError(f'{lab}.py: cannot read "# %% {line}"; write it like # %% cell="name" role="test" exercise="1"')
    if not name:
        raise LabError(f'{lab}.py: cell number {position} ({first[:40]!r}) has no name; give it one: # %% cell="name"')
    if not isinstance(name, str) or not CELL_NAME.fullmatch(name):
        raise _error(lab, name, "a name is made of letters, digits, - and _, 64 at most")
    for key in written:
        if key not in KEYS:
            raise _error(lab, name, f"unknown key {key!r}; {did_you_mean(key, KEYS)}")
    role, kind = written.get("role", "given"), node.cell_type
    if role not in ROLES:
        raise _error(lab, name, f"unknown role {role!r}; {did_you_mean(role, ROLES)}")
    if kind not in ("code", "markdown"):
        raise _error(lab, name, f"a cell is code or markdown, not {kind}")
    if role != "given" and kind != "code":
        raise _error(lab, name, f"a cell of role {role} must be code")
    if role != "given" and "exercise" not in written:
        raise _error(lab, name, f'a cell of role {role} says which exercise it belongs to: exercise="1"')
    for key in ("points", "rtol", "atol"):
        if key in written and (role != "check" or not _is_number(written[key])):
            raise _error(lab, name, f"{key} is a number, zero or more, and belongs to a check cell")
    if role == "check" and not written.get("points"):
        raise _error(lab, name, "a check cell says what it is worth: points=2")
    hides = tuple(str(written.get("hides", "")).split())
    if hides and role != "answer":
        raise _error(lab, name, "hides names what an answer must not borrow; it belongs to an answer cell")
    exercise = written.get("exercise")
    numbers = {key: written[key] for key in ("points", "rtol", "atol") if key in written}
    return Cell(name, kind, node.source, role, None if exercise is None else str(exercise), hides=hides, **numbers)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _check_names(lab: Lab) -> None:
    seen = set()
    for cell in lab.cells:
        if cell.name in seen:
            raise _error(lab.name, cell.name, "two cells have this name; names must be unique")
        seen.add(cell.name)


def _check_markers(lab: Lab, cell: Cell) -> None:
    """Markers come in pairs, never nested, and only in answers; and every answer has a pair."""
    inside = pairs = 0
    for line in cell.source.split("\n"):
        if line.strip() == BEGIN:
            if cell.role != "answer":
                raise _error(lab.name, cell.name, f"{BEGIN} belongs into cells of role answer")
            if inside:
                raise _error(lab.name, cell.name, f"{BEGIN} within another one; close the first with {END}")
            inside = 1
        elif line.strip() == END:
            if not inside:
                raise _error(lab.name, cell.name, f"{END} without {BEGIN}")
            inside, pairs = 0, pairs + 1
        elif re.search(r"#\s*(BEGIN|END) SOLUTION", line, flags=re.IGNORECASE):
            raise _error(lab.name, cell.name, f"write the marker alone on its line, as {BEGIN} or {END}")
    if inside:
        raise _error(lab.name, cell.name, f"{BEGIN} is never closed; add {END}")
    if cell.role == "answer" and not pairs:
        raise _error(lab.name, cell.name, f"an answer marks what to hide with {BEGIN} and {END}")


def _check_python(lab: Lab, cell: Cell) -> None:
    """Every cell is plain Python, and the stub raises only when it is called: Run All must pass an unsolved exercise."""
    if cell.kind != "code":
        return
    try:
        ast.parse(cell.source)
        tree = ast.parse(stub(cell))
    except SyntaxError as error:
        why = f"line {error.lineno} is not plain Python ({error.msg}); magics are not used in labs"
        raise _error(lab.name, cell.name, why) from None
    if cell.role == "answer" and _raises_when_defined(tree):
        why = "put the markers inside a function, so that Run All passes an exercise that is not solved"
        raise _error(lab.name, cell.name, why)


def _raises_when_defined(node: ast.AST) -> bool:
    """Whether a `raise` runs as soon as the cell does."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    return isinstance(node, ast.Raise) or any(_raises_when_defined(child) for child in ast.iter_child_nodes(node))


def _check_exercise(lab: Lab, exercise: str) -> None:
    answer = lab.having("answer", exercise)[0].name
    wanted = {"test": "a visible test", "check": "a check with points", "wrong": "a planted wrong answer, which must lose points"}
    for role, what in wanted.items():
        if not lab.having(role, exercise):
            raise _error(lab.name, answer, f'exercise {exercise} lacks {what}: # %% cell="…" role="{role}" exercise="{exercise}"')
    for cell in lab.having("wrong", exercise):
        if not re.match(r"# why: \S", cell.source):
            raise _error(lab.name, cell.name, 'a planted wrong answer starts with the line "# why: …"')
