"""What every explorer is: a model that computes, and a view that shows it.

The model is a plain traitlets object. It needs no widgets, no kernel and no browser: set a trait, read the result. The view wires
controls to the traits and shows the result three times: as a picture, as a sentence and as a table. The sentence and the table
carry the same numbers as the picture, for those who cannot see it and for the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import traitlets as T

from labkit.explorers.picture import Picture
from labkit.naming import did_you_mean


class Setting(T.TraitType):
    """Something a person can change: its label, the values it takes, and the control that moves it ("slider" or "menu").

    `values` is a tuple, or a function of the explorer when they depend on what it was given; `show` writes a value for a person.
    """

    def __init__(self, default, label: str, values: Iterable | Callable, *, control: str = "slider", show: Callable = str):
        super().__init__(default)
        self.label, self.values, self.control, self.show = label, values, control, show

    def choices(self, explorer: Explorer) -> tuple:
        return tuple(self.values(explorer) if callable(self.values) else self.values)

    def validate(self, explorer: Explorer, value):
        choices = self.choices(explorer)
        if value not in choices:
            raise ValueError(f"{self.name} cannot be {value!r}; {did_you_mean(value, map(str, choices))}")
        return value


class Explorer(T.HasTraits):
    """A model that computes: its settings are traits, its numbers are in `result`.

    After every change `result` holds new numbers, or `problem` says in one sentence why there are none. `ghost` is the result from
    before the person took hold of the control that moved last: while one slider is dragged, the ghost stands still.

    A subclass gives `compute`, `say`, `rows`, `picture`, and `sources` when its numbers are estimates.
    """

    version = T.Int(help="goes up by one after every computation; a view watches it")

    def __init__(self, **settings):
        for name in settings:
            if name not in self.settings():
                raise ValueError(f"{type(self).__name__} has no setting {name!r}; {did_you_mean(name, self.settings())}")
        super().__init__()
        self.result = self.ghost = None
        self.problem = ""
        self._held = None
        for name in self.settings():  # in the order of the class, because a choice may depend on an earlier one
            if name in settings:
                setattr(self, name, settings[name])
                self.follow(name)
        self._recompute()
        self.observe(self._moved, names=list(self.settings()))

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The settings in the order in which the class defines them."""
        return {name: trait for name, trait in vars(cls).items() if isinstance(trait, Setting)}

    def follow(self, name: str) -> None:
        """Brings other settings in line after `name` has changed; nothing to do for most explorers."""

    def compute(self):
        """The numbers for the present settings. Raises ValueError or NotImplementedError with a sentence when there are none."""
        raise NotImplementedError

    def say(self) -> str:
        """One or two sentences with the numbers of `result`."""
        raise NotImplementedError

    def rows(self, result) -> list[tuple[str, str]]:
        """The table: (quantity, value with its unit), the same quantities for every result."""
        raise NotImplementedError

    def sources(self) -> tuple[str, ...]:
        """Where the numbers come from, in sentences."""
        return ()

    def picture(self) -> Picture:
        """A fresh drawing of this explorer."""
        raise NotImplementedError

    @property
    def fits(self) -> bool:
        """False when the present settings cannot be built; the view turns red and `say` gives the reason."""
        return not self.problem

    @property
    def status(self) -> str:
        """What the status line says."""
        return self.problem or self.say()

    def view(self):
        """One widget with controls, picture, sentence and table."""
        from labkit.explorers.view import View

        return View(self).widget

    def _repr_mimebundle_(self, **options):
        data, metadata = self.view()._repr_mimebundle_(**options), {}
        return data | {"text/plain": self.status}, metadata

    def _moved(self, change) -> None:
        if change.name != self._held:
            self._held, self.ghost = change.name, self.result
        self.unobserve(self._moved, names=list(self.settings()))  # what follows is one change, not several
        self.follow(change.name)
        self.observe(self._moved, names=list(self.settings()))
        self._recompute()

    def _recompute(self) -> None:
        try:
            self.result, self.problem = self.compute(), ""
        except (ValueError, NotImplementedError) as error:
            self.result, self.problem = None, str(error)
        self.version += 1


def call(function: Callable, *arguments):
    """Calls a student's function; whatever goes wrong in it becomes a sentence for the status line.

    >>> call(lambda x: 1 / x, 0)
    Traceback (most recent call last):
    ValueError: <lambda> stopped with ZeroDivisionError: division by zero
    """
    name = getattr(function, "__name__", type(function).__name__)
    try:
        return function(*arguments)
    except NotImplementedError as error:
        raise NotImplementedError(f"{name} is not written yet" + (f" ({error})." if str(error) else ".")) from None
    except Exception as error:  # a student's code may raise anything
        raise ValueError(f"{name} stopped with {type(error).__name__}: {error}") from error
