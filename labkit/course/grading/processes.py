"""The processes below this one, read from /proc: how much they take, and how to end them all."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
FEW = 8
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


def resident(pid: int) -> int:
    """Bytes of main memory that a process sees; pages that it shares with others count in full."""
    try:
        return int((PROC / str(pid) / "statm").read_bytes().split()[1]) * PAGE
    except (OSError, IndexError):  # it has ended
        return 0


def proportional(pid: int) -> int:
    """Bytes of main memory of a process, where a page that n processes share counts 1/n (PSS, proc_pid_smaps(5))."""
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        return next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))
    except (OSError, StopIteration):  # it forbids being looked at
        return resident(pid)


def excess(most_bytes: int, most_processes: int) -> str:
    """What the processes below this one take too much of: "memory", "processes", or nothing.

    The exact sum waits for processes that are forking just then, so it is for few of them only: a fork bomb must not delay its end.
    """
    pids = below()
    if len(pids) > most_processes:
        return "processes"
    if sum(map(resident, pids)) <= most_bytes:
        return ""
    return "memory" if len(pids) > FEW or sum(map(proportional, pids)) > most_bytes else ""


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
