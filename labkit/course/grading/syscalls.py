"""System calls that a submission may not make: they reach what neither limits nor the wiping of files can.

Memory of memfd_create(2) and of System V's shmget(2) belongs to no process while it is not mapped, so a few lines could take all of
the machine's. Message queues, semaphores and keys outlive their process. The others look into processes, or talk to the Linux
kernel in ways that no lab needs. They fail with EPERM, by a filter of seccomp(2): a program of the Berkeley packet filter
(McCanne and Jacobson, USENIX 1993) that Linux runs before each system call.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

NUMBERS = {  # name -> on x86_64, on aarch64; from Linux' own tables, asm/unistd_64.h and asm-generic/unistd.h
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
PRLIMIT = (302, 261)  # of another process: the warm one could be starved. Python asks for its own limits by the same call
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_… of linux/audit.h
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # instructions (linux/bpf_common.h)
NUMBER_AT, MACHINE_AT, PROCESS_AT = 0, 4, 16  # of struct seccomp_data; the last is the call's first argument
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
FOREIGN = 0x40000000  # from here on x86_64 has a second set of numbers for the same calls
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def program(machine: str) -> bytes:
    """The filter for a machine, as an array of struct sock_filter {u16 code; u8 jump if true; u8 if false; u32 k}.

    >>> len(program("x86_64")) // 8 == len(NUMBERS) + 9
    True
    """
    column = list(MACHINES).index(machine)
    numbers = [pair[column] for pair in NUMBERS.values()]
    refuse = len(numbers) + 4  # instructions to skip from the first comparison of a number
    code = [(LOAD, 0, 0, MACHINE_AT), (EQUAL, 0, refuse + 2, MACHINES[machine])]
    code += [(LOAD, 0, 0, NUMBER_AT), (AT_LEAST, refuse, 0, FOREIGN)]
    code += [(EQUAL, refuse - 1 - i, 0, number) for i, number in enumerate(numbers)]
    code += [(EQUAL, 0, 2, PRLIMIT[column]), (LOAD, 0, 0, PROCESS_AT), (EQUAL, 0, 1, 0)]
    code += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def refuse() -> None:
    """From here on, for this process and all it starts. Machines not in MACHINES have no filter. OSError if Linux refuses it."""
    machine = platform.machine()
    if machine not in MACHINES:
        return
    code = program(machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    about = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, about, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
