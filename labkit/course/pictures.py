"""Pictures of a comparison: what the student's code gives, what was wanted, and where they differ.

Up to 8×8 numbers are written out in grids, longer rows become curves, larger matrices become images. From an array with more than
two axes the worst matrix is shown.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labkit.course import style

WRITTEN = 8  # up to this many rows and columns the numbers themselves are shown
PALE = {True: "#CCECE3", False: "#F7DFCC"}  # right and wrong, light enough to write on


def comparison(got: np.ndarray, want: np.ndarray, agree: np.ndarray, title: str = ""):
    """A figure of `got`, `want` and their difference, all of one shape; `agree` marks the entries that pass."""
    got, want, agree, where = _worst_matrix(*(np.asarray(a) for a in (got, want, agree)))
    title = " ".join(filter(None, (title, where)))
    with mpl.rc_context(style.RC):
        if max(want.shape) <= WRITTEN:
            return _grids(got, want, agree, title)
        if min(want.shape) == 1:
            return _curves(got.ravel(), want.ravel(), agree.ravel(), title)
        return _images(got, want, title)


def _worst_matrix(got, want, agree):
    """The two-dimensional part with the largest difference, and its name."""
    shape = want.shape
    if want.ndim < 2:
        return got.reshape(1, -1), want.reshape(1, -1), agree.reshape(1, -1), ""
    if want.ndim == 2:
        return got, want, agree, ""
    flat = [a.reshape(-1, *shape[-2:]) for a in (got, want, agree)]
    worst = int(np.argmax((~flat[2]).sum(axis=(1, 2))))
    index = ", ".join(str(int(i)) for i in np.unravel_index(worst, shape[:-2]))
    return *(a[worst] for a in flat), f"[{index}, :, :]"


def _figure(width: float, height: float, panels: int, title: str):
    figure = Figure(figsize=(width, height))
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure, figure.subplots(1, panels)


def _grids(got, want, agree, title):
    rows, columns = want.shape
    cell, size = (0.75, 9) if columns <= 4 else (0.42, 7)
    figure, axes = _figure(max(3 * columns * cell, 4.5), 0.7 + cell * rows * 0.6, 3, title)
    panels = {"your code": got, "expected": want, "difference": got.astype(float) - want.astype(float)}
    for ax, (name, matrix) in zip(axes, panels.items(), strict=True):
        ax.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[], title=name)
        ax.grid(False)
        ax.spines[:].set_visible(False)
        for (row, column), number in np.ndenumerate(matrix):
            right = bool(agree[row, column])
            pale = "#F2F2F2" if name == "expected" else PALE[right]
            ax.add_patch(Rectangle((column + 0.03, row + 0.03), 0.94, 0.94, facecolor=pale, edgecolor="none"))
            weight = "normal" if right or name == "expected" else "bold"
            ax.text(column + 0.5, row + 0.5, f"{number:.3g}", ha="center", va="center", fontsize=size, weight=weight)
    return figure


def _curves(got, want, agree, title):
    figure, (ax, below) = _figure(7, 2.6, 2, title)
    index = np.arange(want.size)
    ax.plot(index, want, color=style.MEASURED, linewidth=3, alpha=0.35, label="expected")
    ax.plot(index, got, color=style.OURS, linewidth=1.2, label="your code")
    ax.set(xlabel="index")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    gap = got.astype(float) - want.astype(float)
    below.plot(index, gap, color=style.GHOST, linewidth=1)
    below.plot(index[~agree], gap[~agree], "x", color=style.WRONG, label=f"{(~agree).sum()} of {agree.size} differ")
    below.set(xlabel="index", title="difference")
    if not agree.all():
        below.legend(loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _images(got, want, title):
    figure, axes = _figure(7, 2.6, 3, title)
    low, high = float(np.nanmin(want)), float(np.nanmax(want))
    gap = got.astype(float) - want.astype(float)
    reach = float(np.nanmax(np.abs(gap))) or 1.0
    for ax, name, matrix in zip(axes, ("your code", "expected"), (got, want), strict=False):
        ax.imshow(matrix, vmin=low, vmax=high, aspect="auto")
        ax.set_title(name)
    figure.colorbar(axes[2].imshow(gap, vmin=-reach, vmax=reach, cmap="PuOr", aspect="auto"), ax=axes[2])
    axes[2].set_title("difference")
    for ax in axes:
        ax.grid(False)
    return figure
