"""What a submission sees of the machine, and what it leaves behind for the next one."""

import os
import resource
import socket
import subprocess

import pytest

from labkit.course.compare import encode
from labkit.course.grading import sandbox
from labkit.course.grading.records import Cell, Limits, Sheet
from labkit.course.grading.runner import run

bubblewrap = pytest.mark.skipif(sandbox.available() != "bubblewrap", reason=sandbox.why() or "-")
LIMITS = Limits(cell_s=20, notebook_s=60, memory_mb=2048)


@pytest.fixture(scope="module")
def look(tmp_path_factory):
    """Runs an expression in the sandbox and compares its value with what is expected there."""
    workdir = tmp_path_factory.mktemp("work")

    def looks(expected, expression, before="import os"):
        cells = (
            Cell("setup", "given", "from labkit.course import check"),
            Cell("own", "extra", before),
            Cell("look", "check", f"check.value({expression})", "1", 1, expected=(encode(expected),)),
        )
        outcomes = run(Sheet("98_look", cells, (), {"1": 1.0}), LIMITS, workdir=workdir, kind="bubblewrap")
        return outcomes[-1].passed, [outcome.message for outcome in outcomes]

    return looks


@bubblewrap
@pytest.mark.parametrize(
    ("what", "expected", "expression"),
    [
        ("not root, not the grader's processes", [1000, 1000, 1], "[os.getuid(), os.getgid(), os.getppid()]"),
        ("no home, no course", [[], False, False], f"[os.listdir('/home') if os.path.exists('/home') else [], *map(os.path.exists, "
         f"['{os.getcwd()}/solutions', '{os.getcwd()}/labkit'])]"),
        ("nothing to write to but its scratch", [False] * 5 + [True],
         "[os.access(p, os.W_OK) for p in ['/', '/usr', '/etc', '/dev', check.__file__, '.']]"),
        ("no variable of the grader", False, "'LABKIT_TEST_SECRET' in os.environ"),
        ("no network but its own", ["lo"], "[line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]]"),
        ("no solution in the copy", False, "os.path.exists(os.path.dirname(check.__file__) + '/grading/runner.py')"),
    ],
)  # fmt: skip
def test_what_it_sees(look, monkeypatch, what, expected, expression):
    monkeypatch.setenv("LABKIT_TEST_SECRET", "1")
    assert look(expected, expression) == (True, ["", "", ""]), what


REFUSED = """
import os, signal, socket
def tries(action):
    try:
        action()
        return ""
    except OSError as error:
        return error.strerror
"""


@bubblewrap
@pytest.mark.parametrize(
    ("expected", "expression"),
    [
        ("Permission denied", "tries(lambda: open('/proc/1/mem', 'r+b'))"),
        ("Permission denied", "tries(lambda: os.readlink('/proc/1/fd/0'))"),
        ("Network is unreachable", "tries(lambda: socket.create_connection(('192.0.2.1', 80), 2))"),
        ("", "tries(lambda: (os.kill(1, signal.SIGKILL), os.kill(1, signal.SIGINT)))"),  # allowed, and without effect
    ],
)
def test_what_it_may_not_do(look, expected, expression):
    assert look(expected, expression, REFUSED) == (True, ["", "", ""])


@bubblewrap
def test_the_host_is_out_of_reach(look):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert look("Connection refused", f"tries(lambda: socket.create_connection(('127.0.0.1', {port}), 2))", REFUSED)[0]


@bubblewrap
@pytest.mark.parametrize(
    "mess",
    [
        "open('left', 'w').write('x'); open('/dev/shm/left', 'w').write('x')",
        "os.makedirs('a/b/c'); os.chmod('a/b', 0); os.chmod('a', 0)",
        "os.chmod('/tmp', 0)",
        "[(os.mkdir('d'), os.chdir('d')) for _ in range(2000)]",
        "os.symlink('/usr', 'usr'); os.mkfifo('pipe')",
        "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)",
        "import resource; resource.prlimit(1, 0, (9, 9))",  # a new sandbox
    ],
)
def test_nothing_is_left_for_the_next(look, mess):
    assert look(0, "0", f"import os\n{mess}")[0]
    state = (
        "[sorted(os.listdir('.')), os.listdir('/dev/shm'), len(open('/proc/sysvipc/shm').readlines()), resource.getrlimit(0)[1], "
    )
    state += "sum(name.isdigit() for name in os.listdir('/proc')), len(os.sched_getaffinity(0))]"
    assert look([["ipython"], [], 1, resource.getrlimit(0)[1], 2, len(os.sched_getaffinity(0))], state, "import os, resource")[0]


def test_without_bubblewrap_the_teacher_is_told(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    sandbox._obstacle.cache_clear()
    try:
        assert sandbox.available() == "none"
        assert sandbox.why().startswith("NO SANDBOX: bubblewrap is not installed.")
        assert "only students you trust" in sandbox.why()
    finally:
        sandbox._obstacle.cache_clear()


def test_a_forbidden_bubblewrap_is_found_out_by_trying(monkeypatch):
    refused = subprocess.CompletedProcess([], 1, "", "bwrap: setting up uid map: Permission denied\n")
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: "/usr/bin/bwrap")
    monkeypatch.setattr(sandbox, "_knows", lambda option: False)
    monkeypatch.setattr(sandbox.subprocess, "run", lambda *args, **options: refused)
    sandbox._obstacle.cache_clear()
    try:
        assert "setting up uid map: Permission denied" in sandbox.why()
    finally:
        sandbox._obstacle.cache_clear()
