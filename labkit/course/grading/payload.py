"""Whether what a submission sent is a value at all.

`compare.encode` writes payloads in one form only. A submission can send anything by hand, and what is not of that form must not
reach the comparison: an empty list in place of a number, say, would differ from nothing in numpy's broadcasting.
"""

from __future__ import annotations

import re
from typing import Any

from labkit.course.compare import LARGEST, NOT_FINITE

DEEPEST = 32
NUMBER_TYPE = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64|128)")


def well_formed(payload: Any, depth: int = 0) -> bool:
    """Whether `payload` is one that `compare.encode` could have written.

    >>> well_formed({"dtype": "int64", "shape": [2], "values": [1, 2]}), well_formed({"dtype": "int64", "shape": [], "values": []})
    (True, False)
    """
    if depth > DEEPEST or not isinstance(payload, dict) or payload.keys() != {"dtype", "shape", "values"}:
        return False
    dtype, shape, values = payload["dtype"], payload["shape"], payload["values"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        return False
    if dtype == "none":
        return shape == [] and values is None
    if dtype == "str":
        return shape == [] and isinstance(values, str)
    if dtype == "dict":
        return isinstance(values, dict) and shape == [len(values)] and all(well_formed(v, depth + 1) for v in values.values())
    if dtype == "list":
        return isinstance(values, list) and shape == [len(values)] and all(well_formed(v, depth + 1) for v in values)
    return bool(NUMBER_TYPE.fullmatch(dtype)) and len(shape) <= DEEPEST and _has_shape(values, shape) and _count(shape) <= LARGEST


def _has_shape(values: Any, shape: list[int]) -> bool:
    if not shape:
        return type(values) in (int, float, bool) or (isinstance(values, str) and values in NOT_FINITE)
    return isinstance(values, list) and len(values) == shape[0] and all(_has_shape(v, shape[1:]) for v in values)


def _count(shape: list[int]) -> int:
    product = 1
    for n in shape:
        product *= n
    return product
