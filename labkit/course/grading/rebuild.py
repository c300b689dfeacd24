"""From a submission to what is run: the trusted lab with the student's answers in it.

The trusted lab leads: its given and check cells are taken as they are, whatever the student did to theirs. Of the submission only
the student's own work counts (pieces.py). An answer is found by the id of its cell, else by its metadata, else by the names it must
define; where several cells of an exercise define a name, the last one counts, as in a notebook that is run. The student's other
cells run behind the cell of the lab that stood above them, and checks run at the end of their exercise.

Nothing is executed here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from labkit.course.grading import parsing, pieces, reading, slice
from labkit.course.grading.pieces import Piece, Repairs, Trusted
from labkit.course.grading.records import Cell, Sheet

WRONG_LAB = "This is the notebook of lab {}, and not of the lab that was asked for; hand in the right file."
MISSING = "No answer was found where the lab asks for one: {}."
BY_NAME = "An answer was not in its cell, and was found by the name that it defines: {}."
AGAIN = "A name is defined by more than one of your cells; the last one counts: {}."
REBOUND = "Your code uses a name of the lab for something else; for the checks it was put back: {}."

Placed = tuple[tuple[int, int], Cell]  # (place in the lab, number in the notebook) and the cell


def rebuild(trusted: dict, submission: dict) -> Sheet:
    """The sheet to run for a submission that `submission.load` read. `trusted` is the executed solution notebook.

    ValueError where a check of the trusted notebook has no stored value.
    """
    lab = trusted["metadata"]["labkit"]["lab"]
    repairs = Repairs()
    theirs = submission["metadata"].get("labkit")
    if isinstance(theirs, dict) and theirs.get("lab", lab) != lab:
        repairs.add(WRONG_LAB, str(theirs["lab"])[:60])
    cells = pieces.trusted_cells(trusted)
    found = pieces.find(cells, submission["cells"], repairs)
    placed = _given(cells) + _student(cells, found, repairs)
    ordered = _unique([cell for _, cell in sorted(placed, key=lambda item: item[0])])
    ordered = _with_imports(cells, ordered, repairs)
    points: dict[str, float] = {}
    for cell in ordered:
        if cell.kind == "check":
            points[cell.exercise] = points.get(cell.exercise, 0) + cell.points
    return Sheet(lab, slice.needed(ordered), repairs.sentences(), points)


def _given(cells: list[Trusted]) -> list[Placed]:
    """The lab's own cells. Tests come along for the names that a later cell may take from them, and mostly are cut off again."""
    placed = []
    for cell in cells:
        about = {key: cell.metadata[key] for key in ("points", "rtol", "atol") if key in cell.metadata}
        if cell.role == "check":
            placed.append(((cell.place, 0), Cell(cell.id, "check", cell.source, cell.exercise, **about, expected=cell.expected)))
        elif cell.role in ("given", "test"):
            placed.append(((cell.place, 0), Cell(cell.id, "given", cell.source)))
    return placed


def _student(cells: list[Trusted], found: list[Piece], repairs: Repairs) -> list[Placed]:
    """The student's answers, each at its place, and the other cells that run with them."""
    answers = [cell for cell in cells if cell.role == "answer"]
    regions = {answer.id: _region(answer, cells) for answer in answers}
    chosen = {answer.id: _choose(answer, regions[answer.id], found, repairs) for answer in answers}
    used = {id(piece) for mine in chosen.values() for piece in mine}
    solved = set().union(*(_solved(piece, answer) for answer in answers for piece in chosen[answer.id]))
    placed = []
    for answer in answers:
        placed += _answer_cells(answer, answers, chosen[answer.id], regions[answer.id], solved)
    for piece in found:
        if id(piece) not in used:
            exercise = next((answer.exercise for answer in answers if piece.place in regions[answer.id]), None)
            source = parsing.without(piece.source, _blank(piece, answers, solved)) if piece.tree else piece.source
            placed.append(((piece.place, piece.number), Cell(f"student-{piece.number}", "extra", source, exercise)))
    return _hoisted(answers, placed)


def _region(answer: Trusted, cells: list[Trusted]) -> range:
    """The places of an exercise: from the text above its answer to its last test."""
    first = answer.place
    while first and cells[first - 1].role == "text":
        first -= 1
    tests = [cell.place for cell in cells if cell.role == "test" and cell.exercise == answer.exercise]
    later = [cell.place for cell in cells if cell.role == "answer" and cell.place > answer.place]
    return range(first, min(max([answer.place, *tests]), *(place - 1 for place in later), len(cells)) + 1)


def _solved(piece: Piece, answer: Trusted) -> set[str]:
    """The wanted names that a piece defines otherwise than the blank notebook does."""
    stub = {name: parsing.same(node) for name, node in answer.stub.items()}
    return {n for node in piece.statements for n in parsing.names(node) & answer.wanted if parsing.same(node) != stub.get(n)}


