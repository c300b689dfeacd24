"""Pictures of a comparison show the numbers, the curve or the image that fits."""

import numpy as np
import pytest

from labkit.course import style
from labkit.course.pictures import comparison


def texts(figure):
    return [[text.get_text() for text in ax.texts] for ax in figure.axes]


def picture(got, want):
    got, want = np.asarray(got, float), np.asarray(want, float)
    return comparison(got, want, np.isclose(got, want), "title")


def test_small_matrices_are_written_out():
    figure = picture([[1, 2], [3, 5]], [[1, 2], [3, 4]])
    assert texts(figure) == [["1", "2", "3", "5"], ["1", "2", "3", "4"], ["0", "0", "0", "1"]]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["your code", "expected", "difference"]
    weights = [text.get_weight() for text in figure.axes[2].texts]
    assert weights == ["normal", "normal", "normal", "bold"]  # not by colour alone


def test_long_rows_are_curves_with_the_wrong_places_marked():
    want = np.sin(np.arange(100) / 9)
    got = want.copy()
    got[40:43] += 1
    figure = picture(got, want)
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), got)
    assert list(figure.axes[1].lines[1].get_xdata()) == [40, 41, 42]


def test_large_matrices_are_images():
    figure = picture(np.ones((20, 30)), np.zeros((20, 30)))
    assert [ax.images[0].get_array().shape for ax in figure.axes[:3]] == [(20, 30)] * 3


def test_the_worst_matrix_of_many_is_shown():
    want = np.zeros((2, 3, 2, 2))
    got = want.copy()
    got[1, 2] = 7
    figure = picture(got, want)
    assert texts(figure)[0] == ["7"] * 4 and "[1, 2, :, :]" in figure.get_suptitle()


@pytest.mark.parametrize("shape", [(1,), (8,), (8, 8), (9,), (1, 9), (9, 1), (9, 9), (3, 1), (2, 3, 40), (200, 2)])
@pytest.mark.parametrize("odd", [0.0, np.nan, np.inf])
def test_every_shape_can_be_drawn(shape, odd):
    want = np.arange(np.prod(shape), dtype=float).reshape(shape)
    got = want.copy()
    got.flat[0] = odd
    assert style.png(picture(got, want)).startswith(b"\x89PNG")
