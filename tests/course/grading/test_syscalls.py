"""What the filter refuses and what it lets through, in a process of its own, and by an interpreter of its program."""

import errno
import multiprocessing
import platform
import struct

import pytest

from labkit.course.grading import syscalls

GETPID = {"x86_64": 39, "aarch64": 172}


def decide(machine: str, number: int, first: int = 0, said: int | None = None) -> int:
    """What the program returns for a system call: a packet filter of four instructions, interpreted."""
    data = struct.pack("IIQQ", number, syscalls.MACHINES[machine] if said is None else said, 0, first)
    code, at, loaded = syscalls.program(machine), 0, 0
    while True:
        what, yes, no, k = struct.unpack_from("HBBI", code, 8 * at)
        at += 1
        if what == syscalls.LOAD:
            loaded = struct.unpack_from("I", data, k)[0]
        elif what == syscalls.RETURN:
            return k
        else:
            at += yes if (loaded == k if what == syscalls.EQUAL else loaded >= k) else no


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_program_refuses_what_it_lists_and_nothing_else(machine):
    column = list(syscalls.MACHINES).index(machine)
    listed = {pair[column] for pair in syscalls.NUMBERS.values()}
    for number in range(600):
        assert decide(machine, number) == (syscalls.REFUSE if number in listed else syscalls.ALLOW)
    assert decide(machine, syscalls.PRLIMIT[column], first=1) == syscalls.REFUSE
    assert decide(machine, GETPID[machine], first=1) == syscalls.ALLOW
    assert decide(machine, GETPID[machine], said=0x40000003) == syscalls.REFUSE  # the numbers of another machine
    assert decide(machine, GETPID[machine] | syscalls.FOREIGN) == syscalls.REFUSE


def _refused() -> list[int]:
    import ctypes
    import os
    import resource

    libc = ctypes.CDLL(None, use_errno=True)
    before = libc.memfd_create(b"x", 0)
    syscalls.refuse()
    calls = [before >= 0]
    for call, arguments in ((libc.memfd_create, (b"x", 0)), (libc.shmget, (0, 4096, 0o1666)), (libc.ptrace, (0, 0, 0, 0))):
        calls.append(call(*arguments) == -1 and ctypes.get_errno() == errno.EPERM)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        resource.prlimit(os.getppid(), resource.RLIMIT_CORE)
        calls.append(False)
    except PermissionError:
        calls.append(True)
    return calls


@pytest.mark.skipif(platform.machine() not in syscalls.MACHINES, reason="no filter for this machine")
def test_linux_obeys_the_program():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert all(pool.apply(_refused))
