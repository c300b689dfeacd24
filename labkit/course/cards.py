"""Predict first: a question card that locks, is remembered, and is compared with what is measured.

    leak = Prediction("02-leak", "How much does accuracy fall when no subject is in both splits?",
                      options=["not at all", "by 5 points", "by 20 points"])
    leak                                                # shows the card
    ...
    leak.reveal("by 20 points")                         # later: what was predicted, what came out

    macs = Prediction("03-macs", "How many MACs does one second of speech take?", low=1e4, high=1e9, log=True, unit="MACs")
    macs.reveal(workload.macs)

A prediction is made once: the card locks, and the ledger recalls it after a restart. Nobody has to predict: `reveal` then shows
the truth alone. `leak.answer("by 5 points")` does in code what the button does.
"""

from __future__ import annotations

import html
import time
from math import log10, sqrt
from typing import Any

from labkit.course import ledger, style
from labkit.naming import did_you_mean


class Prediction:
    """A question with `options`, or one for a number from `low` to `high` (on a log scale with `log`), in `unit`.

    `name` is what the ledger stores it under: the lab's number and a word.
    """

    def __init__(
        self,
        name: str,
        question: str,
        *,
        options: list[str] | None = None,
        low: float | None = None,
        high: float | None = None,
        unit: str = "",
        log: bool = False,
    ):
        numeric = low is not None and high is not None and low < high and (low > 0 or not log)
        if bool(options) == numeric:
            raise ValueError(f"prediction {name!r}: give either options, or low < high (both above 0 with log=True)")
        self.name, self.question, self.options = name, question, tuple(options or ())
        self.low, self.high, self.unit, self.log = low, high, unit, log
        self.predicted = self._recall()
        self._build_card()

    @property
    def locked(self) -> bool:
        return self.predicted is not None

    def answer(self, value: str | float) -> None:
        """Locks the prediction. ValueError for an answer the card does not offer, or another one once it is locked."""
        value = self._valid(value)
        if self.locked and value != self.predicted:
            raise ValueError(f"prediction {self.name!r} is locked at {self._say(self.predicted)}; a prediction is made once")
        if self.locked:
            return
        self.predicted = value
        status = f"Locked: you predict {self._say(value)}."
        try:
            ledger.lock(self.name, question=self.question, answer=value, at=time.strftime("%Y-%m-%d %H:%M"))
        except ledger.LedgerError as error:
            status += f" It is kept until the kernel stops: {error}."
        self._lock(status)

    def reveal(self, actual: str | float) -> None:
        """Shows what was predicted beside what came out."""
        actual = self._valid(actual, bounded=False)
        if not self.locked:
            print(f"You made no prediction here, which is fine. It is {self._say(actual)}.")
        elif self.options:
            verdict = "as you predicted" if actual == self.predicted else f"you predicted {self._say(self.predicted)}"
            print(f"It is {self._say(actual)}; {verdict}.")
        else:
            sentence = f"It is {self._say(actual)}; you predicted {self._say(self.predicted)}{self._miss(actual)}."
            print(sentence)
            style.show(self._figure(actual), sentence)

    def _repr_mimebundle_(self, **options):
        return self._card._repr_mimebundle_(**options)

    def _valid(self, value: Any, bounded: bool = True) -> str | float:
        if self.options:
            if value not in self.options:
                raise ValueError(f"prediction {self.name!r} has no option {value!r}; {did_you_mean(value, self.options)}")
            return value
        value = float(value)
        if bounded and not self.low <= value <= self.high:
            bounds = f"{self._say(self.low)} and {self._say(self.high)}"
            raise ValueError(f"prediction {self.name!r}: {self._say(value)} is not between {bounds}")
        return value

    def _recall(self) -> str | float | None:
        """The prediction of an earlier session, unless the question has changed since."""
        try:
            entry = ledger.prediction(self.name) or {}
            return self._valid(entry.get("answer")) if entry.get("question") == self.question else None
        except (TypeError, ValueError, ledger.LedgerError):  # an answer this card does not know, or no ledger: ask again
            return None

    def _say(self, value: str | float) -> str:
        if self.options:
            return f"“{value}”"
        number = f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
        return f"{number} {self.unit}".strip()

    def _miss(self, actual: float) -> str:
        """How far off, in the scale of the question: a factor on a log scale, else a difference."""
        if self.log and actual > 0:
            factor = max(actual / self.predicted, self.predicted / actual)
            return f", off by a factor of {factor:.2g}" if factor >= 1.05 else ", which is right within 5 %"
        return f", off by {self._say(abs(actual - self.predicted))}"

    def _figure(self, actual: float):
        """A number line with the prediction (hollow) and the truth (full)."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 1.3), layout="constrained")
        ax = figure.subplots()
        ax.set(xlim=(min(self.low, actual), max(self.high, actual)), ylim=(-1.6, 1), yticks=[], xlabel=self.unit)
        if self.log:
            ax.set_xscale("log")
        ax.spines[["left", "top", "right"]].set_visible(False)
        ax.plot([self.predicted, actual], [0, 0], color=style.GHOST, linewidth=1, zorder=1)
        ax.plot(self.predicted, 0, "o", markerfacecolor="white", markeredgecolor=style.OURS, markersize=9, clip_on=False)
        ax.plot(actual, 0, "o", color=style.MEASURED, markersize=9, clip_on=False)
        ax.annotate("predicted", (self.predicted, 0), (0, 10), textcoords="offset points", ha="center", color=style.OURS)
        ax.annotate("actual", (actual, 0), (0, -18), textcoords="offset points", ha="center", color=style.MEASURED)
        return figure

    def _build_card(self) -> None:
        import ipywidgets as widgets

        wide = widgets.Layout(width="auto", max_width="640px")
        if self.options:
            self._choice = widgets.RadioButtons(options=self.options, value=None, layout=wide)
        else:
            middle = sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
            bounds = {"min": log10(self.low), "max": log10(self.high)} if self.log else {"min": self.low, "max": self.high}
            slider = widgets.FloatLogSlider if self.log else widgets.FloatSlider
            step = (bounds["max"] - bounds["min"]) / 100
            self._choice = slider(value=middle, step=step, readout_format=".3g", layout=wide, **bounds)
        narrow = widgets.Layout(width="auto", align_self="flex-start")
        self._button = widgets.Button(description="Lock my prediction", layout=narrow)
        self._button.on_click(self._clicked)
        self._status = widgets.HTML()
        unit = f" ({html.escape(self.unit)})" if self.unit else ""
        question = widgets.HTML(f"<b>Predict.</b> {html.escape(self.question)}{unit}")
        self._card = widgets.VBox([question, self._choice, self._button, self._status])
        self._tell("Choose, then lock. There is no penalty for being wrong.")
        if self.locked:
            self._lock(f"Locked earlier: you predicted {self._say(self.predicted)}.")

    def _clicked(self, _button) -> None:
        if self._choice.value is None:
            self._tell("Choose one of the answers first.")
        elif not self.locked:
            self.answer(self._choice.value if self.options else self._three_digits(self._choice.value))

    def _three_digits(self, value: float) -> float:
        """What the position of a slider means; sixteen digits would be read off the screen by nobody."""
        return min(max(float(f"{value:.3g}"), self.low), self.high)

    def _lock(self, status: str) -> None:
        self._choice.value = self.predicted
        self._choice.disabled = self._button.disabled = True
        self._tell(status)

    def _tell(self, sentence: str) -> None:
        """Status as text that a screen reader announces."""
        self._status.value = f'<p role="status" aria-live="polite">{html.escape(sentence)}</p>'
