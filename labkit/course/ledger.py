"""The design ledger: what a student decided in each lab, for later labs to read, and the predictions made on the way.

    from labkit.course import ledger
    ledger.record("03", network="ds-cnn", device="max78000", latency_ms=2.1)
    ledger.read("03")                                   # {'network': 'ds-cnn', 'device': 'max78000', 'latency_ms': 2.1}
    ledger.read()                                       # every lab

It is one JSON file, ``~/.labkit/ledger.json``, or the one that ``LABKIT_LEDGER`` names. The build, nbval and the tests name a
scratch file, so they never touch a student's ledger.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit import atomic

PARTS = ("labs", "predictions")


class LedgerError(OSError):
    """The ledger cannot be read or written. The sentence says what to do."""


def path() -> Path:
    """Where the ledger lies."""
    return Path(os.environ.get("LABKIT_LEDGER") or Path.home() / ".labkit" / "ledger.json")


def record(lab: str, **choice: Any) -> None:
    """Enters choices of a lab; one entered before under the same name is replaced. Numbers, strings, lists and dicts only."""
    _enter("labs", lab, read(lab) | choice)


def read(lab: str | None = None) -> dict:
    """The choices of one lab, or of all: ``{lab: {name: choice}}``. Empty when nothing was entered."""
    labs = _load()["labs"]
    return labs if lab is None else labs.get(lab, {})


def prediction(name: str) -> dict | None:
    """The prediction locked under `name`, as `cards.Prediction` stored it, or None."""
    return _load()["predictions"].get(name)


def lock(name: str, **entry: Any) -> None:
    """Stores a prediction."""
    _enter("predictions", name, entry)


def _enter(part: str, key: str, entry: dict) -> None:
    content = _load()
    content[part][key] = entry
    text = json.dumps(content, indent=1, ensure_ascii=False, default=_plain) + "\n"
    target = path()
    with _sentence("write"):  # all or nothing: a second notebook may be reading
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(target, text)


def _load() -> dict:
    """The whole ledger. A file that is no ledger is set aside, not lost."""
    target = path()
    try:
        with _sentence("read"):
            text = target.read_text(encoding="utf-8")
        content = json.loads(text)
        if not all(isinstance(content.get(part, {}), dict) for part in PARTS):
            raise ValueError
        return {part: content.get(part, {}) for part in PARTS}
    except (ValueError, AttributeError):  # not JSON, or JSON of something else
        broken = target.with_name(f"{target.name}.broken")
        with _sentence("write"):
            os.replace(target, broken)
        print(f"The ledger {target} could not be read; it is kept as {broken.name}, and a new one starts empty.")
    except (FileNotFoundError, NotADirectoryError):
        pass
    return {part: {} for part in PARTS}


@contextmanager
def _sentence(verb: str):
    """Makes one sentence of what the file system refuses; a file that is not there is no refusal."""
    try:
        yield
    except OSError as error:
        if verb == "read" and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise
        why = f"cannot {verb} the ledger {path()} ({error.strerror}); set LABKIT_LEDGER to a file you can write"
        raise LedgerError(why) from None


def _plain(x: Any) -> Any:
    """numpy and torch numbers and arrays as JSON has them."""
    if hasattr(x, "tolist"):
        return x.tolist()
    raise TypeError(f"a {type(x).__name__} cannot go into the ledger; enter numbers, strings, lists or dicts")
