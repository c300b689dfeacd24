"""Tables that take long: every finished row is kept, so that an interrupted recipe goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from tqdm.auto import tqdm

from labkit import atomic
from labkit.data import download


class PartialTable:
    """Rows (dicts) known by their `key` fields. They lie in the cache until the table is whole; `finish` writes it to its place.

    >>> import tempfile
    >>> table = PartialTable(Path(tempfile.mkdtemp()) / "squares.json", key=("x",), cache=Path(tempfile.mkdtemp()))
    >>> table.fill([(1,), (2,)], lambda x: {"square": x * x}, progress=False)
    [{'x': 1, 'square': 1}, {'x': 2, 'square': 4}]
    """

    def __init__(self, path: Path, key: tuple[str, ...], cache: Path | None = None):
        self.path, self.key = path, key
        self.part = (cache or download.cache()) / f"{path.stem}.part.json"
        self.rows: list[dict] = json.loads(self.part.read_text(encoding="utf-8")) if self.part.exists() else []

    def fill(self, settings: Iterable[tuple], compute: Callable[..., dict], progress: bool = True, about: str = "") -> list[dict]:
        """Computes the rows that are missing, ``compute(*setting)``, and keeps each as soon as it is there."""
        done = {tuple(row[name] for name in self.key) for row in self.rows}
        for setting in tqdm([s for s in settings if s not in done], desc=about, disable=not progress):
            self.rows.append(dict(zip(self.key, setting, strict=True)) | compute(*setting))
            self.part.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(self.part, json.dumps(self.rows) + "\n")
        return self.rows

    def finish(self, **about) -> None:
        """Writes ``{**about, "rows": [...]}``, one row a line, and forgets the part in the cache."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in self.rows)
        head = json.dumps(about, ensure_ascii=False)[1:-1]
        atomic.write(self.path, f'{{{head},\n"rows": [\n{lines}\n]}}\n')
        self.part.unlink(missing_ok=True)
