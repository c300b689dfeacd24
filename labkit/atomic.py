"""Files that are replaced whole or not at all, whatever happens while they are written."""

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes `text` to `path` in one step. OSError leaves the old file, and nothing else, behind."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        if path.exists():
            os.chmod(part, path.stat().st_mode)
        else:
            os.chmod(part, 0o644)  # mkstemp's own 0600 would lock the rest of a class out
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
