"""The grader's end of a zygote: starts it in the sandbox, and asks it for kernels."""

from __future__ import annotations

import json
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from labkit.course.grading import sandbox, scratch

CHANNELS = ("shell", "stdin", "control", "iopub")
WARM_UP_S, ANSWER_S = 180, 30  # importing PyTorch from a cold disk; anything else


class GraderError(RuntimeError):
    """The grader itself failed, not a submission: nobody may lose points for it."""


@dataclass(frozen=True)
class Connection:
    """How to reach a kernel: its number, the key that signs its messages, and ``ipc://<path>-<1…4>`` for its channels."""

    number: int
    key: str
    path: str


class Warm:
    """A warm process that forks kernels, one at a time. `kind` is "bubblewrap" or "none", `labkit` a folder of `copy_without`,
    `imports` the import lines to run beforehand."""

    def __init__(self, kind: str, labkit: Path, log: Path, imports: str = ""):
        self.kind, self.number, self.ended = kind, 0, {}
        self.folder = Path(tempfile.mkdtemp(prefix="lab", dir=_short_folder()))  # the sockets lie here, out of a kernel's sight
        self.control, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        python = [sys.executable, "-m", "labkit.course.grading.zygote", str(inside.fileno())]
        if kind == "bubblewrap":
            command, options = [*sandbox.command(labkit), *python, sandbox.SCRATCH, imports], {}
        else:
            folder = self.folder / "scratch"
            folder.mkdir()
            command = [*python, str(folder), imports]
            options = {"env": sandbox.environment(str(labkit), str(folder)), "cwd": folder}
        with inside, open(log, "wb") as self._log:
            self.process = subprocess.Popen(
                command, pass_fds=[inside.fileno()], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                start_new_session=True, **options,
            )  # fmt: skip
        self.log = log
        self._ask("ready", WARM_UP_S)

    @property
    def alive(self) -> bool:
        return self.control.fileno() >= 0

    def start(self, memory_mb: int) -> Connection:
        """A fresh kernel; whatever ran before is gone."""
        self.number = secrets.randbits(
            48
        )  # not a count: a forked grader uses the same process, and no answer may be taken for another
        path, key = f"{self.folder}/{self.number}", secrets.token_hex(32)
        listening = [_listen(f"{path}-{port}") for port in range(1, len(CHANNELS) + 1)]
        try:
            message = {"do": "start", "number": self.number, "key": key, "memory_mb": memory_mb}
            socket.send_fds(self.control, [json.dumps(message).encode()], [s.fileno() for s in listening])
        except OSError:
            self.close()
            raise GraderError("the warm process has ended") from None
        finally:
            for s in listening:
                s.close()
        self._ask("started", ANSWER_S)
        return Connection(self.number, key, path)

    def interrupt(self) -> None:
        """Ctrl-C for the kernel."""
        self._send({"do": "interrupt"})

    def clear(self) -> None:
        """Ends the kernel and all it started, and removes its files."""
        self.number = secrets.randbits(48)
        self._send({"do": "clear", "number": self.number})
        self._ask("cleared", ANSWER_S)
        for path in self.folder.glob("[0-9]*-[0-9]"):
            path.unlink()

    def fate(self, number: int) -> str:
        """Why kernel `number` has ended: "died", "memory" or "processes"; empty while it runs."""
        while self.alive and select.select([self.control], [], [], 0)[0]:
            self._receive()
        return self.ended.get(number, "" if self.alive else "died")

    def close(self) -> None:
        """Ends the process, and with it all it started."""
        self.control.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.folder.exists():
            scratch.remove(self.folder)

    def _send(self, message: dict) -> None:
        try:
            self.control.send(json.dumps(message).encode())
        except OSError:
            self.close()
            raise GraderError("the warm process has ended") from None

    def _ask(self, what: str, seconds: float) -> None:
        """Waits for an answer to the last request."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.alive:
            if select.select([self.control], [], [], left)[0]:
                message = self._receive()
                if what in message and (what == "ready" or message[what] == self.number):
                    return
        self.close()
        last = next(iter(self.log.read_text(errors="replace").splitlines()[-1:]), "no word why")
        raise GraderError(f"the warm process does not answer ({last})")

    def _receive(self) -> dict:
        packet = self.control.recv(65536)
        if not packet:
            self.close()
            return {}
        message = json.loads(packet)
        if "ended" in message:
            self.ended[message["ended"]] = message["why"]
        return message


def _listen(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.setblocking(False)
    listening.bind(path)
    listening.listen(8)
    return listening


def _short_folder() -> str | None:
    """A place for sockets: their path may have 107 characters only (unix(7))."""
    return None if len(tempfile.gettempdir()) < 60 else "/tmp"
