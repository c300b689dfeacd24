"""One look: the colours that the architecture fixes, and figures as sharp as they are said to be."""

import io
import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from labkit.course import style

ARCHITECTURE = (Path(__file__).resolve().parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_colours_are_those_of_the_architecture():
    text = ARCHITECTURE[ARCHITECTURE.index("Figures:") :]
    assert re.findall(r"#[0-9A-F]{6}", text)[:5] == [style.OURS, style.OTHER, style.GHOST, style.WRONG, style.RIGHT]


def luminance(color):
    """Relative luminance, WCAG 2.1."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [style.MEASURED, style.OURS, style.WRONG, style.RIGHT])
def test_colours_that_carry_a_verdict_stand_out_from_white(color):
    """At least 3:1, what WCAG 2.1 (1.4.11) asks of graphics."""
    assert 1.05 / (luminance(color) + 0.05) >= 3


def test_use_sets_the_look():
    with mpl.rc_context():
        style.use()
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"][0] == style.OURS
        assert not mpl.rcParams["axes.spines.top"]


def test_a_figure_is_shown_in_words_too(monkeypatch):
    from PIL import Image

    shown = {}
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.update(data=data, **options))
    style.show(Figure(figsize=(4, 2)), "an empty figure")
    assert shown["data"]["text/plain"] == shown["metadata"]["image/png"]["alt"] == "an empty figure"
    assert shown["metadata"]["image/png"]["width"] == 400
    assert Image.open(io.BytesIO(style.png(Figure(figsize=(4, 2))))).size == (800, 400)
