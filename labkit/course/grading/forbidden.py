"""A copy of labkit without the functions that a lab asks a student to write.

While a lab is graded its kernel imports this copy, so an answer cannot borrow the original, nor read its source. A taken function
is still there, under every name it is exported by, and raises one sentence when it is called: code that only imports it goes on.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from labkit.naming import did_you_mean

PACKAGE = Path(__file__).resolve().parents[2]
INSIDE = ("__init__.py", "zygote.py", "processes.py", "scratch.py", "student_kernel.py", "syscalls.py")  # of this room
Function = ast.FunctionDef | ast.AsyncFunctionDef


def copy_without(names: Sequence[str], cache: str | Path, package: str | Path = PACKAGE) -> Path:
    """The folder to import labkit from: `cache`/labkit-<hash>, written on the first call for this content and these names.

    `names` are dotted, with or without the leading ``labkit.``: a function, a method, a class (all its methods) or a module (all
    its functions and classes). Raises ValueError for a name that is none of these. Of the grader's own files the copy keeps only
    those that run inside the sandbox.
    """
    package = Path(package)
    names = sorted({name.removeprefix(f"{package.name}.") for name in names})
    target = Path(cache) / f"{package.name}-{_digest(package, tuple(names))}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    try:
        shutil.copytree(package, scratch / package.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        for name in names:
            _take(scratch / package.name, name)
        for file in (scratch / package.name / "course" / "grading").glob("*.py"):
            if file.name not in INSIDE:
                file.unlink()
        scratch.chmod(0o755)  # the kernel may run as another user
        os.replace(scratch, target)
    except OSError:
        if not target.exists():  # else another worker was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _take(package: Path, name: str) -> None:
    """Replaces the body of every function that `name` stands for by a sentence that is raised."""
    file, inside = _locate(package, name.split("."), name)
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    for node in reversed(_functions(ast.parse(text).body, inside, name)):  # from the end, so that line numbers stay true
        lines[node.lineno - 1 : node.end_lineno] = _raising(node, f"{package.name}.{name}", lines[node.lineno - 1])
    file.write_text("".join(lines), encoding="utf-8")


def _locate(package: Path, parts: list[str], name: str) -> tuple[Path, list[str]]:
    """The file that defines a dotted name, and the rest of the name inside it; re-exports are followed to where they come from."""
    folder = package
    while parts and (folder / parts[0]).is_dir():
        folder, parts = folder / parts[0], parts[1:]
    if parts and (folder / f"{parts[0]}.py").is_file():
        return folder / f"{parts[0]}.py", parts[1:]
    file = folder / "__init__.py"
    if not parts or not file.is_file():
        raise ValueError(
            f"{name!r} is not in {package.name}; name a module, a function, a class or a method, like module.Class.method"
        )
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level and node.module.split(".")[0] == package.name:
            original = next((alias.name for alias in node.names if (alias.asname or alias.name) == parts[0]), None)
            if original:
                return _locate(package, [*node.module.split(".")[1:], original, *parts[1:]], name)
    return file, parts


def _functions(body: list[ast.stmt], inside: list[str], name: str) -> list[Function]:
    """The functions that a name stands for: itself, the methods of a class, all of a module."""
    defined = {}
    for node in body:
        if isinstance(node, (Function, ast.ClassDef)):
            defined.setdefault(node.name, []).append(node)  # a property's getter and setter share a name
    if inside and inside[0] not in defined:
        raise ValueError(f"{name!r} is not in labkit: there is no {inside[0]!r}; {did_you_mean(inside[0], defined)}")
    found = []
    for node in defined[inside[0]] if inside else [node for nodes in defined.values() for node in nodes]:
        if isinstance(node, ast.ClassDef):
            found += _functions(node.body, inside[1:], name)
        elif len(inside) > 1:
            raise ValueError(f"{name!r} is not in labkit: {node.name!r} is a function and has no parts")
        else:
            found.append(node)
    if not found and inside and len(inside) == 1 and isinstance(defined[inside[0]][0], ast.ClassDef):
        raise ValueError(f"{name!r} has no methods that could be taken away")
    return sorted(found, key=lambda node: node.lineno)


def _raising(node: Function, name: str, line: str) -> list[str]:
    """The lines of a function whose body is gone. Its decorators stay, as they lie before its first line; so do its arguments."""
    sentence = f"{name} is not available while exercises are graded; use your own code"
    node.body = ast.parse(f"raise RuntimeError({sentence!r})").body
    node.args.defaults = [ast.Constant(None)] * len(node.args.defaults)  # a default may hold a part of the answer
    node.args.kw_defaults = [default and ast.Constant(None) for default in node.args.kw_defaults]
    node.decorator_list = []
    indent = line[: len(line) - len(line.lstrip())]
    return [f"{indent}{row}\n" for row in ast.unparse(node).splitlines()]


@lru_cache(maxsize=32)
def _digest(package: Path, names: tuple[str, ...]) -> str:
    """Over everything that ends up in the copy. Once per process: nobody edits labkit while it grades."""
    digest = hashlib.sha256("\n".join(names).encode())
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(package)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
