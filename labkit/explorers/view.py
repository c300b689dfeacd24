"""The view of any explorer: controls and table on the left, status and picture on the right, everything of a fixed size.

No `Output` and no `interact`: they build a new picture for every move, which flickers, and they swallow errors. Here one Image
widget receives new bytes, so moving a slider changes pixels and nothing else.
"""

from __future__ import annotations

from html import escape

import ipywidgets as W

from labkit.course import style
from labkit.explorers.base import Explorer, Setting

LEFT_PX = 290
STATUS_PX = 66  # three lines


class View:
    """Builds the widgets of one explorer and keeps both in step, whether a person or a program moves a setting."""

    def __init__(self, explorer: Explorer):
        self.explorer = explorer
        self.picture = explorer.picture()
        width, height = (round(inches * style.DPI) for inches in self.picture.size)
        self.controls = {name: _control(explorer, name, setting) for name, setting in explorer.settings().items()}
        self.image = W.Image(format="png", layout=_fixed(width, height))
        self.status = W.HTML(layout=_fixed(width, STATUS_PX))
        self.table = W.HTML(layout=W.Layout(width=f"{LEFT_PX}px"))
        left = W.VBox([*self.controls.values(), self.table], layout=W.Layout(width=f"{LEFT_PX + 10}px"))
        self.about = W.HTML(layout=W.Layout(width=f"{width}px"))
        right = W.VBox([self.status, self.image, self.about], layout=W.Layout(width=f"{width + 10}px"))
        # on a narrow page the picture goes above the controls (wrap-reverse), so that a slider and what it moves stay in sight
        self.widget = W.HBox([left, right], layout=W.Layout(flex_flow="row wrap-reverse", align_items="flex-end"))
        self.following = False
        self.refresh()
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self.moved(name, change.new), names="value")
        explorer.observe(lambda _: self.refresh(), names="version")

    def moved(self, name: str, value) -> None:
        """A person moved a control."""
        if not self.following:
            setattr(self.explorer, name, value)

    def refresh(self) -> None:
        """The explorer has computed: show it."""
        self.following = True
        for name, control in self.controls.items():
            _set(control, _options(self.explorer, name), getattr(self.explorer, name))
        self.following = False
        self.picture.show(self.explorer.result, self.explorer.ghost)
        self.image.value = self.picture.png()
        self.status.value = status_html(self.explorer)
        self.table.value = table_html(self.explorer)
        self.about.value = about_html(self.explorer, self.picture.alt)


def _fixed(width: int, height: int) -> W.Layout:
    return W.Layout(width=f"{width}px", min_width=f"{width}px", height=f"{height}px", min_height=f"{height}px")


def _options(explorer: Explorer, name: str) -> tuple[tuple[str, object], ...]:
    setting = explorer.settings()[name]
    return tuple((setting.show(value), value) for value in setting.choices(explorer))


def _control(explorer: Explorer, name: str, setting: Setting) -> W.Widget:
    kind = W.SelectionSlider if setting.control == "slider" else W.Dropdown
    return kind(
        options=_options(explorer, name),
        value=getattr(explorer, name),
        description=setting.label,
        style={"description_width": "80px"},
        layout=W.Layout(width=f"{LEFT_PX}px"),
    )


def _set(control: W.Widget, options: tuple, value) -> None:
    if control.options != options:
        control.options = options
    if control.value != value:
        control.value = value


def status_html(explorer: Explorer) -> str:
    """The sentence, announced by screen readers; the bar at its left is red when the settings cannot be built."""
    colour = style.OURS if explorer.fits else style.WRONG
    css = f"border-left:6px solid {colour}; padding-left:10px; margin:0; line-height:1.4; font-size:15px"
    return f'<p role="status" aria-live="polite" style="{css}">{escape(explorer.status)}</p>'


def table_html(explorer: Explorer) -> str:
    """The numbers now, and those of the ghost."""
    if explorer.result is None:
        return ""
    before = dict(explorer.rows(explorer.ghost)) if explorer.ghost is not None else {}
    cell = 'style="text-align:right; padding:1px 4px; white-space:nowrap"'
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left; font-weight:normal; padding:1px 4px">{escape(quantity)}</th>'
        f"<td {cell}>{escape(value)}</td><td {cell}>{escape(before.get(quantity, ''))}</td></tr>"
        for quantity, value in explorer.rows(explorer.result)
    )
    head = f'<tr><td style="width:40%"></td><th scope="col" {cell}>now</th><th scope="col" {cell}>before</th></tr>'
    return f'<table style="width:100%; table-layout:fixed; font-size:13px; line-height:1.5">{head}{rows}</table>'


def about_html(explorer: Explorer, alt: str) -> str:
    """What the picture shows (an Image widget has no alternative text) and where the numbers come from; folded until asked for."""
    sources = explorer.sources() if explorer.result is not None else ()
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in (alt, *sources))
    css = "font-size:13px; line-height:1.4"
    return f'<details style="{css}"><summary>What is shown, and where the numbers come from</summary><ul>{items}</ul></details>'
