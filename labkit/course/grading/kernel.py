"""How the grader talks to a kernel it must not trust.

A submission owns its kernel: it can forge any message, flood every channel, or fall silent. So messages are sorted by their headers
before anything is parsed; what a cell prints is thrown away unread; every wait has an end; and what has no end is interrupted,
then killed. nbval's own loop (`IPyNbCell.runtest`) does the rest.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from queue import Empty

import zmq
from jupyter_client.blocking import BlockingKernelClient
from nbval.kernel import RunningKernel

from labkit.course.compare import MIME
from labkit.course.grading.records import Limits
from labkit.course.grading.warm import Connection, GraderError, Warm

STARTUP_S = 60
GRACE_S = 2.0  # after Ctrl-C, and for the last outputs after a reply
HEADER_BYTES = 10_000
MESSAGE_BYTES = 32 << 20  # more is not even read; the connection is closed (ZMQ_MAXMSGSIZE)
QUEUE = 64  # messages that may wait on our side
DISPLAYS = ("display_data", "execute_result")
OF_INTEREST = ("status", "error", *DISPLAYS)
MOST_MESSAGES = 1000  # kept of one cell


class Stopped(Exception):
    """A cell was stopped. `why` is "time", "died", "memory" or "processes"; `alive`: whether its kernel can go on."""

    def __init__(self, why: str, alive: bool):
        super().__init__(why)
        self.why, self.alive = why, alive


class Client(BlockingKernelClient):
    """A kernel client on unix sockets that refuses endless messages and queues."""

    def __init__(self, connection: Connection):
        super().__init__(transport="ipc", ip=connection.path, shell_port=1, stdin_port=2, control_port=3, iopub_port=4)
        self.session.key = connection.key.encode()

    def _create_connected_socket(self, channel, identity=None):
        socket = self.context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
        socket.linger, socket.rcvhwm, socket.maxmsgsize = 0, QUEUE, MESSAGE_BYTES
        if identity:
            socket.identity = identity
        socket.connect(self._make_url(channel))
        return socket


class SandboxKernel(RunningKernel):
    """A kernel forked by `warm`. `deadline` (monotonic seconds) is when the time of the whole notebook is over."""

    def __init__(self, warm: Warm, limits: Limits, deadline: float):
        self.warm, self.limits, self.deadline = warm, limits, deadline
        connection = warm.start(limits.memory_mb)
        self.number = connection.number
        self.kc = Client(connection)
        self.kc.start_channels(stdin=False, hb=False, control=False)
        self._inbox: deque[dict] = deque()
        self._parent, self._bytes, self._settled = "", 0, 0.0
        self._poller = zmq.Poller()
        for socket in (self.kc.shell_channel.socket, self.kc.iopub_channel.socket, warm.control.fileno()):
            self._poller.register(socket, zmq.POLLIN)
        self._await_ready()

    def is_alive(self) -> bool:
        return not self.fate

    @property
    def fate(self) -> str:
        """Why it has ended; empty while it runs."""
        return self.warm.fate(self.number)

    def execute_cell_input(self, cell_input, allow_stdin=None):
        self._inbox.clear()
        self._bytes = 0
        return super().execute_cell_input(cell_input, allow_stdin=False)

    def await_reply(self, msg_id, timeout=None):
        """Returns when the kernel answers. Raises Empty when time is over (`timeout`, or the deadline), Stopped when it ends."""
        end = min(time.monotonic() + timeout, self.deadline)
        while time.monotonic() < end:
            if self._read(msg_id, min(0.5, end - time.monotonic())):
                self._settled = time.monotonic() + GRACE_S
                return
            if why := self.fate:
                raise Stopped(why, alive=False)
        raise Empty

    def get_message(self, stream, timeout=None):
        """The next output of the running cell; its end, too, when the kernel does not announce it soon after its reply."""
        parent = self._parent
        while not self._inbox and time.monotonic() < self._settled and self.is_alive():
            self._read(parent, 0.1)
        if self._inbox and time.monotonic() < self._settled:
            return self._inbox.popleft()
        if time.monotonic() >= self._settled:
            self._listen_anew()
        return {"msg_type": "status", "parent_header": {"msg_id": parent}, "content": {"execution_state": "idle"}}

    def interrupt(self):
        """Time is over: Ctrl-C, and if that does not help, the end of the kernel. Always raises Stopped."""
        try:
            self.warm.interrupt()
            self.deadline = max(self.deadline, time.monotonic() + GRACE_S)  # the budget does not cut the grace
            self.await_reply(self._parent, timeout=GRACE_S)
        except (Empty, Stopped, GraderError):
            raise Stopped("time", alive=False) from None
        raise Stopped("time", alive=True)

    def stop(self):
        """Ends the kernel and all it started."""
        self.kc.stop_channels()
        self.kc.context.destroy(linger=0)
        with contextlib.suppress(GraderError):  # the warm process has ended, so all it started has too
            self.warm.clear()

    def _read(self, msg_id: str, seconds: float) -> bool:
        """Waits for messages and keeps those that belong to request `msg_id`. True when its reply is among them."""
        self._parent = msg_id
        ready = dict(self._poller.poll(max(1, int(1000 * seconds))))
        shell, iopub = self.kc.shell_channel.socket, self.kc.iopub_channel.socket
        if iopub in ready:
            for frames in _waiting(iopub):
                self._keep(frames, msg_id)
        replied = False
        if shell in ready:
            for frames in _waiting(shell):
                header, parent = _headers(frames)
                replied |= parent.get("msg_id") == msg_id and str(header.get("msg_type")).endswith("_reply")
            if replied:  # outputs overtaken by the reply
                for frames in _waiting(iopub):
                    self._keep(frames, msg_id)
        return replied

    def _keep(self, frames: list[zmq.Frame], msg_id: str) -> None:
        """Puts a message into the inbox if it is of interest, of this cell, and well-formed; all else is dropped unread."""
        header, parent = _headers(frames)
        size = sum(len(frame) for frame in frames)
        full = len(self._inbox) >= MOST_MESSAGES or self._bytes + size > self.limits.output_bytes
        end = header.get("msg_type") == "status"
        if header.get("msg_type") not in OF_INTEREST or parent.get("msg_id") != msg_id or (full and not end):
            return
        if header["msg_type"] in DISPLAYS and not any(MIME.encode() in frame.bytes for frame in frames):  # a picture, say
            return
        try:
            _, parts = self.kc.session.feed_identities([frame.bytes for frame in frames])
            message = self.kc.session.deserialize(parts)
            message = {key: message[key] for key in ("msg_type", "parent_header", "content")}
            _check_content(message["msg_type"], message["content"])
        except Exception:  # forged: it may break the parser in any way, but not the grader
            return
        self._bytes += size
        self._inbox.append(message)

    def _listen_anew(self) -> None:
        """A cell ended without a word: its output may have been so large that ZeroMQ has given up the connection for good."""
        self._poller.unregister(self.kc.iopub_channel.socket)
        self.kc.iopub_channel.close()
        self.kc._iopub_channel = None
        self._poller.register(self.kc.iopub_channel.socket, zmq.POLLIN)
        self.kc.iopub_channel.socket.poll(int(1000 * GRACE_S))  # the welcome

    def _await_ready(self) -> None:
        """Waits until the kernel answers and we are subscribed to its outputs, which it welcomes."""
        request, end = self.kc.kernel_info(), time.monotonic() + STARTUP_S
        answered = welcome = False
        while time.monotonic() < end and self.is_alive():
            ready = dict(self._poller.poll(100))
            if self.kc.shell_channel.socket in ready:
                answered |= any(_headers(frames)[1].get("msg_id") == request for frames in _waiting(self.kc.shell_channel.socket))
            if self.kc.iopub_channel.socket in ready:
                welcome |= bool(list(_waiting(self.kc.iopub_channel.socket)))
            if answered and welcome:
                return
        raise GraderError("a kernel did not start")


def _waiting(socket: zmq.Socket, most: int = 1000):
    """The messages that wait on a socket now, unparsed."""
    for _ in range(most):
        try:
            yield socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return


def _headers(frames: list[zmq.Frame]) -> tuple[dict, dict]:
    """Header and parent header of a message, empty where they are not what they should be (Jupyter messaging protocol 5)."""
    delimiter = next((i for i, frame in enumerate(frames[:4]) if len(frame) < 100 and frame.bytes == b"<IDS|MSG>"), None)
    found = []
    for frame in frames[delimiter + 2 : delimiter + 4] if delimiter is not None else []:
        try:
            content = json.loads(frame.bytes) if len(frame) < HEADER_BYTES else {}
        except (ValueError, RecursionError):
            content = {}
        found.append(content if isinstance(content, dict) else {})
    return (found[0], found[1]) if len(found) == 2 else ({}, {})


def _check_content(kind: str, content: dict) -> None:
    """Raises where a message has not the fields that nbval reads."""
    if kind == "status":
        str(content["execution_state"])
    elif kind == "error":
        if not isinstance(content["traceback"], list) or not all(isinstance(content[k], str) for k in ("ename", "evalue")):
            raise TypeError
        content["traceback"] = []
    else:
        if not isinstance(content["data"], dict):
            raise TypeError
        content["metadata"] = {}
        content.setdefault("execution_count", None)
