"""How far a student is: the table that `check()` prints in a notebook and `labkit check` in a terminal.

A row is ``{"exercise", "passed", "tests", "todo"}``. Only visible tests count here; points are given by the hidden checks.
"""

from __future__ import annotations

import os
import textwrap

HEADS = ("exercise", "tests passed", "what to do")
WIDTH = 100  # characters in a line of the table: what a notebook shows without a scroll bar


def table(rows: list[dict]) -> str:
    """The rows as text, and a last line that sums them up.

    >>> print(table([{"exercise": "1", "passed": 2, "tests": 2, "todo": ""}]))
    exercise  tests passed  what to do
    1         2 of 2        nothing, done
    All visible tests pass.
    """
    lines = [_line(HEADS)]
    for row in rows:
        counts = f"{row['passed']} of {row['tests']}" if row["tests"] else "none ran"
        lines.append(_line((row["exercise"], counts, row["todo"] or "nothing, done")))
    return "\n".join((*lines, verdict(rows)))


def failed(rows: list[dict]) -> list[str]:
    """The exercises that are not done: a test failed, or none ran."""
    return [row["exercise"] for row in rows if row["passed"] < row["tests"] or not row["tests"]]


def verdict(rows: list[dict]) -> str:
    """In one sentence."""
    missing = failed(rows)
    if not missing:
        return "All visible tests pass."
    if len(missing) == 1:
        return f"Exercise {missing[0]} is not done yet."
    return f"Exercises {', '.join(missing[:-1])} and {missing[-1]} are not done yet."


def judged() -> bool:
    """Whether a failed test is an error: where solutions are built (LABKIT_STRICT=1) and in continuous integration (CI=true)."""
    strict = os.environ.get("LABKIT_STRICT")
    return strict == "1" or (strict is None and os.environ.get("CI", "").lower() in ("1", "true"))


def _line(words: tuple[str, str, str]) -> str:
    start = f"{words[0]:{len(HEADS[0])}}  {words[1]:{len(HEADS[1])}}  "
    text = textwrap.wrap(" ".join(words[2].split()), WIDTH - len(start)) or [""]
    return start + f"\n{' ' * len(start)}".join(text)
