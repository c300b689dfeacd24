"""What a cell does to the names of a notebook, read off its syntax tree.

What a call may change is not known, so it may change every variable it is given, and the object whose method it is. Calls that are
known to change nothing (numpy's, print, pictures) are listed here. Not seen: an iterator that one cell uses up for another, and
code in strings other than exec and eval, which are taken to need and change anything.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

from labkit.course.grading import parsing

RANDOM = "random numbers"  # stands for the state of the global generators, as if it were a name
DRAWS = {"rand", "randn", "randint", "random", "normal", "uniform", "choice", "choices", "permutation", "shuffle", "randperm"}
DRAWS |= {"sample", "multinomial", "bernoulli", "rand_like", "randn_like", "randint_like", "gauss", "dropout", "standard_normal"}
SEEDS = {"seed", "manual_seed"}
GENERATORS = ("numpy.random", "torch", "random")
SHOWING = ("matplotlib", "IPython.display", "labkit.course", "labkit.explorers", "labkit.report")  # they show, and change nothing
PURE = ("numpy", "math", "cmath", "scipy", "torch", "itertools", "collections", "statistics", "json", "pathlib")
CHANGING = {"exec", "eval", "setattr", "delattr", "globals", "locals", "vars", "__import__", "get_ipython", "compile"}
CHANGING |= {"next", "map", "filter"}
DYNAMIC = CHANGING - {"next", "map", "filter", "setattr", "delattr"}  # behind these may be any name
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
HARMLESS = {name for name in dir(builtins) if name not in CHANGING}


@dataclass
class Reading:
    """What a cell does to the names of the notebook: those it `reads` when it runs, or `later`, when something in it is called."""

    reads: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)  # read, whoever has bound it
    kept: set[str] = field(default_factory=set)  # used otherwise than in a call: whoever gets it may call it later
    later: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)  # given to a call, which may change it unless it is a function or a module
    aliases: set[tuple[str, str]] = field(default_factory=set)
    functions: dict[str, Reading] = field(
        default_factory=dict
    )  # what the functions and classes that it defines do when they are used
    sure: set[str] = field(default_factory=set)  # bound in any case
    variables: set[str] = field(default_factory=set)  # bound other than by def, class and import
    dynamic: bool = False

    @property
    def names(self) -> set[str]:
        return self.reads | self.later

    def also(self, other: Reading) -> Reading:
        """What one of the two does, or the other."""
        fields = ("reads", "used", "kept", "later", "binds", "changes", "passed")
        return Reading(**{name: getattr(self, name) | getattr(other, name) for name in fields})

    @property
    def all_names(self) -> set[str]:
        """With those that its functions use when they are called."""
        return self.names.union(*(inner.all_names for inner in self.functions.values()))


def read(source: str, imported: dict[str, str] | None = None) -> Reading:
    """What a cell does to names. `imported` says which names are, and from where; without it, all are variables."""
    tree = parsing.parse(source)
    if tree is None:
        return Reading()  # it will not run
    reader = _Reader(imported or {})
    reader.visit(tree)
    reader.found.sure = reader.sure
    return reader.found


def origins(sources: Iterable[str]) -> dict[str, str]:
    """Imported names, with what they stand for: {"np": "numpy", "fit": "labkit.training.fit"}."""
    found: dict[str, str] = {}
    for source in sources:
        tree = parsing.parse(source)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    found[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


class _Reader(ast.NodeVisitor):
    """Walks a cell in the order in which it runs."""

    def __init__(self, imported: dict[str, str]):
        self.found = Reading()
        self.imported = imported
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

    def _read(self, name: str, called: bool = False) -> None:
        if name in DYNAMIC:
            self.found.dynamic = True
        if not self._local(name):
            self.found.kept |= set() if called else {name}
            if self.deferred:
                self.found.later.add(name)
            else:
                self.found.used.add(name)
                self.found.reads |= {name} - self.sure

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
        # a function that makes functions, or a generator, is not over when its call is
        lasting = any(
            isinstance(n, (*FUNCTIONS, ast.ClassDef, ast.Yield, ast.YieldFrom)) for part in node.body for n in ast.walk(part)
        )
        with self._named(node.name, lasting or bool(node.decorator_list)):
            self._function(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    @contextmanager
    def _named(self, name: str, lasting: bool):
        """What is changed within happens to whoever uses the function or class of this name, and not now."""
        outer, self.found = self.found, Reading()
        yield
        inner, self.found = self.found, outer
        if not self.deferred:
            outer.functions[name] = inner
        outer.reads |= inner.reads
        outer.used |= inner.used
        outer.kept |= inner.kept
        outer.later |= inner.later if lasting or self.deferred else set()
        outer.aliases |= inner.aliases
        outer.variables |= inner.variables
        outer.dynamic |= inner.dynamic
        for part in () if not self.deferred else ("binds", "changes", "passed"):
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
        local |= {
            name for part in body for n in _inside(part) for name in parsing.names(n) if isinstance(n, (ast.Import, ast.ImportFrom))
        }
        self.scopes.append(local - outer)
        self.deferred += 1
        for part in body:
            self.visit(part)
        self.deferred -= 1
        self.scopes.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]:
            self.visit(part)
        with self._named(node.name, lasting=True):
            self._block(node.body)
            members = set().union(*(parsing.names(part) for part in node.body))  # not names of the notebook
            self.found.binds -= members
            self.found.variables -= members
            self.found.aliases = {pair for pair in self.found.aliases if not members & set(pair)}
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
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node, discarded=False)

    def _call(self, node: ast.Call, discarded: bool) -> None:
        self._effect(node, discarded)
        if isinstance(node.func, ast.Name):
            self._read(node.func.id, called=True)
        else:
            self.visit(node.func)
        for part in [*node.args, *node.keywords]:
            self.visit(part)

    def _effect(self, node: ast.Call, discarded: bool) -> None:
        callee = self._dotted(node.func)
        last = callee.rpartition(".")[2]
        if callee.startswith(GENERATORS) and last in DRAWS | SEEDS:
            if last in DRAWS:
                self._read(RANDOM)
                self._change({RANDOM})
            else:
                self._bind(RANDOM)
            return
        if self._shows(callee) or (callee in HARMLESS and self._pure(node)):
            return
        if isinstance(node.func, ast.Name):
            self._pass({node.func.id})  # a variable that holds a function
        if isinstance(node.func, ast.Attribute):
            roots = _roots(node.func.value)
            (self._change if discarded else self._pass)(roots)
        if not self._pure(node, discarded):
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            self._pass(set().union(*(_given_on(part) for part in parts)))

    def _pure(self, node: ast.expr, discarded: bool = False) -> bool:
        """Whether an expression is a call that gives back something new and changes nothing."""
        if not isinstance(node, ast.Call):
            return isinstance(node, (ast.Constant, ast.BinOp, ast.Compare, ast.JoinedStr))
        callee = self._dotted(node.func)
        in_place = any(keyword.arg in ("out", "inplace", "key") for keyword in node.keywords) or callee.endswith("_")
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
        name = self.imported.get(func.id, func.id if func.id in HARMLESS and not parts else "")
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
