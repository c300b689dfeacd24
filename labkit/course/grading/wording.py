"""The words, numbers and names that all reports of a grading share."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

MEANING = {  # of a status, for the student; the result's own note comes before it
    "ok": "",
    "repaired": "That something was moved, changed or missing costs no points by itself.",
    "timed out": "Whatever had finished kept its points.",
    "unreadable": "Nothing was graded; that says nothing about your work.",
}
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # no file on Windows may be called so
REVERSING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LONGEST = 48  # letters in a file name: at four bytes each, and with a hash, still below the 255 bytes of most file systems


def number(x: float) -> str:
    """Points with two decimals at most.

    >>> number(3.0), number(2 / 3), number(-1e-9), number(12345.5)
    ('3', '0.67', '0', '12345.5')
    """
    return f"{round(x, 2) + 0.0:.2f}".rstrip("0").rstrip(".")  # + 0.0 makes 0 of -0


def title(lab: str) -> str:
    """The title of a lab, from the name of its file.

    >>> title("01_keyword_spotting"), title("notes")
    ('Lab 01: keyword spotting', 'notes')
    """
    match = re.fullmatch(r"(\d\d)_(\w+)", lab)
    return f"Lab {match[1]}: {match[2].replace('_', ' ')}" if match else clean(lab)


def clean(text: str) -> str:
    """`text` in one line that any file can hold and that reads as it is stored.

    Runs of white space become a space; control characters, lone surrogates, and marks that reverse the text after them become a �.

    >>> clean("two\\nlines\\x00")
    'two lines�'
    """
    text = " ".join(text.split())
    return "".join("�" if letter in REVERSING or unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text)


def sentence(text: str) -> str:
    """A note as a sentence: a capital letter and a full stop.

    >>> sentence("its shape is (4, 3)"), sentence("Why?"), sentence("")
    ('Its shape is (4, 3).', 'Why?', '')
    """
    text = clean(text)
    return text[:1].upper() + text[1:] + ("." if text and text[-1] not in ".!?" else "")


def file_name(name: str) -> str:
    """A file name for a student or a lab that is harmless on every system.

    Letters of all scripts, digits and ``. _ @ + -`` stay. A name that had to be changed ends in eight digits of its SHA-256:
    different names stay different.

    >>> file_name("Ada.Lovelace@uni.edu"), file_name("../x"), file_name("CON")
    ('Ada.Lovelace@uni.edu', 'x-d6b96a97', '_CON-a3dbc4b6')
    """
    safe = re.sub(r"[^\w.@+-]+", "_", unicodedata.normalize("NFC", clean(name)))[:LONGEST].strip("._ ") or "student"
    safe = f"_{safe}" if RESERVED.fullmatch(safe) else safe
    return safe if safe == name else f"{safe}-{digest(name)}"


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each name, different even where Ada.html is ada.html, as on Windows and macOS.

    >>> file_names(["ada", "bob", "Ada"])
    {'ada': 'ada-fdee430d', 'bob': 'bob', 'Ada': 'Ada-99a563ab'}
    """
    files = {name: file_name(name) for name in names}
    same = Counter(_folded(file) for file in files.values())
    return {name: file if same[_folded(file)] == 1 else f"{file}-{digest(name)}" for name, file in files.items()}


def digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name.casefold())
