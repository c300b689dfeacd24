# ruff: noqa: E501  what submissions do is quoted in one line each
"""Submissions that break, cheat or hang: only the exercise that does loses its points, and none is won by a trick."""

import os
import subprocess
import sys
import time

import pytest

from labkit.course.grading import runner, sandbox
from labkit.course.grading.records import Limits
from labkit.course.grading.runner import run
from tests.course.grading.toy_sheet import DOUBLE, SHIFT, sheet

bubblewrap = pytest.mark.skipif(sandbox.available() != "bubblewrap", reason=sandbox.why() or "-")
LIMITS = Limits(cell_s=2, notebook_s=40, memory_mb=1500)
WRONG = "def shift(x):\n    return 0 * x"
ALL_WRONG = {"shift": WRONG, "double": "def double(x):\n    return 0 * x"}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def points(workdir):
    """Points of both exercises, graded in the sandbox where there is one."""

    def graded(limits=LIMITS, kind=None, **cells):
        outcomes = run(sheet(**cells), limits, workdir=workdir, kind=kind)
        return tuple(sum(o.points for o in outcomes if o.exercise == exercise) for exercise in "12")

    return graded


def test_outcomes_tell_each_cell(workdir):
    outcomes = run(sheet(shift="def shift(x):\n    return x.missing"), LIMITS, workdir=workdir)
    assert [o.cell for o in outcomes] == ["setup", "ex1-answer", "ex1-check", "ex1-check-one", "ex2-answer", "ex2-check"]
    assert [o.passed for o in outcomes] == [True, True, False, False, True, True]
    assert [o.points for o in outcomes] == [0, 0, 0, 0, 0, 3]
    assert outcomes[2].message == "it stopped with an AttributeError"
    assert all(o.seconds < LIMITS.cell_s for o in outcomes)


BREAKS = {
    "syntax": "def shift(x:",
    "endless loop": "def shift(x):\n    while True:\n        pass",
    "endless loop in the cell": "while True:\n    pass",
    "loop in C that holds the GIL": "def shift(x):\n    return 7 ** (10**9) % 5",
    "a loop that catches the interrupt": "def shift(x):\n    while True:\n        try:\n            while True: pass\n"
    "        except BaseException: pass",
    "right, but only after the interrupt": "import time\ndef shift(x):\n    try: time.sleep(60)\n    except BaseException: pass\n"
    "    return x + 1",
    "blocked SIGINT": "import signal\ndef shift(x):\n    signal.pthread_sigmask(signal.SIG_BLOCK, [2])\n    while True: pass",
    "os._exit": "import os\ndef shift(x):\n    os._exit(0)",
    "sys.exit": "import sys\nsys.exit(0)",
    "quit": "quit()",
    "segmentation fault": "import ctypes\ndef shift(x):\n    ctypes.string_at(0)",
    "memory bomb": "def shift(x):\n    return bytearray(10**11)",
    "fork bomb": "import os\ndef shift(x):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "endless print": "def shift(x):\n    while True: print('spam', flush=True)",
    "endless messages": "def shift(x):\n    k = get_ipython().kernel\n    while True: "
    "k.session.send(k.iopub_socket, 'display_data', {'data': {'application/vnd.labkit.value+json': 1}, 'metadata': {}}, parent=k.get_parent())",
    "input": "def shift(x):\n    return int(input())",
    "closed files": "import os\ndef shift(x):\n    os.closerange(0, 1000)",
    "another program": "import os\ndef shift(x):\n    os.execv('/bin/sleep', ['sleep', '99'])",
    "a value that is too large": "def shift(x):\n    return 10**400",
    "lone surrogate": "s = '\ud800'",
}


@bubblewrap  # some of them would hurt the machine that tests
@pytest.mark.parametrize("name", BREAKS)
def test_only_the_guilty_exercise_loses(points, name):
    start = time.monotonic()
    assert points(shift=BREAKS[name]) == (0, 3)
    assert time.monotonic() - start < 30


