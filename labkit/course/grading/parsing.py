"""What the source of a student's cell says, read without running it.

Anything may stand in a cell: magics, half a function, a megabyte of brackets. Nothing here raises.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache

LONGEST = 30_000  # characters of one cell; a person writes a few hundred, and the parser needs memory and, for f-strings, time
DEEPEST = 100  # levels of a syntax tree; a person needs thirty, and walking it needs stack
MAGIC_LINES = 20  # lines of one cell that are no Python and are taken out, one after the other
TRANSPARENT = ("time", "timeit", "capture", "prun")  # cell magics that run the Python below them
MAGIC = re.compile(r"([ \t]*)(?:\w[\w ,.]*=[ \t]*)?(?:[%!?].*|[\w.]+\?{1,2}[ \t]*)")
TIMED = re.compile(r"([ \t]*)%(?:time|prun)[ \t]+(?=\S)")  # a line magic that runs the rest of its line
MARKER = re.compile(r"(?<=#)([ \t]*)((?:NBVAL|PYTEST_VALIDATE)_\w+)")  # nbval obeys such comments


@lru_cache(maxsize=512)
def parse(source: str) -> ast.Module | None:
    """The syntax tree of a cell; None where it is no Python, or none that a person writes.

    >>> parse("x = 1") is None, parse("x = = 1") is None, parse("(" * 100_000) is None
    (False, True, True)
    """
    tree, _ = _attempt(source)
    return tree


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
        _, bad = _attempt("\n".join(lines))
        if bad is None or bad >= len(lines) or len(lines[bad]) > 1000 or not MAGIC.fullmatch(lines[bad]):
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
    return ast.dump(node)


def key(source: str) -> str:
    """The like for a whole cell, Python or not."""
    tree = parse(source)
    return same(tree) if tree and tree.body else "\n".join(line.rstrip() for line in source.strip().split("\n"))


def without(source: str, nodes: list[ast.stmt]) -> str:
    """A cell without some of its statements. The others keep their lines, where no line holds both.

    >>> source = "a = 1\\n# why\\nb = 2"
    >>> without(source, parse(source).body[:1])
    '\\n# why\\nb = 2'
    """
    starts = {(node.lineno, node.col_offset) for node in nodes}
    kept = [node for node in parse(source).body if (node.lineno, node.col_offset) not in starts]
    if not kept:
        return ""
    gone = set().union(*map(_lines, nodes))
    if gone & set().union(*map(_lines, kept)):
        return unparse(kept)
    return "\n".join("" if i in gone else line for i, line in enumerate(source.split("\n"), 1))


def _lines(node: ast.stmt) -> range:
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return range(first, node.end_lineno + 1)


def unparse(nodes: list[ast.stmt]) -> str:
    """Statements as source, without their comments."""
    return ast.unparse(ast.Module(body=nodes, type_ignores=[]))


def _attempt(source: str) -> tuple[ast.Module | None, int | None]:
    """The tree of a source, or the line, counted from 0, where Python stops to understand."""
    if len(source) > LONGEST:
        return None, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a student's string is not our worry
            tree = ast.parse(source)
    except SyntaxError as error:
        return None, (error.lineno or 1) - 1
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return None, None
    level, depth = [tree], 0
    while level and depth <= DEEPEST:
        level, depth = [child for node in level for child in ast.iter_child_nodes(node)], depth + 1
    return (None if level else tree), None
