"""What the source of a student's cell says, read without running it.

Anything may stand in a cell: magics, half a function, a megabyte of brackets. Nothing here raises.
"""

from __future__ import annotations

import ast
import re
import warnings

LONGEST = 300_000  # characters of one cell; a person writes a few hundred, and the parser needs memory
MAGIC_LINES = 50  # lines of one cell that are no Python and are taken out, one after the other
TRANSPARENT = ("time", "timeit", "capture", "prun")  # cell magics that run the Python below them
MAGIC = re.compile(r"^(\s*)(?:[\w\s,.]+=\s*)?(?:[%!?].*|[\w.]+\?{1,2}\s*)$")
TIMED = re.compile(r"^(\s*)%(?:time|prun)\s+(?=\S)")  # a line magic that runs the rest of its line
MARKER = re.compile(r"^(\s*#+\s*)((?:NBVAL|PYTEST_VALIDATE)_\w+)\s*$", flags=re.MULTILINE)


def parse(source: str) -> ast.Module | None:
    """The syntax tree of a cell; None where it is no Python.

    >>> parse("x = 1") is None, parse("x = = 1") is None, parse("(" * 100_000) is None
    (False, True, True)
    """
    if len(source) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a student's string is not our worry
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None


def plain(source: str) -> tuple[str, list[str]]:
    """A cell without the lines that are IPython's and not Python's, and these lines.

    Lines keep their numbers. What `%time` and `%%time` run stays; a cell for another language (`%%bash`) becomes empty.
    The marks by which nbval skips a cell lose their meaning.

    >>> plain("!pip install x\\ny = 1")
    ('pass\\ny = 1', ['!pip install x'])
    >>> plain("%%script false\\ny = 1")
    ('', ['%%script false'])
    >>> plain("# NBVAL_SKIP\\ny = (5\\n  % 3)")
    ('# NBVAL SKIP\\ny = (5\\n  % 3)', [])
    """
    source = MARKER.sub(lambda mark: mark[1] + mark[2].replace("_", " "), source)
    removed: list[str] = []
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        removed.append(lines[first].strip())
        if (lines[first][2:].split() or [""])[0] not in TRANSPARENT:
            return "", removed
        lines[first] = ""
    for _ in range(MAGIC_LINES):
        bad = _first_bad_line("\n".join(lines))
        if bad is None or bad >= len(lines) or not MAGIC.match(lines[bad]):
            break  # Python itself points at the line: a % that continues a sum is not taken for a magic
        removed.append(lines[bad].strip())
        timed = TIMED.match(lines[bad])
        indent = MAGIC.match(lines[bad])[1]
        lines[bad] = indent + lines[bad][timed.end() :] if timed else indent + "pass"
    return "\n".join(lines), removed


def names(node: ast.AST) -> set[str]:
    """The names that a statement at the top of a cell defines or assigns."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    if isinstance(node, (ast.If, ast.Try, ast.With)):  # a definition under a condition is one
        return {name for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt) for name in names(child)}
    return set()


def defined(tree: ast.Module | None) -> set[str]:
    """All names that a cell defines at its top."""
    return set().union(*(names(node) for node in tree.body)) if tree else set()


def same(node: ast.AST) -> str:
    """A key that two pieces of code share if they differ in layout and comments only."""
    try:
        return ast.dump(node)
    except RecursionError:
        return repr(node)


def key(source: str) -> str:
    """The like for a whole cell, Python or not."""
    tree = parse(source)
    return same(tree) if tree and tree.body else "\n".join(line.rstrip() for line in source.strip().split("\n"))


def unparse(nodes: list[ast.stmt]) -> str:
    """Statements as source, without their comments."""
    return ast.unparse(ast.Module(body=nodes, type_ignores=[]))


def _first_bad_line(source: str) -> int | None:
    """The line, counted from 0, where Python stops to understand."""
    if len(source) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        return (error.lineno or 1) - 1
    except (ValueError, RecursionError, MemoryError, OverflowError):
        pass
    return None
