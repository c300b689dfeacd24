"""A copy of labkit without the functions that a lab asks a student to write.

While a lab is graded its kernel imports this copy, so an answer cannot borrow the original, nor read its source. A taken function
or class is still there, under every name it is exported by, and raises one sentence when it is called: code that only imports it
goes on.
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
INSIDE = ("__init__.py", "zygote.py", "processes.py", "student_kernel.py")  # of this room
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def copy_without(names: Sequence[str], cache: str | Path, package: str | Path = PACKAGE) -> Path:
    """The folder to import labkit from: `cache`/labkit-<hash>, written on the first call for this content and these names.

    `names` are dotted, with or without the leading ``labkit.``: a function, a class, or a method of a class. Raises ValueError for
    a name that is none of these. Of the grader the copy keeps only what runs inside the sandbox.
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
    """Replaces what `name` defines, in the module that defines it, by one that raises."""
    file, inside = _locate(package, name.split("."), name)
    text = file.read_text(encoding="utf-8")
    node = _find(ast.parse(text).body, inside, name)
    lines = text.splitlines(keepends=True)
    lines[node.lineno - 1 : node.end_lineno] = [_raising(node, f"{package.name}.{name}", lines[node.lineno - 1])]
    file.write_text("".join(lines), encoding="utf-8")


def _locate(package: Path, parts: list[str], name: str) -> tuple[Path, list[str]]:
    """The file that defines a dotted name, and the rest of the name inside it; re-exports are followed to where they come from."""
    folder = package
    while parts and (folder / parts[0]).is_dir():
        folder, parts = folder / parts[0], parts[1:]
    if parts and (folder / f"{parts[0]}.py").is_file():
        file, parts = folder / f"{parts[0]}.py", parts[1:]
    else:
        file = folder / "__init__.py"
    if not parts or not file.is_file():
        raise ValueError(
            f"{name!r} names no function or class of {package.name}; write it as module.function or module.Class.method"
        )
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == parts[0] and node.module.split(".")[0] == package.name:
                    return _locate(package, [*node.module.split(".")[1:], alias.name, *parts[1:]], name)
    return file, parts


def _find(body: list[ast.stmt], inside: list[str], name: str) -> Definition:
    defined = {node.name: node for node in body if isinstance(node, Definition)}
    if inside[0] not in defined:
        raise ValueError(
            f"{name!r} names no function or class of labkit: there is no {inside[0]!r}; {did_you_mean(inside[0], defined)}"
        )
    node = defined[inside[0]]
    return _find(node.body, inside[1:], name) if len(inside) > 1 else node


def _raising(node: Definition, name: str, line: str) -> str:
    """The source of a definition whose body is gone. Decorators stay, as they lie before its first line; so do the arguments."""
    sentence = f"raise RuntimeError({f'{name} is not available while exercises are graded; use your own code'!r})"
    if isinstance(node, ast.ClassDef):
        node.body = ast.parse(f"def __init__(self, *args, **options):\n    {sentence}").body
        node.bases = node.keywords = []
    else:
        node.body = ast.parse(sentence).body
        node.args.defaults = [ast.Constant(None)] * len(node.args.defaults)  # a default may hold a part of the answer
        node.args.kw_defaults = [default and ast.Constant(None) for default in node.args.kw_defaults]
    node.decorator_list = []
    indent = line[: len(line) - len(line.lstrip())]
    return "".join(f"{indent}{row}\n" for row in ast.unparse(node).splitlines())


@lru_cache(maxsize=32)
def _digest(package: Path, names: tuple[str, ...]) -> str:
    """Over everything that ends up in the copy. Once per process: nobody edits labkit while it grades."""
    digest = hashlib.sha256("\n".join(names).encode())
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(package)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
