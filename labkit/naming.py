"""Unknown names: say which ones are meant. Used wherever a person types a name (a device, a data set, a field)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the nearest known names, or all of them.

    >>> did_you_mean("nucleo-l4", ["nucleo-l4r5zi", "max78000"])
    'did you mean nucleo-l4r5zi?'
    >>> did_you_mean("zzz", ["max78000"])
    'known: max78000'
    """
    known = list(known)
    near = difflib.get_close_matches(str(word), known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