def _blank(piece: Piece, answers: list[Trusted], solved: set[str]) -> list[ast.stmt]:
    """What a piece repeats of the blank notebook, though it is solved elsewhere."""
    stubs = {parsing.same(node) for answer in answers for name, node in answer.stub.items() if name in answer.wanted & solved}
    return [node for node in piece.statements if parsing.same(node) in stubs]


def _choose(answer: Trusted, region: range, found: list[Piece], repairs: Repairs) -> list[Piece]:
    """The pieces that make up an answer, in the order of the notebook."""
    mine = [p for p in found if p.answer == answer.id or (p.place in region and p.answer is None and _solved(p, answer))]
    solved = [_solved(piece, answer) for piece in mine]
    missing = answer.wanted - set().union(*solved)
    for piece in reversed(found):
        if piece not in mine and (names := _solved(piece, answer) & missing):
            mine.append(piece)
            missing -= names
    if by_name := set().union(*(_solved(piece, answer) for piece in mine if piece.answer != answer.id)):
        repairs.add(BY_NAME, ", ".join(sorted(by_name)))
    for name in sorted(answer.wanted):
        if sum(name in names for names in solved) > 1:
            repairs.add(AGAIN, name)
    if not mine:
        repairs.add(MISSING, answer.id)
    return sorted(mine, key=lambda piece: piece.number)


def _answer_cells(answer: Trusted, answers: list[Trusted], mine: list[Piece], region: range, solved: set[str]) -> list[Placed]:
    """An answer as cells: the student's, below what the blank notebook gives and they have lost."""
    others = set().union(*(other.wanted for other in answers if other is not answer))
    sources = []
    for piece in mine:
        out = _blank(piece, answers, solved)
        if piece.answer != answer.id:  # it also holds the answer to another exercise, which has its own cell
            out += [node for node in piece.statements if parsing.names(node) and parsing.names(node) <= others]
        source = parsing.without(piece.source, out) if out else piece.source
        if source.strip():
            sources.append((piece, source))
    have = set().union(*(parsing.defined(parsing.parse(source)) for _, source in sources))
    lost = parsing.unparse(list({id(node): node for name, node in answer.stub.items() if name not in have}.values()))
    if not sources:
        return [((answer.place, 0), Cell(answer.id, "answer", lost, answer.exercise))]
    placed = [((answer.place, 0), Cell(f"{answer.id}-given", "given", lost))] if lost else []
    for i, (piece, source) in enumerate(sources, 1):
        name = answer.id if i == len(sources) else f"{answer.id}-{piece.number}"
        at = piece.place if piece.place in region else answer.place
        placed.append(((at, piece.number), Cell(name, "answer", source, answer.exercise)))
    return placed


def _hoisted(answers: list[Trusted], placed: list[Placed]) -> list[Placed]:
    """A helper that stands below the checks of an answer that uses it is moved above the answer."""
    placed = list(placed)
    place = {answer.exercise: answer.place for answer in answers}
    reads = {cell.id: reading.read(cell.source) for _, cell in placed}
    moved = True
    while moved:
        moved = False
        for at, cell in list(placed):
            if cell.exercise is None:
                continue
            missing = reads[cell.id].all_names - set().union(*(reads[other.id].binds for key, other in placed if key <= at))
            for i, (key, other) in enumerate(placed):
                if other.kind == "extra" and key > at and reads[other.id].binds & missing:
                    target = (place[cell.exercise], 0)
                    if key > target:
                        placed[i] = (target, Cell(other.id, "extra", other.source, cell.exercise))
                        moved = True
    return placed


def _with_imports(cells: list[Trusted], ordered: list[Cell], repairs: Repairs) -> list[Cell]:
    """Where a student's cell takes a name that the lab imports, the import is repeated for the checks that need the name."""
    imports = {name: node for cell in cells if cell.role == "given" for node in cell.statements for name in _imported(node)}
    result, taken = [], set()
    for cell in ordered:
        if cell.kind in ("answer", "extra"):
            tree = parsing.parse(cell.source)
            for node in tree.body if tree else []:
                taken |= {n for n in parsing.names(node) if n in imports and parsing.same(node) != parsing.same(imports[n])}
        elif cell.kind == "check" and (names := sorted(taken & reading.read(cell.source).names)):
            repairs.add(REBOUND, ", ".join(names))
            nodes = list({id(imports[name]): imports[name] for name in names}.values())
            result.append(Cell(f"{cell.id}-imports", "given", parsing.unparse(nodes)))
        result.append(cell)
    return result


def _imported(node: ast.stmt) -> set[str]:
    return parsing.names(node) if isinstance(node, (ast.Import, ast.ImportFrom)) else set()


def _unique(cells: Iterable[Cell]) -> list[Cell]:
    """Cells with ids that differ, whatever the student called theirs."""
    seen: set[str] = set()
    result = []
    for cell in cells:
        name = cell.id
        while name in seen:
            name += "-"
        seen.add(name)
        result.append(cell if name == cell.id else Cell(name, cell.kind, cell.source, cell.exercise))
    return result
