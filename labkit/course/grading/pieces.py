"""What in a submission is the student's own: every cell is compared with the trusted lab, and damage is named.

A cell is the lab's if it has the id of one of its cells, or says the same; all else is a `Piece` of the student's work. What is
the lab's own is never taken from a submission, but an answer typed into such a cell is.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property

from labkit.course import source as lab_source
from labkit.course.compare import payloads
from labkit.course.grading import parsing

SHOWN = 4  # places that a sentence lists


@dataclass(frozen=True, eq=False)
class Trusted:
    """A cell of the trusted lab; `place` is its position there, and `key` is equal for sources that say the same."""

    place: int
    id: str
    role: str  # "given", "answer", "test", "check" or "text"
    exercise: str | None
    source: str
    metadata: dict
    expected: tuple[dict, ...]
    key: str

    @cached_property
    def statements(self) -> list[ast.stmt]:
        return ast.parse(self.source).body

    @cached_property
    def stub(self) -> dict[str, ast.stmt]:
        """What a student finds in an answer cell: the statement that defines each name."""
        cell = lab_source.Cell(self.id, "code", self.source, "answer", self.exercise)
        return {name: node for node in ast.parse(lab_source.stub(cell)).body for name in parsing.names(node)}

    @cached_property
    def wanted(self) -> set[str]:
        """The names that the student must define: those that stub and solution define differently."""
        stub = {name: parsing.same(node) for name, node in self.stub.items()}
        return {name for node in self.statements for name in parsing.names(node) if parsing.same(node) != stub.get(name)}


@dataclass
class Piece:
    """Work of the student. It stood below the lab's cell at `place`, as cell number `number` of the notebook, counted from 1.

    `answer` is the answer cell that its id or metadata names.
    """

    number: int
    place: int
    source: str
    answer: str | None = None
    tree: ast.Module | None = field(init=False)

    def __post_init__(self):
        self.tree = parsing.parse(self.source)

    @property
    def statements(self) -> list[ast.stmt]:
        return self.tree.body if self.tree else []


class Repairs:
    """Kinds of damage, and where: one sentence a kind."""

    def __init__(self):
        self._where: dict[str, list[str]] = {}

    def add(self, sentence: str, where: str = "") -> None:
        """`sentence` has a {} for the places."""
        places = self._where.setdefault(sentence, [])
        if where not in places:
            places.append(where)

    def sentences(self) -> tuple[str, ...]:
        return tuple(sentence.replace("{}", _listed(where)) for sentence, where in self._where.items())


DELETED = "Deleted cells of the lab were put back: {}."
EDITED = "The lab's own cells count as they were handed out, so your changes there were left out: {}."
TYPED_IN = "An answer was found in a cell of the lab, and taken from there: {}."
MERGED = "Cells of the lab that had been merged with yours were taken out again: {}."
COPIED = "Copies of the lab's cells were left out: {}."
ORDER = "The cells were put back in the order of the lab."
IDS = "The cells had lost their names (ids) and were recognised by what is in them."
METADATA = "The cells had lost their metadata and were recognised without it."
NOT_CODE = "A cell with code had been turned into text, and was read as code: {}."
MAGIC = "Lines that are commands to Jupyter and not Python were left out: {}."
LONG = "A cell that is too long to be run was left out: {}."
SPLIT = "A cell that had been split in two was joined again: {}."
TWICE = "Two cells had the same name (id): {}."


def trusted_cells(notebook: dict) -> list[Trusted]:
    """The cells of a solution notebook. ValueError where a check has no value to compare with."""
    lab, cells = notebook["metadata"]["labkit"]["lab"], []
    for place, node in enumerate(notebook["cells"]):
        about, source = node["metadata"].get("labkit", {}), "".join(node["source"])
        role = about.get("role", "given") if node["cell_type"] == "code" else "text"
        # where execution_count is null nbval would compare nothing
        expected = tuple(payloads(node.get("outputs", []))) if role == "check" and node.get("execution_count") else ()
        if role == "check" and not expected:
            why = f"no value is stored, so the check cannot fail; run labkit build {lab[:2]}"
            raise ValueError(f"{lab}, cell {node['id']!r}: {why}")
        key = parsing.key(source)
        cells.append(Trusted(place, node["id"], role, about.get("exercise"), source, about, expected, key))
    return cells


def find(trusted: list[Trusted], nodes: list[dict], repairs: Repairs) -> list[Piece]:
    """The pieces of work in a submission's cells, in their order."""
    by_id = {cell.id: cell for cell in trusted}
    by_key = {cell.key: cell for cell in reversed(trusted) if cell.role != "answer"}
    answers = [cell for cell in trusted if cell.role == "answer"]
    pieces: list[Piece] = []
    met: list[Trusted] = []
    place = -1
    for number, node in enumerate(nodes, 1):
        if not node["source"].strip():
            continue
        cell = by_id.get(node["id"]) or by_key.get(parsing.key(node["source"]))
        place = cell.place if cell else place
        if cell and cell in met and cell.role != "text":
            repairs.add(TWICE if cell.role == "answer" else COPIED, cell.id)
        met += [cell] if cell else []
        if cell and cell.role != "answer":
            piece = _in_cell_of_lab(cell, number, node, answers, repairs)
        else:
            answer = cell or _named_answer(answers, node["metadata"].get("labkit"))
            piece = _own(Piece(number, place, node["source"], answer.id if answer else None), node, answers, repairs)
        pieces += [piece] if piece else []
    pieces = _joined([_python(piece, repairs) for piece in pieces], repairs)
    pieces = [_without_lab(piece, trusted, met, repairs) for piece in pieces if piece.source.strip()]
    _report(trusted, nodes, met, repairs)
    return [piece for piece in pieces if piece.source.strip()]


