"""Reads what a student handed in, whatever it is.

Of a notebook only the cells matter here: what kind, which id, which metadata, what source. Outputs and the rest stay behind. A
file of which no cells can be read is `Unreadable`, with one sentence that says what to hand in instead.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 20_000_000  # a notebook full of pictures has a few megabytes
MAX_CELLS = 2_000
MAX_TEXT = 1_000_000  # characters of all cells together, outputs not counted
KINDS = {"code": "code", "markdown": "markdown", "raw": "raw", "heading": "markdown", "html": "markdown"}  # the last two: format 3
SIGNATURES = {  # how a file begins that is something else
    b"PK": "a zip file",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x1f\x8b": "a compressed file",
}


class Unreadable(ValueError):
    """No cells can be read from a submission. The sentence says why, and what to hand in instead."""


def load(path: str | Path) -> dict:
    """A submission as ``{"cells": […], "metadata": …, "nbformat": 4, "nbformat_minor": 5}``; raises `Unreadable`.

    Each cell is ``{"cell_type", "id", "metadata", "source"}`` with its source as one string. Ids are those of the file, also where
    two cells share one; a cell without an id gets "". Notebooks of format 3 are read as well.
    """
    raw = _bytes(Path(path))
    _refuse_other_files(raw)
    try:
        data = json.loads(raw.decode(json.detect_encoding(raw)))
    except (UnicodeDecodeError, ValueError):
        raise Unreadable(_not_json(raw)) from None
    except RecursionError:
        raise Unreadable("its parts are nested too deeply for a notebook; hand in the notebook as Jupyter saves it") from None
    return _notebook(data)


def _bytes(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise Unreadable("it is a link, a folder or nothing at all; hand in the .ipynb file itself")
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"the file is larger than {MAX_BYTES / 1e6:.0f} MB; clear all outputs, save, and hand it in again")
    return raw


def _refuse_other_files(raw: bytes) -> None:
    text = raw.lstrip(b"\xef\xbb\xbf \t\r\n\0")
    if not text:
        raise Unreadable("the file is empty; save the notebook and hand in the .ipynb file again")
    for start, what in SIGNATURES.items():
        if text.startswith(start):
            raise Unreadable(f"this is {what}, not a notebook; hand in the .ipynb file")
    if text[:1] == b"<" and text[:7] != b"<<<<<<<":
        raise Unreadable("this is a web page, not a notebook; hand in the .ipynb file, not an export or the page that shows it")
    if b"\n<<<<<<< " in raw or text.startswith(b"<<<<<<< "):
        raise Unreadable("it holds the conflict marks of git (<<<<<<<); solve the conflict, save, and hand it in again")


def _not_json(raw: bytes) -> str:
    start = raw.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"{" and b'"cell' in raw:
        return "the notebook breaks off or is damaged; open it in Jupyter, save it, and hand it in again"
    return "this is not a notebook; hand in the .ipynb file"


def _notebook(data: Any) -> dict:
    if not isinstance(data, dict):
        raise Unreadable("this is some other data, not a notebook; hand in the .ipynb file")
    nodes = data.get("cells")
    if nodes is None and isinstance(data.get("worksheets"), list):  # format 3 and before
        nodes = [cell for sheet in data["worksheets"] if isinstance(sheet, dict) for cell in _list(sheet.get("cells"))]
    if not isinstance(nodes, list):
        raise Unreadable("it has no list of cells, so it is not a notebook; hand in the .ipynb file")
    if len(nodes) > MAX_CELLS:
        raise Unreadable(f"it has {len(nodes)} cells; hand in the lab's own notebook, with your answers in it")
    cells = [_cell(node) for node in nodes if isinstance(node, dict)]
    if not cells:
        raise Unreadable("the notebook has no cells; hand in the lab's notebook with your answers")
    if sum(len(cell["source"]) for cell in cells) > MAX_TEXT:
        raise Unreadable("its cells hold more text than a person writes; take long data out of them, and hand it in again")
    return {"cells": cells, "metadata": _dict(data.get("metadata")), "nbformat": 4, "nbformat_minor": 5}


def _cell(node: dict) -> dict:
    source = node.get("source", node.get("input", ""))  # format 3 calls a code cell's text `input`
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        source = ""
    source = source.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair
    name = node.get("id")
    metadata = _dict(node.get("metadata"))
    kind = KINDS.get(node.get("cell_type") if isinstance(node.get("cell_type"), str) else "", "raw")
    return {"cell_type": kind, "id": name if isinstance(name, str) else "", "metadata": metadata, "source": source}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}
