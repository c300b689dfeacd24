"""The kernel that runs one submission: ipykernel on sockets it was handed, without what a grader does not need.

It runs in the sandbox, beside a student's code, and so holds nothing worth reading; whatever it does is judged from outside.
"""

from __future__ import annotations

import os
import sys

import zmq
from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

CHANNELS = ("shell", "stdin", "control", "iopub")  # in the order in which ipykernel binds them
KEPT_CHARACTERS = 100_000  # of what a cell prints


class CappedStream(OutStream):
    """Prints, up to a limit: nobody reads what a submission prints, and an endless print must not fill the memory."""

    written = 0

    def write(self, text):
        if self.written < KEPT_CHARACTERS and isinstance(text, str):
            super().write(text[: KEPT_CHARACTERS - self.written])
        self.written += len(text)
        return len(text)

    def close(self):
        """Stays open: what comes after a careless sys.stdout.close() must not suffer."""

    def set_parent(self, parent):
        self.written = 0  # another cell
        super().set_parent(parent)


class StudentKernel(IPythonKernel):
    """Every cell starts with working streams, so that one that breaks them harms itself only."""

    def pre_handler_hook(self):
        sys.stdout, sys.stderr = self._stdout, self._stderr
        super().pre_handler_hook()


class StudentKernelApp(IPKernelApp):
    """An IPython kernel on listening unix sockets that were opened outside of the sandbox."""

    listening: dict[str, int]  # channel -> file descriptor

    def init_sockets(self):
        order = iter(CHANNELS)
        self._next = lambda: self.listening[next(order)]
        super().init_sockets()

    def _bind_socket(self, socket, port):
        """Takes over a socket that listens already: no folder has to be shared with the sandbox (ZMQ_USE_FD)."""
        socket.setsockopt(zmq.USE_FD, self._next())
        socket.bind("ipc://handed-over")  # the name is not used
        return 1

    def init_connection_file(self):
        """There is none: the key came with the sockets."""

    write_connection_file = init_heartbeat = init_connection_file  # and death is noticed by the zygote, not by a missed beat


def run(key: str, listening: dict[str, int]) -> None:
    """Serves one client until the process is killed."""
    config = Config()
    config.Session.key = key.encode()
    config.HistoryManager.enabled = False
    config.IPKernelApp.capture_fd_output = False
    config.IPKernelApp.outstream_class = f"{__name__}.CappedStream"
    config.IPKernelApp.log_level = "CRITICAL"
    config.InteractiveShell.xmode = "Minimal"  # nobody reads tracebacks, and IPython needs seconds for that of an endless recursion
    sys.argv = ["kernel"]
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    app = StudentKernelApp.instance(config=config, transport="ipc", kernel_class=StudentKernel)
    app.listening = listening
    app.initialize([])
    app.shell.unobserve_all("exit_now")  # quit() would end the kernel a little later, under an innocent cell
    app.start()
