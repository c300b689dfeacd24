"""The rows of analog memory, and that they would see a wrong equation."""

import pytest

from labkit.hardware.pcm import PCM
from labkit.hardware.validation import analog


def test_the_rows_hold_what_they_promise():
    rows = analog.rows()
    assert [(row.family, row.quantity, row.n) for row in rows] == [("analog PCM", "conductance", 24), ("analog PCM", "spread", 24)]
    assert all(0 < row.mape <= row.at_most <= 1.0 for row in rows)


@pytest.mark.parametrize("wrong", [PCM(drift=1.1), PCM(programming_noise=1.3), PCM(read_noise=1.2)])
def test_a_wrong_sampler_would_not_pass(monkeypatch, wrong):
    monkeypatch.setattr(PCM, "program", lambda self, target, rng, program=PCM.program: program(wrong, target, rng))
    assert any(row.mape > row.at_most for row in analog.rows())
