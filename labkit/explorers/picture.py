"""A picture that follows a slider: one matplotlib figure for the life of an explorer, of which only the moving parts are redrawn.

Drawing axes, ticks and text is most of the cost of a matplotlib figure. So the fixed parts are drawn once and kept as a bitmap; a
move restores the bitmap, draws the moving artists on top ("blitting"), writes the moving numbers, and encodes the result as PNG.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.image import AxesImage
from matplotlib.text import Text
from PIL import Image, ImageDraw, ImageFont

from labkit.course import style

SCALE = 1.5  # bitmap pixels per CSS pixel: sharp on a laptop, still quick to encode
HORIZONTAL = {"left": "l", "center": "m", "right": "r"}  # matplotlib's alignment as Pillow's anchor
VERTICAL = {"bottom": "d", "baseline": "s", "center": "m", "top": "a"}


class Picture:
    """Base of an explorer's drawing. A subclass lays out its axes in `build` and moves its artists in `update`.

    `moving` lists the artists that change with a setting; everything else is drawn once. Call `redraw` when something fixed has
    changed after all (a label, an axis limit).
    """

    size = (6.4, 4.2)  # inches
    alt = ""  # what is shown, in one sentence; the numbers are in the status and in the table

    def __init__(self):
        with mpl.rc_context({**style.RC, "axes.grid": False}):
            self.figure = Figure(figsize=self.size, dpi=style.DPI * SCALE, layout="none")
            self.canvas = FigureCanvasAgg(self.figure)
            self.moving: list[Artist] = list(self.build(self.figure))
            self.notice = self.figure.text(0.5, 0.5, "no result", ha="center", color=style.WRONG, fontsize=16, weight="bold")
        for artist in (*self.moving, self.notice):
            artist.set_animated(True)
        self.background = None
        self.empty = True

    def build(self, figure: Figure) -> list[Artist]:
        """Lays out the axes; returns the moving artists in the order they are drawn."""
        raise NotImplementedError

    def update(self, result, ghost) -> None:
        """Moves the artists to `result`; `ghost` is the result to compare with, or None."""
        raise NotImplementedError

    def show(self, result, ghost) -> None:
        """Moves the artists, or puts a notice in their place when there is no result."""
        self.empty = result is None
        if not self.empty:
            self.update(result, ghost)

    def redraw(self) -> None:
        """Draws the fixed parts anew next time."""
        self.background = None

    def pixels(self) -> np.ndarray:
        """The picture as it is now, uint8 ``(height, width, 3)``."""
        if self.background is None:
            self.canvas.draw()
            self.background = self.canvas.copy_from_bbox(self.figure.bbox)
        self.canvas.restore_region(self.background)
        artists = [self.notice] if self.empty else self.moving
        by_pillow = [artist for artist in artists if isinstance(artist, (AxesImage, Text))]
        for artist in artists:
            if artist not in by_pillow:
                artist.axes.draw_artist(artist)
        size = self.canvas.get_width_height(physical=True)
        bitmap = Image.frombuffer("RGBX", size, self.canvas.buffer_rgba(), "raw", "RGBX", 0, 1).convert("RGB")
        for artist in by_pillow:
            (_paste if isinstance(artist, AxesImage) else _write)(bitmap, artist)
        return np.asarray(bitmap)

    def png(self) -> bytes:
        return encode_png(self.pixels())


# Images and text, drawn by Pillow in a tenth of the time: matplotlib resamples colours as floats, and loops over glyphs in Python.


def _paste(bitmap: Image.Image, artist: AxesImage) -> None:
    """Draws an image of colours, uint8 ``(rows, columns, 4)``, first row at the bottom."""
    left, right, bottom, top = artist.get_extent()
    (x0, y0), (x1, y1) = artist.axes.transData.transform([(left, bottom), (right, top)]).round().astype(int)
    colours = Image.fromarray(artist.get_array()[::-1]).convert("RGB")
    bitmap.paste(colours.resize((x1 - x0, y1 - y0), Image.Resampling.NEAREST), (x0, bitmap.height - y1))


def _write(bitmap: Image.Image, artist: Text) -> None:
    x, y = artist.get_transform().transform(artist.get_unitless_position())
    anchor = HORIZONTAL[artist.get_ha()] + VERTICAL[artist.get_va()]
    font = _font(findfont(artist.get_fontproperties()), artist.get_fontsize() * artist.get_figure().dpi / 72)
    colour = mpl.colors.to_hex(artist.get_color())
    ImageDraw.Draw(bitmap).text((x, bitmap.height - y), artist.get_text(), fill=colour, font=font, anchor=anchor)


@cache
def _font(path: str, pixels: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, pixels)


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG file of an RGB image, uint8 ``(height, width, 3)``, at the fastest setting (PNG specification, RFC 2083).

    Pillow tries five filters on every row, which takes longer than drawing the picture; flat colours need none.

    >>> encode_png(np.zeros((2, 2, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row starts with its filter: 0, none
    rows[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, true colour
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