HARMLESS = {
    "a thread that exits": "import sys, threading\nthreading.Thread(target=sys.exit).start()",
    "a thread that prints": "import threading\ndef noise():\n    while True: print('noise', flush=True)\n"
    "threading.Thread(target=noise, daemon=True).start()",
    "100 MB of output": "print('x' * 10**8)",
    "closed stdout": "import sys\nsys.stdout.close()",
    "no stdout": "import sys\nsys.stdout = sys.stderr = None",
    "deleted files": "import shutil\nshutil.rmtree('.', ignore_errors=True)",
    "comments for nbval": "# NBVAL_SKIP",
    "forged junk": "k = get_ipython().kernel\nfor kind in ('display_data', 'status', 'error', 'stream'):\n"
    "    for content in ({}, [], None, {'data': 3}):\n        try: k.session.send(k.iopub_socket, kind, content, parent=k.get_parent())\n        except Exception: pass\n"
    "k.iopub_thread.send_multipart([b'x'])\nk.iopub_thread.send_multipart([b'<IDS|MSG>', b'', b'[' * 9000, b'[' * 9000, b'', b''])",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_does_no_harm_costs_nothing(points, name):
    assert points(shift=f"{HARMLESS[name]}\n{SHIFT}") == (3, 3)


CHEATS = {
    "patched check.value": "from labkit.course import check\ncheck.value = lambda x: None",
    "payload without numbers": "from IPython.display import display\nfrom labkit.course import check\ncheck.publish = lambda data: display("
    "{k: {**v, 'values': []} if 'json' in k else v for k, v in data.items()}, raw=True)",
    "transformer of the syntax tree": "import ast\nclass Strip(ast.NodeTransformer):\n    def visit_Expr(self, node): return ast.Pass()\n"
    "get_ipython().ast_transformers.append(Strip())",
    "run_cell that does nothing": "from IPython.core.interactiveshell import ExecutionResult\nasync def nothing(*a, **k):\n"
    "    result = ExecutionResult(None); result.result = None; return result\ntype(get_ipython()).run_cell_async = nothing",
    "values sent beforehand": "import numpy as np\nfrom labkit.course import check\ncheck.value(np.arange(3) + 1)\ncheck.value(42.5)",
    "equal to everything": "class Any:\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n    __array__ = lambda s, *a, **k: "
    "__import__('numpy').zeros(3)\nfrom labkit.course import check\nold = check.encode\ncheck.encode = lambda x: old(Any())",
    "forged replies": "from labkit.course import check\ndef forge(x):\n    k = get_ipython().kernel\n    p = k.get_parent()\n"
    "    k.session.send(k.iopub_socket, 'status', {'execution_state': 'idle'}, parent=p)\n"
    "    k.session.send(k.shell_stream, 'execute_reply', {'status': 'ok'}, parent=p, ident=k._parent_ident['shell'])\ncheck.value = forge",
    "bottomless payload": "from labkit.course import check\ndef deep(x):\n    k = get_ipython().kernel; s = k.session\n    parts = ["
    "s.pack(s.msg_header('display_data')), s.pack(k.get_parent()['header']), b'{}', b'{\"data\":{\"application/vnd.labkit.value+json\":' + "
    "b'[' * 10**5 + b']' * 10**5 + b'}}']\n    k.iopub_thread.send_multipart([b'<IDS|MSG>', s.sign(parts), *parts])\ncheck.value = deep",
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_no_trick_earns_a_point(points, name):
    assert points(extra=CHEATS[name], **ALL_WRONG) == (0, 0)


def test_one_value_too_many_fails(points):
    twice = "from labkit.course import check\ndef shift(x):\n    check.value(x + 1)\n    return x + 1"
    assert points(shift=twice) == (0, 3)


def test_messages_carry_nothing_of_a_check(workdir):
    """Once a check has run, a submission knows what it asks; its words are not repeated."""
    tells = "def shift(x):\n    raise type('X' + repr(x), (Exception,), {})(repr(x))"
    shape = "import numpy as np\ndef double(x):\n    return {repr(x): 1}"
    messages = [o.message for o in run(sheet(shift=tells, double=shape), LIMITS, workdir=workdir)]
    assert messages == ["", "", "it stopped with an error", "it stopped with an error", "", "its value is not the expected one"]


def test_a_dead_kernel_is_noticed_at_once_and_replaced(workdir):
    outcomes = run(sheet(shift="import os\ndef shift(x):\n    os._exit(0)"), Limits(cell_s=30), workdir=workdir)
    assert [o.message for o in outcomes[2:4]] == [
        "it ended the Python process it ran in",
        "not run, because a cell of this exercise was stopped before: it ended the Python process it ran in",
    ]
    assert outcomes[-1].points == 3


def test_the_budget_of_a_notebook(workdir):
    slow = "import time\ntime.sleep(60)"
    start = time.monotonic()
    outcomes = run(sheet(extra=slow), Limits(cell_s=30, notebook_s=3), workdir=workdir)
    assert time.monotonic() - start < 15
    assert {o.message for o in outcomes[1:]} == {"the notebook took longer than 3 s"}
    assert sum(o.points for o in outcomes) == 0


def test_kernels_are_not_revived_for_ever(workdir):
    deadly = "import os\ndef {}(x):\n    os._exit(0)"
    limits = Limits(cell_s=5, revivals=0)
    outcomes = run(sheet(deadly.format("shift"), DOUBLE), limits, workdir=workdir)
    assert outcomes[-1].message == "not run, because the kernel had to be started 1 times"
    limits = Limits(cell_s=5, revivals=1)
    assert run(sheet(deadly.format("shift"), DOUBLE), limits, workdir=workdir)[-1].points == 3


def test_hidden_names_are_gone_in_the_kernel(workdir):
    borrowed = "from labkit.hardware.battery import mean_power_uw\ndef double(x):\n    return mean_power_uw(2 * x, 0, 1.0)"
    assert run(sheet(double=borrowed), LIMITS, workdir=workdir)[-1].points == 3
    outcomes = run(sheet(double=borrowed), LIMITS, hides=["hardware.battery.mean_power_uw"], workdir=workdir)
    assert (outcomes[-1].points, outcomes[-1].message) == (0, "it stopped with a RuntimeError")


def test_without_a_sandbox(points):
    """The plain process: same verdicts, for trusted students."""
    assert points(kind="none") == (3, 3)
    assert points(kind="none", shift="while True:\n    pass") == (0, 3)
    assert points(kind="none", shift="import os\ndef shift(x):\n    os._exit(0)") == (0, 3)
    assert points(kind="none", shift="def shift(x):\n    return bytearray(10**11)") == (0, 3)
    assert points(kind="none", extra=CHEATS["transformer of the syntax tree"], **ALL_WRONG) == (0, 0)
    deep = "import os\nfor _ in range(2000):\n    os.mkdir('d'); os.chdir('d')\n"
    assert points(kind="none", shift=deep + SHIFT) == (3, 3)


def test_a_broken_zygote_is_replaced(points, workdir):
    assert points() == (3, 3)
    ((_, zygote),) = runner._warm.items()
    zygote.process.kill()
    assert points() == (3, 3)


def test_a_killed_grader_leaves_no_process(tmp_path):
    """Zygote and kernel end with the process that grades."""
    code = "import sys; from labkit.course.grading import runner; from tests.course.grading.toy_sheet import sheet; "
    code += f"print(runner.warm(sheet(), {sandbox.available()!r}, (), runner.Path(sys.argv[1])).process.pid, flush=True); input()"
    grader = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=-1, stdout=-1, text=True, cwd=os.getcwd())
    zygote = int(grader.stdout.readline())
    assert os.path.exists(f"/proc/{zygote}")
    grader.kill()
    grader.communicate()
    end = time.monotonic() + 5
    while os.path.exists(f"/proc/{zygote}") and time.monotonic() < end:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{zygote}")
