"""The ledger keeps choices, replaces whole files only, and survives a broken one."""

import json

import numpy as np
import pytest

from labkit.course import ledger


def test_choices_are_kept_and_replaced():
    assert ledger.read() == {} and ledger.read("03") == {}
    ledger.record("03", device="max78000", latency_ms=2.1)
    ledger.record("03", latency_ms=np.float32(1.5), bits=np.array([8, 4]))
    ledger.record("02", window=128)
    assert ledger.read("03") == {"device": "max78000", "latency_ms": 1.5, "bits": [8, 4]}
    assert set(ledger.read()) == {"02", "03"}
    assert [p.name for p in ledger.path().parent.iterdir()] == ["ledger.json"]  # no parts left behind


def test_predictions_and_choices_do_not_mix():
    ledger.lock("02-leak", answer="a")
    ledger.record("02", window=128)
    assert ledger.prediction("02-leak") == {"answer": "a"} and ledger.prediction("02") is None
    assert set(ledger.read()) == {"02"}


@pytest.mark.parametrize("broken", ["{", "[]", '{"labs": 3}', "null", "\x00"])
def test_a_broken_ledger_is_set_aside(broken, capsys):
    ledger.path().write_text(broken)
    ledger.record("03", device="max78000")
    assert ledger.read("03") == {"device": "max78000"}
    assert ledger.path().with_name("ledger.json.broken").read_text() == broken
    assert capsys.readouterr().out.count("\n") == 1


def test_what_json_cannot_hold_is_refused_and_nothing_is_lost():
    ledger.record("03", device="max78000")
    with pytest.raises(TypeError, match="cannot go into the ledger"):
        ledger.record("03", device=object())
    assert json.loads(ledger.path().read_text())["labs"] == {"03": {"device": "max78000"}}


def test_a_place_that_cannot_be_written_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_LEDGER", str(tmp_path / "file" / "ledger.json"))
    with pytest.raises(ledger.LedgerError, match="set LABKIT_LEDGER"):
        ledger.record("03", device="max78000")


def test_the_usual_place_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("LABKIT_LEDGER")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert ledger.path() == tmp_path / ".labkit" / "ledger.json"
