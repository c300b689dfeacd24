"""Which of a lab's cells a grade needs: those that answers and checks can feel, and no demonstrations.

A program slice (Weiser, "Program slicing", IEEE TSE 10(4), 1984) of a notebook by cells, read off the syntax tree: a cell is kept if it
may bind or change a name that a kept cell below it may read. What a call may change is not known, so it may change every variable
it is given, and the object whose method it is; in doubt a cell is kept. Calls that are known to change nothing
(numpy's, print, pictures) are listed here. Nothing is executed.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence
from dataclasses import dataclass, field

from labkit.course.grading import parsing
from labkit.course.grading.records import Cell

RANDOM = "random numbers"  # stands for the state of the global generators, as if it were a name
DRAWS = {"rand", "randn", "randint", "random", "normal", "uniform", "choice", "choices", "permutation", "shuffle", "randperm"}
DRAWS |= {"sample", "multinomial", "bernoulli", "rand_like", "randn_like", "randint_like", "gauss", "dropout", "standard_normal"}
SEEDS = {"seed", "manual_seed"}
GENERATORS = ("numpy.random", "torch", "random")
SHOWING = ("matplotlib", "IPython.display", "labkit.course", "labkit.explorers", "labkit.report")  # they show, and change nothing
PURE = ("numpy", "math", "cmath", "scipy", "torch", "itertools", "functools", "collections", "statistics", "json", "pathlib")
CHANGING = {"exec", "eval", "setattr", "delattr", "globals", "locals", "vars", "__import__", "get_ipython", "next", "compile"}
DYNAMIC = CHANGING - {"next", "setattr", "delattr"}  # behind these may be any name
HARMLESS = {name for name in dir(builtins) if name not in CHANGING}


@dataclass
class Reading:
    """What a cell does to the names of the notebook. `reads` when it runs; `later` when a function that it defines is called."""

    reads: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    aliases: set[tuple[str, str]] = field(default_factory=set)
    dynamic: bool = False

    @property
    def names(self) -> set[str]:
        return self.reads | self.later


def needed(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells that are run: all answers and checks, and of the given cells and the student's helpers those they need.

    >>> np, plot = Cell("np", "given", "import numpy as np"), Cell("plot", "given", "plt.plot(f(3))")
    >>> answer, check = Cell("a", "answer", "def f(x): return 2 * x"), Cell("c", "check", "check.value(f(np.pi))")
    >>> [cell.id for cell in needed([np, answer, plot, check])]
    ['np', 'a', 'c']
    """
    origins = _origins(cells)
    readings = [read(cell, origins) for cell in cells]
    _spread(readings, {name for name in origins})
    keep = [cell.kind in ("answer", "check") or (cell.kind == "extra" and r.dynamic) for cell, r in zip(cells, readings, strict=True)]
    end = max((i for i, kept in enumerate(keep) if kept), default=0)
    until: dict[str, int] = {}  # a name, and the last place where it may be read
    work = [i for i, kept in enumerate(keep) if kept]
    while work:
        for i in work:
            for name in readings[i].reads:
                until[name] = max(until.get(name, 0), i)
            for name in readings[i].later:  # a function may be called up to the end
                until[name] = end
        work = [i for i, r in enumerate(readings) if not keep[i] and any(until.get(n, 0) > i for n in r.binds | r.changes)]
        for i in work:
            keep[i] = True
    return tuple(cell for cell, kept in zip(cells, keep, strict=True) if kept)


def read(cell: Cell, origins: dict[str, str] | None = None) -> Reading:
    """What a cell does to names. `origins` says which names are imported, and from where; without it, all are variables."""
    tree = parsing.parse(cell.source)
    if tree is None:
        return Reading()  # it will not run
    reader = _Reader(origins or {})
    try:
        reader.visit(tree)
    except RecursionError:
        reader.found.dynamic = True
    return reader.found


