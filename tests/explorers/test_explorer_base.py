"""The parts that all explorers share, on an explorer of three lines."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from labkit.explorers.base import Explorer, Setting, call
from labkit.explorers.gauge import BarGauge
from labkit.explorers.picture import Picture, encode_png
from labkit.explorers.units import memory, quantity, span
from labkit.explorers.view import View


class Square(Explorer):
    side = Setting(2, "side", (1, 2, 3, 4, 40), show="{} cm".format)
    unit = Setting("cm", "unit", ("cm", "mm"), control="menu")

    def compute(self):
        if self.side == 40:
            raise ValueError("the sheet is only 20 cm wide")
        return self.side**2 * (100 if self.unit == "mm" else 1)

    def follow(self, name):
        if name == "unit":
            self.side = 1

    def say(self):
        return f"area <{self.result}> {self.unit}²"

    def rows(self, result):
        return [("area", f"{result} {self.unit}²")]

    def picture(self):
        return SquarePicture()


class SquarePicture(Picture):
    size = (2, 1)

    def build(self, figure):
        self.bar = BarGauge(figure, (0.1, 0.4, 0.8, 0.3), "area", {1: "1", 10000: "10000"})
        return self.bar.moving

    def update(self, result, ghost):
        self.bar.set(result, ghost, f"{result}", limit=9)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**31))
def test_png_is_lossless_to_an_independent_reader(height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert (pixels(encode_png(image)) == image).all()


def test_model_works_without_widgets_and_remembers_a_ghost():
    square = Square(side=3)
    assert (square.result, square.ghost) == (9, None)
    square.side = 4
    square.side = 2
    assert (square.result, square.ghost) == (4, 9), "one drag, one ghost: where the slider was taken"
    square.unit = "mm"
    assert (square.side, square.result, square.ghost) == (1, 100, 4), "what follows belongs to the same move"


def test_unknown_settings_and_values_name_the_nearest():
    with pytest.raises(ValueError, match="did you mean side"):
        Square(sides=3)
    with pytest.raises(ValueError, match="unit cannot be 'm'; did you mean"):
        Square(unit="m")
    square = Square()
    with pytest.raises(ValueError, match="side cannot be 5; known: 1, 2, 3, 4"):
        square.side = 5
    assert square.result == 4


def test_a_problem_is_said_and_the_picture_has_a_notice():
    square = Square()
    view = View(square)
    empty = SquarePicture()
    square.side = 40
    assert square.result is None and not square.fits and square.status == "the sheet is only 20 cm wide"
    assert "the sheet is only 20 cm wide" in view.status.value and "#D55E00" in view.status.value
    assert (pixels(view.image.value) == empty.pixels()).all() and view.table.value == ""
    assert (empty.pixels() == (0xD5, 0x5E, 0x00)).all(axis=2).sum() > 20, "the notice is red"
    square.side = 1
    assert square.fits and "#D55E00" not in view.status.value


def test_slider_moves_model_and_pixels_and_back():
    square = Square()
    view = View(square)
    before, first = view.image.value, view.status.value
    view.controls["side"].value = 3
    assert square.side == 3 and view.image.value != before and view.status.value != first
    assert "9 cm²" in view.table.value and "4 cm²" in view.table.value
    view.controls["side"].value = 2
    square.ghost = None
    view.refresh()
    assert view.image.value == before, "the same setting is the same picture, to the pixel"


def test_a_browser_message_moves_the_model():
    square = Square()
    view = View(square)
    view.controls["side"].set_state({"index": 3})
    assert square.side == 4 and "16 cm²" in view.table.value


def test_a_program_moves_the_controls_and_status_is_escaped():
    square = Square()
    view = View(square)
    square.unit = "mm"
    assert (view.controls["side"].value, view.controls["unit"].value) == (1, "mm")
    assert "area &lt;100&gt;" in view.status.value and 'role="status" aria-live="polite"' in view.status.value


def test_blit_is_the_full_drawing():
    picture = SquarePicture()
    picture.show(30, 5)
    blitted = picture.pixels()
    for artist in picture.moving:
        artist.set_animated(False)
    picture.canvas.draw()
    full = np.asarray(picture.canvas.buffer_rgba())[:, :, :3]
    assert (np.abs(blitted.astype(int) - full).max(axis=2) > 40).mean() < 0.02


def test_what_a_students_function_raises_becomes_a_sentence():
    def mine(x):
        raise NotImplementedError("exercise 2")

    with pytest.raises(NotImplementedError, match=r"^mine is not written yet \(exercise 2\)\.$"):
        call(mine, 1)
    with pytest.raises(ValueError, match="stopped with KeyError"):
        call(lambda x: {}[x], "a")


@given(st.floats(1e-8, 1e9))
def test_quantity_reads_back(value):
    number, unit = quantity(value, "s").split()
    scale = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "ks": 1e3, "Ms": 1e6, "Gs": 1e9}[unit]
    assert float(number) * scale == pytest.approx(value, rel=0.006)


def test_a_span_keeps_one_unit_and_memory_counts_in_1024():
    assert span(0.9e-4, 12e-3, "J") == "0.09–12.0 mJ" and span(0, 0, "J") == "0–0 J"
    assert memory(1024 * 1024) == "1.00 MiB" and memory(1023) == "1023 B"
