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
from contextlib import contextmanager
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
    passed: set[str] = field(default_factory=set)  # given to a call, which may change it unless it is a function or a module
    aliases: set[tuple[str, str]] = field(default_factory=set)
    functions: dict[str, Reading] = field(default_factory=dict)  # what the functions and classes that it defines do when they are used
    sure: set[str] = field(default_factory=set)  # bound in any case
    variables: set[str] = field(default_factory=set)  # bound other than by def, class and import
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
    _complete(readings)
    keep = [cell.kind in ("answer", "check") or (cell.kind == "extra" and r.dynamic) for cell, r in zip(cells, readings, strict=True)]
    end = max((i for i, kept in enumerate(keep) if kept), default=0)
    felt: dict[str, set[tuple[int, int]]] = {}  # a name, and between which places what is done to it is felt
    work = [i for i, kept in enumerate(keep) if kept]
    while work:
        for i in work:
            for name in readings[i].reads:
                felt.setdefault(name, set()).add((_last_binding(cells, readings, name, i), i))
            for name in readings[i].later:  # a function may be called up to the end
                felt.setdefault(name, set()).add((0, end))
        work = [
            i
            for i, reading in enumerate(readings)
            if not keep[i] and any(a <= i < b for name in reading.binds | reading.changes for a, b in felt.get(name, ()))
        ]
        for i in work:
            keep[i] = True
    return tuple(cell for cell, kept in zip(cells, keep, strict=True) if kept)


def _last_binding(cells: Sequence[Cell], readings: list[Reading], name: str, before: int) -> int:
    """The place of the last cell of the lab that binds a name anew, so that what was done to it earlier is forgotten."""
    places = (i for i in range(before - 1, -1, -1) if cells[i].kind in ("given", "check") and name in readings[i].sure)
    return next(places, 0)


def read(cell: Cell, origins: dict[str, str] | None = None) -> Reading:
    """What a cell does to names. `origins` says which names are imported, and from where; without it, all are variables."""
    tree = parsing.parse(cell.source)
    if tree is None:
        return Reading()  # it will not run
    reader = _Reader(origins or {})
    try:
        reader.visit(tree)
        reader.found.sure = reader.sure
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


def _complete(readings: list[Reading]) -> None:
    """Adds to what a cell changes: what the functions that it uses change, and whatever shares an object with what it changes."""
    variables = set().union(*(reading.variables for reading in readings))
    functions: dict[str, Reading] = {name: inner for reading in readings for name, inner in reading.functions.items()}
    group: dict[str, set[str]] = {}
    for a, b in {pair for reading in readings for pair in reading.aliases if variables.issuperset(pair)}:
        joint = group.get(a, {a}) | group.get(b, {b})
        group.update(dict.fromkeys(joint, joint))
    for reading in readings:
        called, work = set(), reading.names
        while work:
            inner = [functions[name] for name in work if name in functions]
            called |= work
            reading.changes |= set().union(*(one.changes | one.binds | (one.passed & variables) for one in inner))
            work = set().union(*(one.names for one in inner)) - called
        reading.changes |= reading.passed & variables
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

    def _bind(self, name: str, variable: bool = True) -> None:
        if not self._local(name):
            self.found.binds.add(name)
            self.found.variables |= {name} if variable else set()
            if not self.deferred:
                self.sure.add(name)

    def _change(self, names: set[str]) -> None:
        self.found.changes |= {name for name in names if not self._local(name)}

    def _pass(self, names: set[str]) -> None:
        self.found.passed |= {name for name in names if not self._local(name)}

    # statements

    def visit_Import(self, node: ast.Import) -> None:
        for name in parsing.names(node):
            if name == "*":
                self.found.dynamic = True
            self._bind(name, variable=False)

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
        self._bind(node.name, variable=False)
        with self._named(node.name):
            self._function(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    @contextmanager
    def _named(self, name: str):
        """What is changed within happens to whoever uses the function or class of this name, and not now."""
        outer, self.found = self.found, Reading()
        yield
        inner, self.found = self.found, outer
        if not self.deferred:
            outer.functions[name] = inner
        outer.reads |= inner.reads
        outer.later |= inner.later
        outer.aliases |= inner.aliases
        outer.variables |= inner.variables
        outer.dynamic |= inner.dynamic
        for part in (() if not self.deferred else ("binds", "changes", "passed")):
            getattr(outer, part).update(getattr(inner, part))

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
        with self._named(node.name):
            self._block(node.body)  # its attributes count as names of the cell: one name too many does no harm
        self._bind(node.name, variable=False)

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
            (self._change if discarded else self._pass)(roots)
        if not self._pure(node, discarded):
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            self._pass(set().union(*(_given_on(part) for part in parts)))

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
