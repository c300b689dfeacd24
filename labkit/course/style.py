"""One look for every figure of the course, and colours with fixed meanings.

    from labkit.course import style
    style.use()
    ax.plot(bits, measured, color=style.MEASURED, marker="o")
    ax.plot(bits, estimate, color=style.OURS)

The colours are those of Okabe and Ito (Color Universal Design, 2008): they stay apart for colour-blind readers. A colour never
carries a meaning alone; use a marker, a line style or a word with it.
"""

from __future__ import annotations

import io

MEASURED = "#000000"  # black: what somebody measured
OURS = "#0072B2"  # blue: our estimate, the student's function
OTHER = "#E69F00"  # orange: the other one, a peer
GHOST = "#999999"  # grey: the previous setting
WRONG = "#D55E00"  # vermillion: does not fit, is wrong
RIGHT = "#009E73"  # bluish green: fits, is right
MORE = ("#56B4E9", "#CC79A7", "#F0E442")  # the rest of the palette, for series without one of these meanings

DPI = 100
RC = {
    "figure.figsize": (7.0, 3.2),
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "image.cmap": "viridis",
    "image.interpolation": "nearest",
}


def use() -> None:
    """Sets the look for all figures of this session, sharp on every screen. The first cell of a lab calls it."""
    import matplotlib as mpl
    from cycler import cycler
    from IPython import get_ipython

    mpl.rcParams.update(RC)
    mpl.rcParams["axes.prop_cycle"] = cycler(color=[OURS, OTHER, RIGHT, WRONG, *MORE[:2], MEASURED])
    if getattr(get_ipython(), "kernel", None) is not None:  # in a notebook, not in a test
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


def png(figure) -> bytes:
    """A figure as PNG at twice its size in pixels, for sharp screens; needs no backend and keeps no figure open."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=2 * DPI)
    return file.getvalue()


def show(figure, alt: str) -> None:
    """Shows a figure under a cell; `alt` says in words what is to be seen (for screen readers and for notebooks as text)."""
    import base64

    from IPython.display import display

    width = round(figure.get_figwidth() * DPI)
    data = {"image/png": base64.b64encode(png(figure)).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"width": width, "alt": alt}})
