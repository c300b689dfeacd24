"""Every row of `labkit validate` keeps its promise, and the tables in the documents are those rows."""

from pathlib import Path

import pytest

from labkit.hardware import validation
from labkit.hardware.validation.row import Case, rank_correlation, summarise

ROWS = validation.validate()


def name(row) -> str:
    return f"{row.family}, {row.quantity}, {row.protocol}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_the_error_is_at_most_what_we_promise(row):
    assert row.n > 0 and 0 <= row.median <= row.worst
    if row.at_most is not None:
        assert row.mape <= row.at_most


@pytest.mark.parametrize("document", ["README.md", "docs/hardware.md"])
def test_tables_in_the_documents_are_these_rows(document):
    """Renew them with ``labkit validate --into README.md docs/hardware.md``."""
    text = (Path(__file__).parents[2] / document).read_text(encoding="utf-8")
    assert validation.into(text, ROWS) == text and validation.MARKED.search(text)


@pytest.mark.parametrize("row", [row for row in ROWS if row.coverage80 is not None], ids=name)
def test_80_percent_intervals_hold_about_80_percent(row):
    assert 0.70 <= row.coverage80 <= 0.90


@pytest.mark.parametrize("row", [row for row in ROWS if row.rank is not None], ids=name)
def test_networks_come_in_the_right_order(row):
    assert row.rank >= 0.98


def test_names_are_unique():
    assert len(set(map(name, ROWS))) == len(ROWS)


def test_a_row_by_hand():
    cases = [Case("a", 100.0, 90.0, baseline=150.0), Case("b", 10.0, 10.2, baseline=10.0), Case("c", 1.0, 1.0, baseline=1.0)]
    row = summarise("toy", "latency", "by hand", cases, at_most=5.0)
    assert (row.n, row.worst_case, row.coverage80) == (3, "a", None)
    assert (row.mape, row.median, row.worst) == pytest.approx((4.0, 2.0, 10.0))
    assert row.baseline_mape == pytest.approx(50 / 3)
    assert rank_correlation(cases) == 1.0
    assert rank_correlation([*cases, Case("d", 0.5, 200.0)]) < 0.5
