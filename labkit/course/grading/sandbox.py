"""Where a student's code runs: under bubblewrap, which gives a process its own view of the machine, without being root.

Inside there is no network, no other process, no home, no course folder and no submission: only /usr and Python's own folders
(read-only), a copy of labkit without the answers, the data cache (read-only) and two small folders in memory. Nothing on disk can
be written, and nothing survives the sandbox.

bubblewrap builds on the kernel's namespaces, https://github.com/containers/bubblewrap and namespaces(7). Where they are missing or
forbidden, the same process runs bare; `why` says what that means.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from labkit.course.grading.forbidden import PACKAGE
from labkit.data.download import cache

SCRATCH_BYTES = 512 << 20  # what files a submission may write; they lie in memory
SCRATCH, LABKIT = "/tmp", "/labkit"  # where the folder to write to and the copy of labkit lie inside
USER = 1000
KINDS = ("bubblewrap", "none")


def available() -> str:
    """ "bubblewrap" where a sandbox can be made, else "none"."""
    return "none" if _obstacle() else "bubblewrap"


def why() -> str:
    """Why there is no sandbox and what follows, as a sentence for the teacher; empty when there is one."""
    obstacle = _obstacle()
    return obstacle and (
        f"NO SANDBOX: {obstacle}. Submissions run as ordinary programs of this account: they can read its files (the solutions "
        "too) and use the network. Grade like this only students you trust, or install bubblewrap (apt install bubblewrap)."
    )


@lru_cache(maxsize=1)
def _obstacle() -> str:
    """What keeps bubblewrap from working, found by trying; empty when it works."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed" if sys.platform == "linux" else "bubblewrap exists for Linux only"
    try:
        trial = subprocess.run([*_isolation(), *_system(), "/bin/true"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start ({type(error).__name__})"
    first = next(iter(trial.stderr.splitlines()), "").removeprefix("bwrap: ")
    return "" if trial.returncode == 0 else f"this system forbids bubblewrap its work ({first or trial.returncode})"


@lru_cache(maxsize=1)
def _help() -> str:
    return subprocess.run(["bwrap", "--help"], capture_output=True, text=True).stdout


def _knows(option: str) -> bool:
    """Whether this version has an option; Debian 11 and Ubuntu 22.04 bring one without the last two used here."""
    return f" {option} " in _help() or f" {option}\n" in _help()


def environment(labkit: str, scratch: str) -> dict[str, str]:
    """All that a kernel sees of the environment. `labkit` is the folder to import it from, `scratch` the one to write to."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "USER": "student",
        "LANG": "C.UTF-8",
        "PYTHONPATH": labkit,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{scratch}/matplotlib",
        "IPYTHONDIR": f"{scratch}/ipython",
        "LABKIT_DATA": str(cache()),
        "LABKIT_LEDGER": f"{scratch}/ledger.json",
        "LABKIT_STRICT": "0",
        **threads,
    }


def command(labkit: Path) -> list[str]:
    """The bubblewrap arguments before a Python command line that runs inside, with the copy in `labkit` as its labkit."""
    arguments = [*_isolation(), *_system()]
    for folder in ("/dev/shm", SCRATCH):
        size = ["--size", str(SCRATCH_BYTES)] if _knows("--size") else []
        arguments += [*size, "--tmpfs", folder]
    for folder in _python_folders():
        arguments += ["--ro-bind", folder, folder]
    if any(PACKAGE.is_relative_to(folder) for folder in ("/usr", *_python_folders())):
        arguments += ["--ro-bind", str(labkit / PACKAGE.name), str(PACKAGE)]  # an installed labkit would be readable here
    if cache().is_dir():
        arguments += ["--ro-bind", str(cache().resolve()), str(cache())]
    arguments += ["--ro-bind", str(labkit), LABKIT]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", SCRATCH, "--clearenv"]
    for name, value in environment(LABKIT, SCRATCH).items():
        arguments += ["--setenv", name, value]
    return arguments


def _isolation() -> list[str]:
    """Own namespaces for all there is; no root, no capability, no terminal; and nothing outlives the grader.

    As process 1 of its namespace the zygote cannot be killed from inside, and takes everything with it when it ends.
    """
    nested = ["--disable-userns"] if _knows("--disable-userns") else []
    return [
        *("bwrap", "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--uid", str(USER), "--gid", str(USER), "--cap-drop", "ALL", "--hostname", "lab"),
        *("--new-session", "--die-with-parent", "--as-pid-1"),
        *nested,
    ]


def _system() -> list[str]:
    """/usr and what of / and /etc its programs need, read-only."""
    arguments = ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(name):
            arguments += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            arguments += ["--ro-bind", name, name]
    for name in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime"):
        arguments += ["--ro-bind-try", name, name]
    return arguments


def _python_folders() -> list[str]:
    """The folders of this Python and of its virtual environment, where /usr does not hold them."""
    folders = {os.path.realpath(sys.base_prefix), sys.prefix, os.path.realpath(sys.prefix)}
    return sorted(folder for folder in folders if not Path(folder).is_relative_to("/usr"))
