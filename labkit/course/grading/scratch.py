"""Removes what a submission wrote, whatever it is: locked folders, and trees deeper than Python can walk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def empty(folder: Path, mounted: frozenset[str] | None = None) -> None:
    """Empties a folder; what is mounted in it stays (this Python may lie in /tmp). OSError when the rest cannot be removed."""
    mounted = mount_points() if mounted is None else mounted
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    for entry in os.scandir(folder):
        if entry.path in mounted:
            continue
        if any(point.startswith(f"{entry.path}/") for point in mounted):
            empty(Path(entry.path), mounted)
        else:
            remove(entry.path)


def mount_points() -> frozenset[str]:
    """Where something is mounted, as this process sees it; none where /proc does not say."""
    try:
        lines = Path("/proc/self/mounts").read_bytes().splitlines()
    except OSError:
        return frozenset()
    return frozenset(os.fsdecode(line.split()[1].decode("unicode_escape").encode("latin-1")) for line in lines)


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