def _origins(cells: Sequence[Cell]) -> dict[str, str]:
    """Imported names, with what they stand for: {"np": "numpy", "fit": "labkit.training.fit"}."""
    origins: dict[str, str] = {}
    for cell in cells:
        tree = parsing.parse(cell.source)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    origins[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                origins.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return origins


def _spread(readings: list[Reading], imported: set[str]) -> None:
    """What changes a part of an object changes the object: a change of one of two names that may share it is one of both."""
    group: dict[str, set[str]] = {}
    for reading in readings:
        for a, b in reading.aliases:
            if a in imported or b in imported:
                continue
            joint = group.get(a, {a}) | group.get(b, {b})
            group.update(dict.fromkeys(joint, joint))
    for reading in readings:
        reading.changes |= {other for name in reading.changes for other in group.get(name, ())}


class _Reader(ast.NodeVisitor):
    """Walks a cell in the order in which it runs."""

    def __init__(self, origins: dict[str, str]):
        self.found = Reading()
        self.origins = origins
        self.sure: set[str] = set()  # bound by this cell itself, whatever happens
        self.scopes: list[set[str]] = []  # local names of the functions and comprehensions around
        self.deferred = 0

    # names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        else:
            self._bind(node.id)

    def _local(self, name: str) -> bool:
        return any(name in scope for scope in self.scopes)

    def _read(self, name: str) -> None:
        if name in DYNAMIC:
            self.found.dynamic = True
        if not self._local(name):
            if self.deferred:
                self.found.later.add(name)
            elif name not in self.sure:
                self.found.reads.add(name)

    def _bind(self, name: str) -> None:
        if not self._local(name):
            self.found.binds.add(name)
            if not self.deferred:
                self.sure.add(name)

    def _change(self, names: set[str]) -> None:
        self.found.changes |= {name for name in names if not self._local(name)}

    # statements

    def visit_Import(self, node: ast.Import) -> None:
        for name in parsing.names(node):
            if name == "*":
                self.found.dynamic = True
            self._bind(name)

    visit_ImportFrom = visit_Import

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._target(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value:
            self.visit(node.value)
            self._target(node.target, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self._change(_roots(node.target))  # x += 1 may change the array that another name shares
        for name in _roots(node.target):
            self._read(name)
        self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._target(node.target, node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._target(target, None)

    def _target(self, target: ast.expr, value: ast.expr | None) -> None:
        for part in ast.walk(target):
            if isinstance(part, (ast.Attribute, ast.Subscript)) and isinstance(part.ctx, (ast.Store, ast.Del)):
                self._change(_roots(part))
        self.visit(target)
        if value is not None and not self._pure(value):
            shared = {(a, b) for a in _roots(target) for b in _given_on(value) if not self._local(a) and not self._local(b)}
            self.found.aliases |= shared

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        before = set(self.sure)
        self._target(node.target, node.iter)
        self._block(node.body)
        self.sure = before
        self._block(node.orelse)

    visit_AsyncFor = visit_For

    def visit_With(self, node: ast.With) -> None:
        before = set(self.sure)
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars:
                self._target(item.optional_vars, item.context_expr)
        self._block(node.body)
        self.sure = before  # check.needs swallows errors, so that the block may end early

    visit_AsyncWith = visit_With

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._block(node.body)
        self._block(node.orelse)

    visit_While = visit_If

    def visit_Try(self, node: ast.Try) -> None:
        self._block(node.body)
        for handler in node.handlers:
            before = set(self.sure)
            if handler.type:
                self.visit(handler.type)
            if handler.name:
                self._bind(handler.name)
            self._block(handler.body)
            self.sure = before
        self._block(node.orelse)
        self._block(node.finalbody)

    visit_TryStar = visit_Try

    def visit_match_case(self, node: ast.match_case) -> None:
        before = set(self.sure)
        for part in ast.walk(node.pattern):
            for name in (getattr(part, "name", None), getattr(part, "rest", None)):
                if isinstance(name, str):
                    self._bind(name)
        self.generic_visit(node)
        self.sure = before

    def _block(self, body: list[ast.stmt]) -> None:
        """Statements that may run or not."""
        before = set(self.sure)
        for node in body:
            self.visit(node)
        self.sure = before

    # scopes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(part)
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg) and argument.annotation:
                self.visit(argument.annotation)
        if node.returns:
            self.visit(node.returns)
        self._bind(node.name)
        self._function(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(part)
        self._function(node, [node.body])

    def _function(self, node: ast.AST, body: list) -> None:
        outer = {name for part in body for n in _inside(part) if isinstance(n, ast.Global) for name in n.names}
        local = {n.id for part in body for n in _inside(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        local |= {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        local |= {n.name for part in body for n in _inside(part) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
        local |= {name for part in body for n in _inside(part) for name in parsing.names(n) if isinstance(n, (ast.Import, ast.ImportFrom))}
        self.scopes.append(local - outer)
        self.deferred += 1
        for part in body:
            self.visit(part)
        self.deferred -= 1
        self.scopes.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]:
            self.visit(part)
        self._block(node.body)  # its attributes count as names of the cell: one name too many does no harm
        self._bind(node.name)

    def _comprehension(self, node) -> None:
        local = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        self.visit(node.generators[0].iter)
        self.scopes.append(local)
        self.generic_visit(node)
        self.scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # calls

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._call(node.value, discarded=True)
            self.generic_visit(node.value)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node, discarded=False)
        self.generic_visit(node)

    def _call(self, node: ast.Call, discarded: bool) -> None:
        callee = self._dotted(node.func)
        last = callee.rpartition(".")[2]
        if callee.startswith(GENERATORS) and last in DRAWS | SEEDS:
            if last in DRAWS:
                self._read(RANDOM)
                self._change({RANDOM})
            else:
                self._bind(RANDOM)
            return
        if self._shows(callee) or callee in HARMLESS:
            return
        if isinstance(node.func, ast.Attribute):
            roots = _roots(node.func.value)
            self._change({name for name in roots if discarded or name not in self.origins})
        if not self._pure(node, discarded):
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            self._change({name for part in parts for name in _given_on(part) if name not in self.origins})

    def _pure(self, node: ast.expr, discarded: bool = False) -> bool:
        """Whether an expression is a call that gives back something new and changes nothing."""
        if not isinstance(node, ast.Call):
            return isinstance(node, (ast.Constant, ast.BinOp, ast.Compare, ast.JoinedStr, ast.Lambda))
        callee = self._dotted(node.func)
        in_place = any(keyword.arg in ("out", "inplace") for keyword in node.keywords) or callee.endswith("_")
        known = callee in HARMLESS or self._shows(callee) or callee.partition(".")[0] in PURE
        return known and not in_place and not discarded

    def _shows(self, callee: str) -> bool:
        return callee.startswith(SHOWING) and not callee.startswith("labkit.course.style")

    def _dotted(self, func: ast.expr) -> str:
        """What is called: "numpy.mean" for np.mean, "print", and "" for a variable's method or function."""
        parts = []
        while isinstance(func, ast.Attribute):
            parts.append(func.attr)
            func = func.value
        if not isinstance(func, ast.Name) or self._local(func.id):
            return ""
        name = self.origins.get(func.id, func.id if func.id in HARMLESS and not parts else "")
        return ".".join([name, *reversed(parts)]) if name else ""


def _roots(node: ast.expr | None) -> set[str]:
    """The variables that an expression is a part of: {"model"} for model.layers[0].weight."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.Await)):
        return _roots(node.value)
    if isinstance(node, ast.Call):
        return _roots(node.func) if isinstance(node.func, ast.Attribute) else _given_on(node)
    if isinstance(node, (ast.Tuple, ast.List)):
        return set().union(*(_roots(part) for part in node.elts))
    return set()


def _given_on(node: ast.expr) -> set[str]:
    """The variables that a value may share something with."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}


def _inside(node: ast.AST):
    """A node and what is below it, without the insides of functions defined there."""
    yield node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
        return
    for child in ast.iter_child_nodes(node):
        yield from _inside(child)
