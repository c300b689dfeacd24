"""What counts as a value: all that `compare.encode` writes, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.course.compare import encode
from labkit.course.grading.payload import well_formed

NUMBERS = st.integers(-(2**60), 2**60) | st.floats() | st.booleans()
VALUES = st.recursive(
    NUMBERS | st.text() | st.none() | st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_whatever_encode_writes_is_well_formed(value):
    try:
        payload = encode(value)
    except TypeError:  # not a value
        return
    assert well_formed(json.loads(json.dumps(payload)))


@pytest.mark.parametrize(
    "forged",
    [
        {"dtype": "int64", "shape": [], "values": []},  # differs from no number in numpy's broadcasting
        {"dtype": "int64", "shape": [1], "values": []},
        {"dtype": "int64", "shape": [3], "values": 1},
        {"dtype": "int64", "shape": [2], "values": [1, "1"]},
        {"dtype": "float64", "shape": [], "values": {"nan": 1}},
        {"dtype": "object", "shape": [], "values": 1},
        {"dtype": "float64", "shape": [True], "values": [1.0]},
        {"dtype": "dict", "shape": [1], "values": {"a": 1}},
        {"dtype": "list", "shape": [2], "values": [encode(1)]},
        {"dtype": "str", "shape": [], "values": 3},
        {"dtype": "int64", "shape": [], "values": 1, "more": 1},
        {"dtype": ["int64"], "shape": [], "values": 1},
        None,
        7,
        [],
    ],
)
def test_forged_payloads_are_not(forged):
    assert not well_formed(forged)


def test_a_bottomless_payload_is_refused():
    payload = encode(1)
    for _ in range(100):
        payload = {"dtype": "list", "shape": [1], "values": [payload]}
    assert not well_formed(payload)
