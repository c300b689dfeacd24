"""The processes below this one, read from /proc: how much they take, and how to end them all."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


def below() -> list[int]:
    """All processes that descend from this one; where it is process 1, all there are."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(PROC):
        if entry.isdigit():
            try:
                parent = int((PROC / entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):  # it has ended
                continue
            children.setdefault(parent, []).append(int(entry))
    found, queue = [], [os.getpid()]
    while queue:
        new = children.get(queue.pop(), [])
        found += new
        queue += new
    return found


def memory(pid: int) -> int:
    """Bytes of main memory of a process. A page it shares counts in parts (PSS), so that a fork does not count twice."""
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))
    except (OSError, StopIteration):  # it forbids being looked at: then all of it counts
        try:
            return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
        except (OSError, IndexError):
            return 0


def excess(most_bytes: int, most_processes: int) -> str:
    """What the processes below this one take too much of: "memory", "processes", or nothing."""
    pids = below()
    if len(pids) > most_processes:
        return "processes"
    return "memory" if sum(map(memory, pids)) > most_bytes else ""


def reap(pid: int) -> bool:
    """Whether `pid` has ended; buries every child that has."""
    ended = False
    while True:
        try:
            child, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if child == 0:
            return ended
        ended = ended or child == pid


def kill_all() -> None:
    """Ends every process below this one, also those that start others meanwhile. TimeoutError if one stays."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if os.getpid() == 1:  # in a namespace of its own the system call knows them all, and at once
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        else:
            for pid in below():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)
    raise TimeoutError("a process of a submission cannot be ended")


def of_this_user() -> int:
    """Threads that count against this user's limit of processes."""
    count = 0
    for entry in os.listdir(PROC):
        try:
            if entry.isdigit() and (PROC / entry).stat().st_uid == os.getuid():
                count += len(os.listdir(PROC / entry / "task"))
        except OSError:
            continue
    return count
