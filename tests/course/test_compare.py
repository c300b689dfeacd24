"""Values: out of the kernel and back without loss, compared with the tolerance that was asked for."""

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labkit.course.compare import LARGEST, bundle, difference, encode, numbers, verdict

arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int8, np.int64, np.bool_]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
)
values = st.recursive(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=8,
)


def through_json(payload):
    return json.loads(json.dumps(payload, allow_nan=False))


@given(arrays)
def test_arrays_survive_json_bit_by_bit(array):
    payload = through_json(encode(array))
    assert payload["dtype"] == str(array.dtype)
    back = numbers(payload) if array.dtype.kind == "f" else np.reshape(payload["values"], payload["shape"])
    np.testing.assert_array_equal(back.astype(array.dtype), array)


@given(values)
def test_every_value_agrees_with_itself(value):
    assert difference(encode(value), through_json(encode(value))) == ""


@given(st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-3), st.floats(1e-6, 0.1))
def test_tolerance_is_where_it_is_said(want, rtol):
    inside, outside = want * (1 + 0.9 * rtol), want * (1 + 1.1 * rtol)
    assert not difference(encode(want), encode(inside), rtol=rtol, atol=0)
    assert difference(encode(want), encode(outside), rtol=rtol, atol=0)


@pytest.mark.parametrize(
    "want, got, says",
    [
        ([1, 2], [1.0, 2.0], ""),  # numbers are numbers, whatever holds them
        ([1, 2], torch.tensor([1, 2], dtype=torch.int8), ""),
        ([[1.5, np.nan]], np.float32([[1.5, np.nan]]), ""),
        (torch.nn.Parameter(torch.ones(2)), [1.0, 1.0], ""),
        ([np.inf, -np.inf], [np.inf, np.inf], r"1 of 2 numbers differ, the first at \[1\]"),
        (2**60, 2**60 + 1, "differs"),  # exact beyond what a float can hold
        (3, 3.0000001, "differs"),
        (3.0, 3.0000001, ""),
        (0.0, 1e-12, ""),
        ([1, 2, 3], [1, 2], "shape"),
        ([], [1.0], "shape"),
        ("a", "b", "str differs"),
        ("1", 1, "str differs"),
        (1, "1", "it is a str, not a number"),
        (1, None, "it is a none, not a number"),
        ({"a": 1}, {"b": 1}, "keys"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ""),
        ({"a": {"b": [1.0]}}, {"a": {"b": [2.0]}}, "entry 'a': entry 'b'"),
        (["x", 1], ["x", 2], "entry 1"),
        (["x"], ["x", "y"], "entries"),
        ([[1], [1, 2]], [[1], [1, 3]], "entry 1"),
        ([torch.ones(1), torch.zeros(1)], [[1], [0]], ""),
        (np.array(["a"]), ["a"], ""),
    ],
)
def test_differences(want, got, says):
    why = difference(encode(want), encode(got))
    assert re.search(says, why) if says else why == ""


def test_what_is_no_value_is_refused():
    with pytest.raises(TypeError, match="cannot be compared"):
        encode(object())
    with pytest.raises(TypeError, match="too many"):
        encode(np.zeros(LARGEST + 1))


def test_verdict_fails_without_values():
    one = [encode(1)]
    assert "no value is stored" in verdict([], one)
    assert "no value" in verdict(one, [])
    assert "2 values, not 1" in verdict(one, one * 2)
    assert verdict(one, one) == ""


def test_text_beside_a_value_is_the_same_for_equal_kinds():
    """nbval without the plug-in compares it literally."""
    assert bundle(encode([1.0, 2.0]))["text/plain"] == bundle(encode([3.0, 4.0]))["text/plain"] == "value: float64 of shape (2,)"


@pytest.mark.parametrize("values", [[], [3, 3], [[]]])
def test_a_value_that_lies_about_its_shape_is_wrong(values):
    assert "not as many" in difference(encode(3), {"dtype": "int64", "shape": [], "values": values})
    assert "not as many" in difference(encode(3.0), {"dtype": "float64", "shape": [], "values": values})
    assert difference(encode(np.zeros((0, 2))), encode(np.zeros((0, 2)))) == ""