def _in_cell_of_lab(cell: Trusted, number: int, node: dict, answers: list[Trusted], repairs: Repairs) -> Piece | None:
    """The student's work in a cell that is the lab's: an answer that was typed there. Everything else there is left out."""
    if cell.role != "text" and node["cell_type"] != "code":
        repairs.add(NOT_CODE, cell.id)
    if cell.key == parsing.key(node["source"]) or (cell.role == "text" and node["cell_type"] != "code"):
        return None
    piece = Piece(number, cell.place, node["source"])
    if cell.role == "text":
        return piece
    if not (_wanted(answers) - parsing.defined(parsing.parse(cell.source))) & _defines(piece):
        repairs.add(EDITED, cell.id)
        return None
    repairs.add(TYPED_IN, cell.id)
    return _without(piece, {parsing.same(node) for node in cell.statements})


def _own(piece: Piece, node: dict, answers: list[Trusted], repairs: Repairs) -> Piece | None:
    """A cell that is the student's, unless it is only text."""
    if node["cell_type"] != "code":
        if not (piece.answer or _wanted(answers) & _defines(piece)):
            return None
        repairs.add(NOT_CODE, _where(piece))
    if len(piece.source) > parsing.LONGEST:
        repairs.add(LONG, _where(piece))
        return None
    return piece


def _wanted(answers: list[Trusted]) -> set[str]:
    return set().union(*(cell.wanted for cell in answers))


def _named_answer(answers: list[Trusted], about) -> Trusted | None:
    """The answer cell that a cell's metadata speak of."""
    if not isinstance(about, dict) or about.get("role") != "answer":
        return None
    return next((cell for cell in answers if cell.exercise == about.get("exercise")), None)


def _defines(piece: Piece) -> set[str]:
    return parsing.defined(parsing.parse(parsing.plain(piece.source)[0]))


def _python(piece: Piece, repairs: Repairs) -> Piece:
    source, removed = parsing.plain(piece.source)
    for line in removed:
        repairs.add(MAGIC, line[:60])
    return Piece(piece.number, piece.place, source, piece.answer)


def _joined(pieces: list[Piece], repairs: Repairs) -> list[Piece]:
    """Joins what belongs together: a piece that is no Python by itself, but is with the one above or below it."""
    pieces, i = list(pieces), 0
    while i < len(pieces):
        if pieces[i].tree is None:
            for first, last in ((i - 1, i + 1), (i, i + 2), (i - 1, i + 2)):
                parts = pieces[max(first, 0) : last]
                answer = next((part.answer for part in parts if part.answer), None)
                whole = Piece(parts[0].number, parts[0].place, "\n".join(part.source for part in parts), answer)
                if len(parts) > 1 and whole.tree is not None:
                    pieces[max(first, 0) : last] = [whole]
                    repairs.add(SPLIT, _where(whole))
                    i = max(first, 0)
                    break
        i += 1
    return pieces


def _without_lab(piece: Piece, trusted: list[Trusted], met: list[Trusted], repairs: Repairs) -> Piece:
    """A piece without the cells of the lab that were merged with it."""
    have = {parsing.same(node) for node in piece.statements}
    merged: set[str] = set()
    for cell in trusted:
        keys = {parsing.same(node) for node in cell.statements} if cell.role in ("given", "test") else set()
        if keys and keys <= have:
            merged |= keys
            met.append(cell)
            repairs.add(MERGED, cell.id)
    return _without(piece, merged) if merged else piece


def _without(piece: Piece, keys: set[str]) -> Piece:
    if piece.tree is None:
        return piece
    out = [node for node in piece.statements if parsing.same(node) in keys]
    return Piece(piece.number, piece.place, parsing.without(piece.source, out), piece.answer)


def _report(trusted: list[Trusted], nodes: list[dict], met: list[Trusted], repairs: Repairs) -> None:
    """Damage to the notebook as a whole."""
    for cell in trusted:
        if cell.role in ("given", "test") and cell not in met:
            repairs.add(DELETED, cell.id)
    order = [cell.place for cell in dict.fromkeys(met) if cell.role != "text"]
    if order != sorted(order):
        repairs.add(ORDER)
    if not {cell.id for cell in trusted} & {node["id"] for node in nodes}:
        repairs.add(IDS)
    if not any("labkit" in node["metadata"] for node in nodes):
        repairs.add(METADATA)


def _where(piece: Piece) -> str:
    return piece.answer or f"cell {piece.number} of the notebook"


def _listed(where: list[str]) -> str:
    more = len(where) - SHOWN
    return ", ".join(where[:SHOWN]) + (f" and {more} more" if more > 0 else "")
