"""Files that are replaced whole or not at all, whatever happens while they are written."""

import os
import tempfile
from pathlib import Path


def write(path: Path, content: str | bytes) -> None:
    """Writes text (UTF-8, its line ends kept) or bytes to `path` in one step. OSError leaves the old file, nothing else, behind."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with open(handle, "wb") as file:
            file.write(data)
        if path.exists():
            os.chmod(part, path.stat().st_mode)
        else:
            os.chmod(part, 0o644)  # mkstemp's own 0600 would lock the rest of a class out
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
