"""A warm process in the sandbox: it has imported what labs need, and forks a kernel for each submission in milliseconds.

    python -m labkit.course.grading.zygote SOCKET SCRATCH IMPORTS       (IMPORTS: a lab's own import lines)

It speaks JSON over the socket it inherited, one packet a message, one kernel at a time:

    -> {"do": "start", "number": 7, "key": …, "memory_mb": 4096}  with four listening sockets    <- {"started": 7}
    -> {"do": "interrupt"}                                         SIGINT to the kernel
    -> {"do": "clear", "number": 8}                                <- {"cleared": 8}: all processes killed, all files gone
                                                                   <- {"ended": 7, "why": "died" | "memory" | "processes"}

When the grader ends, the socket closes and everything here ends too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path

from labkit.course.grading import processes, scratch, syscalls

WARM = ("numpy", "matplotlib.pyplot", "IPython", "ipykernel.ipkernel", "labkit.course.check", "labkit.course.cards")
WATCH_S = 0.1
FILE_BYTES = 64 << 20
MOST_FILES = 1024  # open at a time
MOST_PROCESSES, MOST_THREADS = 64, 512
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36  # prctl(2)


class Zygote:
    """The loop: requests from the grader, and watch over the kernel that runs."""

    def __init__(self, control: socket.socket, folder: Path):
        self.control, self.scratch = control, folder
        self.kernel: int | None = None  # its process
        self.number = self.memory = 0
        self.unharmed = _condition()

    def serve(self) -> None:
        while True:
            ready, _, _ = select.select([self.control], [], [], WATCH_S if self.kernel else None)
            if ready and not self.answer():
                return self.clear()
            if self.kernel:
                self.watch()

    def answer(self) -> bool:
        """Does what one message asks for. False at the end of the conversation."""
        packet, handed, _, _ = socket.recv_fds(self.control, 65536, 4)
        if not packet:
            return False
        message = json.loads(packet)
        if message["do"] == "start":
            self.start(message, handed)
        elif message["do"] == "interrupt" and self.kernel:
            os.kill(self.kernel, signal.SIGINT)
        elif message["do"] == "clear":
            self.clear()
            self.say(cleared=message["number"])
        return True

    def start(self, message: dict, handed: list[int]) -> None:
        self.clear()
        self.number, self.memory = message["number"], message["memory_mb"] << 20
        self.kernel = os.fork()
        if self.kernel == 0:
            self.become_kernel(message["key"], handed)
        for descriptor in handed:
            os.close(descriptor)
        self.say(started=self.number)

    def become_kernel(self, key: str, handed: list[int]) -> None:
        """In the child: from here on everything may be the student's."""
        try:
            self.control.close()
            os.setsid()
            os.chdir(self.scratch)
            _prctl(PR_SET_DUMPABLE, 1)
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # without a sandbox nothing else ends it when the zygote breaks
            signal.signal(signal.SIGINT, signal.default_int_handler)
            limit(self.memory)
            syscalls.refuse()
            from labkit.course.grading import student_kernel

            student_kernel.run(key, dict(zip(student_kernel.CHANNELS, handed, strict=True)))
        finally:
            os._exit(1)

    def watch(self) -> None:
        """Notices the kernel's death, and ends it when it and its children take too much."""
        ended = processes.reap(self.kernel)
        why = "died" if ended else processes.excess(self.memory, MOST_PROCESSES)
        if why:
            self.kernel = None
            processes.kill_all()
            self.say(ended=self.number, why=why)

    def clear(self) -> None:
        """Nothing of a submission stays: no process, no file. What resists ends the zygote, and with it the sandbox."""
        self.kernel = None
        processes.kill_all()
        scratch.empty(self.scratch)
        if os.getpid() == 1:
            scratch.empty(Path("/dev/shm"))
        if _condition() != self.unharmed:
            raise OSError("a submission has changed what this process may use")

    def say(self, **message) -> None:
        self.control.send(json.dumps(message).encode())


def _condition() -> list:
    """What a submission could change of this process from another one (limits, share of the machine), and memory it left behind."""
    limits = [resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")]
    shared = [Path("/proc/sysvipc", kind).read_text().count("\n") for kind in ("shm", "sem", "msg")] if os.getpid() == 1 else []
    return [limits, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.sched_getaffinity(0), shared]


def limit(memory: int) -> None:
    """What one process may take; the kernel's children inherit it. The watch looks at all of them together."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NPROC, processes.of_this_user() + MOST_THREADS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MOST_FILES),  # what waits in a socket counts nowhere else
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def warm_up(imports: str) -> None:
    """Imports what the lab imports, so that no kernel has to; forked kernels share these pages."""
    sys.modules["rfc3987_syntax"] = None  # three seconds of grammars that nobody here uses; see course/source.py
    for name in WARM:
        __import__(name)
    for line in imports.splitlines():
        with contextlib.suppress(Exception):  # what cannot be imported shall fail where the lab does it
            exec(line, {})
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the grader's terminal, or from a student
    _prctl(PR_SET_DUMPABLE, 0)  # a student may not look into, or write to, the process that forks the next kernel
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    zygote = Zygote(control, Path(sys.argv[2]))
    warm_up(sys.argv[3])
    zygote.say(ready=os.getpid())
    zygote.serve()


if __name__ == "__main__":
    main()
