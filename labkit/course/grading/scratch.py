"""Removes what a submission wrote, whatever it is: locked folders, and trees deeper than Python can walk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def empty(folder: Path) -> None:
    """Empties a folder. Raises OSError when something in it cannot be removed."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    for entry in os.scandir(folder):
        remove(entry.path)


def remove(path: str | Path) -> None:
    """Removes a file or a folder with all that is in it; links are not followed. OSError when it cannot be removed."""
    if os.path.islink(path) or not os.path.isdir(path):
        return os.unlink(path)
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        subprocess.run(["chmod", "-R", "u+rwx", "--", str(path)], stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--", str(path)], stderr=subprocess.DEVNULL)
    if os.path.lexists(path):
        raise OSError(f"{path} cannot be removed")
