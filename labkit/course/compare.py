"""Values that leave the kernel, and how two of them are compared.

A check cell sends its value out as plain JSON (`encode`); the value expected of it lies in the solution notebook, and both meet
in the process that runs the tests, never in the kernel where a student's code runs. nbval (plugin.py) and the trials (trial.py)
use the one `difference` of this file, so that they cannot disagree.

A value is a number, a string, an array or tensor of numbers, or lists and dicts of these. Numbers are compared as numbers: int8 3,
float 3.0 and a list holding 3 are the same; a lab that grades the type sends the type (``check.value(str(q.dtype))``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

MIME = "application/vnd.labkit.value+json"
RTOL, ATOL = 1e-6, 1e-9  # for floats, unless the check cell says otherwise; whole numbers and strings are exact
LARGEST = 10_000  # numbers in one value: what a person can still read in a notebook's file
NUMBERS = "biuf"  # numpy's letters for bool, integers and floats
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no such numbers


def encode(value: Any) -> dict:
    """`value` as JSON: ``{"dtype", "shape", "values"}``, without rounding. Raises TypeError for what is not a value.

    >>> encode([1, 2])
    {'dtype': 'int64', 'shape': [2], 'values': [1, 2]}
    >>> encode({"name": "ds-cnn", "acc": 0.5})["values"]["acc"]
    {'dtype': 'float64', 'shape': [], 'values': 0.5}
    """
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    if value is None or isinstance(value, str):
        return {"dtype": "none" if value is None else "str", "shape": [], "values": value}
    if isinstance(value, Mapping):
        return {"dtype": "dict", "shape": [len(value)], "values": {str(key): encode(item) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        array = _as_numbers(value)
        if array is None:
            return {"dtype": "list", "shape": [len(value)], "values": [encode(item) for item in value]}
        value = array
    array = np.asarray(value)
    if array.dtype.kind == "U":
        return encode(array.tolist())
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"a {type(value).__name__} cannot be compared; send numbers, strings, arrays, or lists and dicts of them")
    if array.size > LARGEST:
        raise TypeError(f"{array.size} numbers are too many for one value; send a part or a summary of at most {LARGEST}")
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": _finite(array.tolist())}


def describe(payload: dict) -> str:
    """A payload in a few words, the same on every machine.

    >>> describe(encode([[1.5, 2.0]]))
    'float64 of shape (1, 2)'
    """
    return f"{payload['dtype']} of shape {tuple(payload['shape'])}" if payload["shape"] else payload["dtype"]


def bundle(payload: dict) -> dict:
    """A payload as a notebook shows it. The text says the kind only: nbval without our plug-in compares it literally."""
    return {MIME: payload, "text/plain": f"value: {describe(payload)}"}


def difference(want: dict, got: dict, rtol: float | None = None, atol: float | None = None) -> str:
    """What is wrong with `got`, as the end of a sentence; empty when it agrees. NaN agrees with NaN.

    Where a float is wanted: |got − want| ≤ atol + rtol·|want|. Whole numbers are exact unless the cell names a tolerance.

    >>> difference(encode(2.0), encode(2.0000001))
    ''
    >>> difference(encode([1, 2]), encode([1, 3]))
    '1 of 2 numbers differ, the first at [1]'
    """
    if want["dtype"] in ("dict", "list"):
        return _nested_difference(want, got, rtol, atol)
    if want["dtype"] in ("str", "none"):
        return "" if want == got else f"the {want['dtype']} differs"
    if got["dtype"] in ("dict", "list", "str", "none"):
        return f"it is a {got['dtype']}, not a number"
    if want["shape"] != got["shape"]:
        return f"its shape is {tuple(got['shape'])}, not {tuple(want['shape'])}"
    if np.array(got["values"], dtype=object).size != math.prod(got["shape"]):  # whoever sent this did not use `encode`
        return "its numbers are not as many as its shape says"
    exact = not want["dtype"].startswith("float") and rtol is None and atol is None
    if exact:  # as Python's own integers: floats are exact up to 2⁵³ only
        wrong = np.array(got["values"], dtype=object) != np.array(want["values"], dtype=object)
    else:
        tolerance = {"rtol": RTOL if rtol is None else rtol, "atol": ATOL if atol is None else atol}
        wrong = ~np.isclose(numbers(got), numbers(want), equal_nan=True, **tolerance)
    wrong = np.asarray(wrong, dtype=bool)
    if not wrong.any():
        return ""
    if not want["shape"]:
        return "the number differs"
    return f"{wrong.sum()} of {wrong.size} numbers differ, the first at {[int(i) for i in np.argwhere(wrong)[0]]}"


def numbers(payload: dict) -> np.ndarray:
    """The numbers of a payload as floats, in its shape."""
    flat = np.array(payload["values"], dtype=object).ravel()
    return np.array([NOT_FINITE.get(v, v) for v in flat], dtype=np.float64).reshape(payload["shape"])


def payloads(outputs: list) -> list[dict]:
    """The values among a cell's outputs, in order."""
    return [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]


def verdict(want: list[dict], got: list[dict], rtol: float | None = None, atol: float | None = None) -> str:
    """Compares all values of a check cell. Empty when they agree, else why not."""
    if not want:
        return "no value is stored to compare with; run labkit build"
    if not got:
        return "the cell produced no value"
    if len(want) != len(got):
        return f"the cell produced {len(got)} values, not {len(want)}"
    return next(filter(None, (difference(w, g, rtol, atol) for w, g in zip(want, got, strict=True))), "")


def _nested_difference(want: dict, got: dict, rtol: float | None, atol: float | None) -> str:
    if got["dtype"] != want["dtype"]:
        return f"it is a {got['dtype']}, not a {want['dtype']}"
    if want["dtype"] == "list":
        if len(want["values"]) != len(got["values"]):
            return f"it has {len(got['values'])} entries, not {len(want['values'])}"
        keys: Any = range(len(want["values"]))
    else:
        if want["values"].keys() != got["values"].keys():
            return f"its keys are {', '.join(got['values'])}, not {', '.join(want['values'])}"
        keys = want["values"]
    for key in keys:
        why = difference(want["values"][key], got["values"][key], rtol, atol)
        if why:
            return f"entry {key!r}: {why}"
    return ""


def _as_numbers(items: list | tuple) -> np.ndarray | None:
    """A list as an array when it is a regular one of numbers, else None."""
    if any(isinstance(item, (str, Mapping)) or item is None for item in items):
        return None
    items = [item.detach().cpu().numpy() if hasattr(item, "detach") else item for item in items]
    try:
        array = np.asarray(items)
    except ValueError:  # rows of different lengths
        return None
    return array if array.dtype.kind in NUMBERS else None


def _finite(values: Any) -> Any:
    if isinstance(values, list):
        return [_finite(v) for v in values]
    return str(values) if isinstance(values, float) and not math.isfinite(values) else values
